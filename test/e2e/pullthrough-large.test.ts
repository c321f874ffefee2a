import { expect, test } from 'vitest';
import { parseSynthetic } from '../../src/testbed/index.ts';
import { readAnswer } from '../support/json-answer.ts';
import { runCli } from '../support/run-cli.ts';
import { openTestbed } from '../support/testbed-client.ts';

/**
 * What the program holds on to must fit into 32 MB, of which it needs 25 to begin with; threads have the same limit. A
 * string for each image would not fit. Without the second limit V8 keeps a hundred megabytes of what is new.
 */
const SMALL_HEAP = ['--max-old-space-size=32', '--max-semi-space-size=2'];

test('100,000 images are listed and pulled with a small heap', async () => {
  const registry = await openTestbed({
    synthetic: parseSynthetic('images=100000,repositories=10000,layers=5,sizes=2KiB'),
  });
  // It is its own cache: one that keeps nothing.
  const urls = ['--pullthrough-url', registry.url, '--registry-url', registry.url, '--path-style=mirror'];
  const argv = ['--patterns=.*', '--tags=all', '--max-pulls=2000', '--pullers-per-pattern=4'];
  const run = await runCli(['pullthrough-bench', ...urls, ...argv, '--json'], { nodeArgs: SMALL_HEAP });
  expect(run, run.stderr).toMatchObject({ exitCode: 0, signal: null });
  const { result } = readAnswer(run.stdout);
  expect(result).toMatchObject({
    plan: { repositories: 10_000, images: 100_000 },
    totals: { images: 2000, failed: 0 },
    requests: { distinctBlobs: registry.traffic().distinctBlobs },
  });
  expect(registry.traffic()).toMatchObject({ manifestGets: 2000, blobGets: 2000 * 6 });
});
