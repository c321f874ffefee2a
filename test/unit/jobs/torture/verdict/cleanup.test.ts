import { expect, onTestFinished, test } from 'vitest';
import { Cleaner } from '../../../../../src/jobs/torture/verdict/cleanup.ts';
import { manifestOf } from '../../../../../src/jobs/torture/verdict/manifest.ts';
import { emptyInventory } from '../../../../../src/jobs/torture/verdict/site.ts';
import { CONFIG } from '../../../../../src/jobs/torture/workloads/push.ts';
import { digestOf, MEDIA_TYPES } from '../../../../../src/oci/index.ts';
import { bytesSource, putManifest, uploadBlob } from '../../../../../src/registry/index.ts';
import { type RequestLine, startTestbed } from '../../../../../src/testbed/index.ts';
import { connect } from '../support.ts';

test('repositories are cleaned one after the other, whenever they are done with', async () => {
  const lines: RequestLine[] = [];
  const testbed = await startTestbed({ onRequest: (line) => void lines.push(line) });
  onTestFinished(() => testbed.close());
  const registry = await connect(testbed.url);
  const sites = ['run/w0', 'run/w1', 'run/w2'].map((repository) => ({
    repository,
    inventory: emptyInventory(),
  }));
  for (const { repository, inventory } of sites) {
    await uploadBlob(registry, repository, bytesSource(CONFIG, digestOf(CONFIG)), {});
    for (let at = 0; at < 20; at++) {
      const { body, digest } = manifestOf(`${repository} ${at}`);
      await putManifest(registry, repository, `t${at}`, {
        bytes: body,
        digest,
        mediaType: MEDIA_TYPES.ociManifest,
      });
      inventory.tags.add(`t${at}`);
      inventory.manifests.add(digest);
    }
  }
  lines.length = 0;
  const cleaner = new Cleaner(registry, 'run', new AbortController().signal);
  await Promise.all(sites.map((site) => cleaner.clean(site)));
  const order = lines
    .filter(({ method }) => method === 'DELETE')
    .map(({ path }) => /^\/v2\/(run\/w\d)\//.exec(path)?.[1]);
  expect(order).toEqual(sites.flatMap(({ repository }) => Array.from({ length: 40 }, () => repository)));
  expect(cleaner.cleanup()).toMatchObject({ manifestsPushed: 60, manifestsRemoved: 60, manifestsLeft: 0 });
});
