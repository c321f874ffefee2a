import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/index.ts';
import { CONSISTENCY_DEFAULTS, consistency } from '../../../../src/jobs/torture/consistency/index.ts';
import { ociView } from '../../../../src/jobs/torture/oci-view.ts';
import { parseSynthetic } from '../../../../src/testbed/index.ts';
import { openTestbed } from '../../../support/testbed-client.ts';
import { connect, contextFor } from './support.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that are in use, when all that can be given back has been. */
async function inUse(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const openSynthetic = (spec: string) => openTestbed({ synthetic: parseSynthetic(spec) });

test('what a view of /v2/ keeps of an image are its fingerprints, not its manifest', async () => {
  const tags = 2000;
  const testbed = await openSynthetic(`images=${tags},repositories=1000,layers=2,sizes=2KiB`);
  const client = await connect(testbed.url);
  const { signal } = new AbortController();
  // The first fills what client, registry and engine keep for themselves.
  await ociView(client, { maxRepositories: 10_000 }).state(signal);
  const before = await inUse();
  const view = ociView(client, { maxRepositories: 10_000 });
  const state = await view.state(signal);
  const kept = (await inUse()) - before;
  expect(state).toMatchObject({ repositories: 1000, manifests: tags, blobs: 3 * tags });
  expect(view.remembered).toBe(4 * tags);
  expect(kept / tags).toBeLessThan(1000);
});

test('consistency keeps nothing of a pass that found nothing but where tags lead', async () => {
  const tags = 500;
  const testbed = await openSynthetic(`images=${tags},repositories=250,layers=2,sizes=2KiB`);
  const client = await connect(testbed.url);
  const readings: number[] = [];
  const stop = new AbortController();
  const { result } = await consistency(
    {
      ...CONSISTENCY_DEFAULTS,
      registry: client.domain,
      api: 'oci',
      maxRepositories: 10_000,
      deep: false,
      once: false,
      intervalMs: 60_000,
      durationMs: 3_600_000,
    },
    {
      ...contextFor(client, stop.signal),
      clock: {
        ...systemClock,
        /** Between two passes. */
        async sleep() {
          readings.push(await inUse());
          if (readings.length === 4) stop.abort();
        },
      },
    },
  );
  expect(result).toMatchObject({ findings: [], checked: { tags: 4 * tags } });
  const [, second = 0, , fourth = 0] = readings;
  expect((fourth - second) / (2 * tags)).toBeLessThan(2000);
});
