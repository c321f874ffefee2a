import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cleanUp } from '../../src/jobs/torture/stress/cleanup.ts';
import { Cleaner } from '../../src/jobs/torture/verdict/cleanup.ts';
import { manifestOf } from '../../src/jobs/torture/verdict/manifest.ts';
import { emptyInventory } from '../../src/jobs/torture/verdict/site.ts';
import { imagePlace, Ledger } from '../../src/jobs/torture/workloads/ledger.ts';
import { CONFIG } from '../../src/jobs/torture/workloads/push.ts';
import { type Digest, digestOf, MEDIA_TYPES } from '../../src/oci/index.ts';
import { bytesSource, putManifest, type RegistryClient, uploadBlob } from '../../src/registry/index.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { connect } from '../unit/jobs/torture/support.ts';

const describeReal = requireServers('docker-registry');

async function push(client: RegistryClient, repository: string, tag: string): Promise<Digest> {
  await uploadBlob(client, repository, bytesSource(CONFIG, digestOf(CONFIG)), {});
  const { body: bytes, digest } = manifestOf(`${repository} ${tag}`);
  await putManifest(client, repository, tag, { bytes, digest, mediaType: MEDIA_TYPES.ociManifest });
  return digest;
}

describeReal('of distribution, which cannot delete a tag', () => {
  test('tags whose manifest went without them are removed too, and no others', async () => {
    const registry = await startDockerRegistry();
    try {
      const client = await connect(registry.url);
      const { signal } = new AbortController();
      const run = { writePrefix: 'run', runId: 'r' };
      const place = imagePlace(run, 0);
      const repository = place.repository;
      const stranger = await push(client, repository, 'stranger');
      const ours = [0, 1, 2].map((sequence) => place.tagOf(sequence));
      const digests = await Promise.all(ours.map((tag) => push(client, repository, tag)));
      // What its own delete leaves when another one is under way in the same repository (distribution#3191).
      const leave = async (digest: Digest): Promise<void> => {
        const revision = `${repository}/_manifests/revisions/${digest.replace(':', '/')}`;
        await rm(join(registry.dir, 'storage/docker/registry/v2/repositories', revision), {
          recursive: true,
        });
      };
      const tags = async (): Promise<string[]> => {
        const list = await fetch(`${registry.url}/v2/${repository}/tags/list`);
        return ((await list.json()) as { tags: string[] }).tags;
      };

      for (const digest of digests.slice(0, 2)) await leave(digest);
      expect((await tags()).toSorted()).toEqual([...ours, 'stranger'].toSorted());
      const ledger = Ledger.forThreads(1);
      for (const _ of ours) {
        ledger.add(0, 'begun');
        ledger.add(0, 'stored');
      }
      expect(await cleanUp(client, run, ledger, signal)).toMatchObject({ left: [], manifestsLeft: 0 });
      expect(await tags()).toEqual(['stranger']);

      const inventory = emptyInventory();
      for (const tag of ours) {
        inventory.tags.add(tag);
        inventory.manifests.add(await push(client, repository, tag));
      }
      for (const digest of digests.slice(1)) await leave(digest);
      const cleaner = new Cleaner(client, 'run', signal);
      await cleaner.clean({ repository, inventory });
      expect(cleaner.cleanup()).toMatchObject({ manifestsRemoved: 3, left: [], manifestsLeft: 0 });
      expect(await tags()).toEqual(['stranger']);
      const kept = await fetch(`${registry.url}/v2/${repository}/manifests/${stranger}`, {
        headers: { accept: MEDIA_TYPES.ociManifest },
      });
      expect(kept.status).toBe(200);
    } finally {
      await registry.close();
    }
  });
});
