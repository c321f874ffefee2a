import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { randomStream } from '../../src/load/index.ts';
import { parseFaults, type RequestLine, startTestbed, type Testbed } from '../../src/testbed/index.ts';
import { interruptedAnswer, runInterrupted } from '../support/interrupt.ts';
import { type Ended, runShell } from '../support/run-cli.ts';
import { call, pushImage } from '../support/testbed-client.ts';

/** Draws the moments; another seed is another test. */
const SEED = 3;

const WRITES = ['--yes-write', '--blob-size', '2KiB:3,200KiB:1', '--chunk-size', '32KiB'].concat(
  '--write-prefix',
  'torture/here',
);
const COMMANDS: readonly (readonly [name: string, argv: readonly string[]])[] = [
  ['monitor', ['monitor', '--state-interval', '20ms', '--health-interval', '20ms']],
  ['consistency', ['consistency', '--interval', '50ms']],
  ['stress admin', ['stress', '--warmup', '500ms', '-c', '40']],
  ['stress pull', ['stress', '--workload', 'pull', '--warmup', '500ms']],
  ['stress push', ['stress', '--workload', 'push', '--warmup', '500ms', ...WRITES]],
  ['stress delete', ['stress', '--workload', 'delete', '--threads', '2', ...WRITES]],
  ['stress mixed', ['stress', '--workload', 'mixed', '--rate', '100/s', ...WRITES]],
  ['all', ['all', '--state-interval', '50ms', '--interval', '50ms', '--workload', 'mixed', ...WRITES]],
];
const WRITERS = COMMANDS.filter(([, argv]) => argv.includes('--yes-write'));

let cache: string;
let registry: Testbed;
let listeners: Set<(line: RequestLine) => void>;
let before: Awaited<ReturnType<typeof holdings>>;

beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'regops-cache-'));
});
afterAll(() => rm(cache, { recursive: true, force: true, maxRetries: 3 }));

beforeEach(async () => {
  listeners = new Set();
  registry = await startTestbed({
    onRequest: (line) => {
      for (const tell of listeners) tell(line);
    },
  });
  for (const name of ['team/app', 'team/tool', 'base']) await pushImage(registry, name, '1');
  before = await holdings();
});
afterEach(() => registry.close());

/** What a run must not leave behind: manifests, tags, open uploads. Blobs go with garbage collection alone. */
async function holdings(): Promise<{ manifests: number; uploads: number; tags: object[] }> {
  const { summary, repositories, activeSessions } = (await call(registry, 'GET', '/api/registry/state')).json;
  return {
    manifests: summary.totalManifests,
    uploads: activeSessions.count,
    tags: repositories.filter(({ tagCount }: { tagCount: number }) => tagCount > 0),
  };
}

/** Resolves with the registry's nth answer, from now on, to such a request. */
function answered(nth: number, method?: string): Promise<void> {
  return new Promise((resolve) => {
    let left = nth;
    const listener = (line: RequestLine): void => {
      if ((method !== undefined && line.method !== method) || --left > 0) return;
      listeners.delete(listener);
      resolve();
    };
    listeners.add(listener);
  });
}

function interrupt(argv: readonly string[], moment: Promise<void> | RegExp): Promise<Ended> {
  // The cache is as on a machine where it has run before.
  return runInterrupted(['torture', ...argv, '--registry-url', registry.url], moment, {
    XDG_CACHE_HOME: cache,
  });
}

describe.each(COMMANDS.map(([name, argv], at) => ({ name, argv, at })))(
  'torture $name, interrupted',
  ({ name, argv, at }) => {
    const draw = randomStream(SEED, 'worker', at);
    const between = (least: number, most: number): number => Math.floor(least + draw() * (most - least + 1));
    const long = [...argv, '--duration', '10m'];

    const ms = between(0, 600);
    test(`${ms} ms after its start`, async () => {
      let asked = 0;
      listeners.add(() => asked++);
      const run = await interrupt(long, sleep(ms));
      // Before Node has loaded the program the signal itself ends it, which a shell calls 130, too.
      if (run.signal === null) interruptedAnswer(run);
      else expect([run.signal, run.stdout, asked]).toEqual(['SIGINT', '', 0]);
      expect(await holdings()).toEqual(before);
    });

    const early = between(1, 9);
    test(`while it makes ready, at answer ${early}`, async () => {
      interruptedAnswer(await interrupt(long, answered(early)));
      expect(await holdings()).toEqual(before);
    });

    const late = between(40, 150);
    test(`under load, at answer ${late}`, async () => {
      const { result } = interruptedAnswer(await interrupt(long, answered(late)));
      expect(result).toMatchObject({ interrupted: true });
      expect(await holdings()).toEqual(before);
    });

    // What a deleting client has left by then hangs on the moment.
    if (name.endsWith('delete')) return;
    test(`of a registry that answers no more after ${late}`, async () => {
      const stuck = answered(late).then(async () => {
        for (const fault of parseFaults('delay=10m')) registry.faults.add(fault);
        await sleep(200);
      });
      const { result } = interruptedAnswer(await interrupt(long, stuck));
      expect(result).toMatchObject({ interrupted: true });
      const { cleanup } = result.stress ?? result;
      registry.faults.clear();
      const isLeft = (await holdings()).manifests > before.manifests;
      // Where images are deleted too, and where the load may only just have begun, there may be none just then.
      if (name === 'stress push') expect(isLeft).toBe(true);
      // What cannot be removed is told.
      if (isLeft) expect(cleanup.manifestsLeft).toBeGreaterThan(0);
    });
  },
);

test.each(WRITERS)('torture %s, interrupted while it cleans up', async (_name, argv) => {
  for (const fault of parseFaults('DELETE delay=100ms')) registry.faults.add(fault);
  // A warm-up is not counted: how much would have to be removed would hang on how fast the machine is.
  const counted = argv.filter((word, at) => word !== '--warmup' && argv[at - 1] !== '--warmup');
  const short = [...counted, '--duration', '1500ms', '-c', '2', '--count', '40'];
  const { result } = interruptedAnswer(await interrupt(short, /Removing what was written/));
  expect((result.stress ?? result).cleanup).toMatchObject({ manifestsLeft: 0, complete: true });
  expect(await holdings()).toEqual(before);
});

test('a reader that has seen enough ends it silently, and what was written is removed', async () => {
  const argv = ['stress', '--workload', 'push', '--duration', '10m', '--format', 'ndjson', ...WRITES];
  const run = await runShell(
    `regops torture ${argv.join(' ')} --registry-url ${registry.url} --quiet | head -1; echo "\${PIPESTATUS[0]}"`,
  );
  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  expect(run.stdout).toMatch(/^\{"type":"load".*\n0\n$/);
  expect(await holdings()).toEqual(before);
});
