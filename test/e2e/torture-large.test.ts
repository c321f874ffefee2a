import { expect, test } from 'vitest';
import { parseSynthetic } from '../../src/testbed/index.ts';
import { readAnswer } from '../support/json-answer.ts';
import { runCli } from '../support/run-cli.ts';
import { openTestbed } from '../support/testbed-client.ts';

/**
 * What the program holds on to must fit into 64 MB, of which it needs 20 to begin with. Without the second limit V8
 * takes three times as much for what is new, and counts it in.
 */
const SMALL_HEAP = ['--max-old-space-size=64', '--max-semi-space-size=4'];

test('10,000 repositories are seen through /v2/ with a small heap', async () => {
  const registry = await openTestbed({ synthetic: parseSynthetic('images=10000,layers=1,sizes=2KiB') });
  const run = await runCli(
    ['torture', 'monitor', '--once', '--api', 'oci', '--registry-url', registry.url, '--json'],
    { nodeArgs: SMALL_HEAP },
  );
  expect(run, run.stderr).toMatchObject({ exitCode: 0, signal: null });
  expect(readAnswer(run.stdout).result).toMatchObject({
    final: { repositories: 10_000, manifests: 10_000, blobs: 20_000, truncated: false },
    alerts: [],
  });
});
