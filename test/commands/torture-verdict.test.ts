import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { parseFaults } from '../../src/testbed/index.ts';
import { type RunOptions, type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call, pushImage } from '../support/testbed-client.ts';
import { ended, openRegistry, type Registry } from './support.ts';

const folder = useTempFolder();

/** How many seeds every lie is told with; twenty were tried by hand. */
const SEEDS = Array.from({ length: Number(process.env['REGOPS_VERDICT_SEEDS'] ?? 1) }, (_, at) => at + 1);

const [LEAST, MOST] = ['1s', '8s'];
const quickFor = (duration: string): string[] => [
  ...['--yes-write', '--duration', duration, '--settle', '1s', '-c', '16'],
];
const QUICK = quickFor('2s');

function stress(
  registry: Registry,
  workload: string,
  argv: readonly string[],
  options?: RunOptions,
): Promise<RunResult> {
  return runCommand(
    'torture stress',
    ['--registry-url', registry.url, '--workload', workload, ...argv],
    options,
  );
}

/** Names of the invariants that a run found broken. */
function violated({ invariants }: { invariants: { name: string; violations: number }[] }): string[] {
  return invariants.filter(({ violations }) => violations > 0).map(({ name }) => name);
}

/** Everything that is still tagged, or known by its repository's name alone. */
async function tagsIn(registry: Registry): Promise<string[]> {
  const catalog = JSON.parse((await call(registry, 'GET', '/v2/_catalog')).body.toString());
  const tags: string[] = [];
  for (const repository of catalog.repositories) {
    const list = JSON.parse((await call(registry, 'GET', `/v2/${repository}/tags/list`)).body.toString());
    for (const tag of list.tags ?? []) tags.push(`${repository}:${tag}`);
  }
  return tags;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(20);
}

describe('a registry that lies is found out', () => {
  test.each([
    ['stale tag reads', 'register', 'GET manifests stale=300ms', ['stale-read']],
    [
      'updates that are lost after 201',
      'register',
      'PUT manifests undone probability=0.1',
      ['stale-read', 'lost-update', 'read-your-writes'],
    ],
    [
      'updates that are lost a while after 201',
      'register',
      'PUT manifests undone=300ms probability=0.3',
      ['stale-read', 'lost-update', 'tag-lost'],
    ],
    ['torn manifests', 'register', 'GET manifests torn probability=0.1', ['torn-manifest']],
    [
      'a wrong digest header',
      'register',
      'GET,HEAD manifests digest=wrong probability=0.1',
      ['digest-header'],
    ],
    ['blobs that are lost after 201', 'ledger', 'PUT blobs undone probability=0.1', ['blob-lost']],
    ['blobs that are missing for good', 'ledger', 'blobs missing share=0.1', ['blob-lost']],
    ['blobs with other bytes', 'ledger', 'GET blobs corrupt probability=0.1', ['digest-integrity']],
    [
      'a shared blob that one upload takes away',
      'herd',
      // A while after: on a machine with much to do, what goes at once comes again with the next upload.
      'PUT blobs undone=1s probability=0.5',
      ['blob-lost'],
    ],
    [
      'what was deleted is back',
      'delete-retag',
      'DELETE manifests undone=10ms probability=0.5',
      ['tag-resurrected', 'deleted-manifest-readable'],
    ],
    [
      'siblings that go with a deleted tag',
      'delete-retag',
      'DELETE manifests siblings',
      ['sibling-tag-removed'],
    ],
    ['a tag list that forgets', 'list-lag', 'tags forget', ['tag-list-converges', 'tag-list-lost']],
    ['a referrers list that forgets', 'referrers', 'referrers forget', ['referrer-lost']],
    [
      'uploads that are swept away',
      'session-hop',
      'POST uploads sweep=uploads probability=0.1',
      ['upload-lost'],
    ],
    [
      'blobs that are swept away',
      'gc-race',
      'PUT blobs sweep=blobs every=20',
      ['blob-lost', 'blob-collected'],
    ],
  ])('%s', { timeout: 300_000 * SEEDS.length }, async (_, workload, faults, names) => {
    for (const seed of SEEDS) {
      const told = async (duration: string) => {
        const registry = await openRegistry({ faults: parseFaults(faults), faultSeed: seed });
        const repro = folder('repro.json');
        const argv = [...quickFor(duration), '--seed', String(seed), '--require', 'linearizable', '--json'];
        const run = await stress(registry, workload, [...argv, '--repro', repro]);
        const { result } = run.json();
        const finding = result.findings.find(({ invariant }: { invariant: string }) =>
          names.includes(invariant),
        );
        return { registry, run, result, finding, repro };
      };
      const first = await told(LEAST);
      // A machine that is busy does less in its time.
      const { registry, run, result, finding, repro } = first.finding ? first : await told(MOST);
      expect(finding, `seed ${seed}: ${violated(result)}`).toBeDefined();
      ended(1, run);
      expect(finding.operations.length).toBeGreaterThan(0);
      expect(finding.operations.length).toBeLessThanOrEqual(6);
      expect(finding.sentence).toMatch(/\.$/);
      expect(result).toMatchObject({ verdict: 'violated', workload, seed, late: 0 });
      expect(await namesBelow(registry, result.cleanup.writePrefix, faults)).toEqual([]);
      expect(await comesTrueAgain(repro, registry), `seed ${seed}: ${repro}`).toBe(true);
    }
  });
});

/** Whether what was found comes true again: a lie that is told now and then takes more rounds, or more company. */
async function comesTrueAgain(repro: string, registry: Registry): Promise<boolean> {
  const argv = [repro, '--registry-url', registry.url, '--yes-write', '--gc-hook', 'true', '--json'];
  for (const [times, company] of [2, 20, 100, 300].flatMap((some) => [
    [some, 2] as const,
    [some, 14] as const,
  ])) {
    const more = ['--times', String(times), '--company', String(company)];
    const { result } = (await runCommand('torture replay', [...argv, ...more])).json();
    if (result.reproduced > 0) return true;
  }
  return false;
}

/** What a run has left of its own, where the registry is honest about deletes and lists. */
async function namesBelow(registry: Registry, prefix: string, faults: string): Promise<string[]> {
  if (/DELETE|tags|missing/.test(faults)) return [];
  return (await tagsIn(registry)).filter((name) => name.startsWith(`${prefix}/`));
}

describe('of an honest registry nothing is found', () => {
  test.each([
    'register',
    'ledger',
    'herd',
    'delete-retag',
    'list-lag',
    'referrers',
    'session-hop',
    'gc-race',
  ])('%s', { timeout: 300_000 * SEEDS.length }, async (workload) => {
    for (const seed of SEEDS) {
      const registry = await openRegistry();
      const argv = [...QUICK, '--seed', String(seed), '--require', 'linearizable', '--json'];
      const { result } = ended(0, await stress(registry, workload, argv)).json();
      expect(violated(result)).toEqual([]);
      expect(result.findings).toEqual([]);
      expect(result).toMatchObject({ level: 'linearizable', late: 0, tags: { unknown: 0 } });
      expect(result.operations).toBeGreaterThan(50);
      expect(result.cleanup).toMatchObject({ manifestsLeft: 0, left: [], complete: true });
      expect(await tagsIn(registry)).toEqual([]);
    }
  });

  test('nor of one whose answers get lost, but that does what it is told', async () => {
    const registry = await openRegistry({
      faults: parseFaults(
        `PUT manifests reset=after probability=0.05; PUT manifests status=503 handled probability=0.05
         PUT manifests hang=after probability=0.01; GET manifests reset=mid probability=0.05
         PUT manifests status=500 probability=0.05`,
      ),
      faultSeed: 3,
    });
    const argv = [...QUICK, '--timeout', '500ms', '--require', 'linearizable', '--json'];
    const { result } = (await stress(registry, 'register', argv)).json();
    expect(violated(result)).toEqual([]);
    expect(result.overlap.changePairs).toBeGreaterThan(10);
  });
});

describe('the record', () => {
  test('is judged offline as it was while the run went on', async () => {
    const registry = await openRegistry({ faults: parseFaults('GET manifests stale=300ms') });
    const history = folder('run.history');
    const run = await stress(registry, 'register', [...QUICK, '--history', history, '--json']);
    const { result } = ended(1, run).json();
    expect(result.history).toBe(history);
    const check = await runCommand('torture check', [history, '--settle', '1s', '--json']);
    const judged = ended(1, check).json().result;
    const { operations, level, overlap, late, registry: name, workload, seed, startedAt } = result;
    expect(judged).toMatchObject({
      operations,
      level,
      overlap,
      late,
      registry: name,
      workload,
      seed,
      startedAt,
    });
    expect(judged.tags.byLevel).toEqual(result.tags.byLevel);
    expect(judged.kinds).toEqual(result.kinds);
    expect(judged.kinds.map(({ kind }: { kind: string }) => kind)).toEqual(
      expect.arrayContaining(['get-manifest', 'put-manifest']),
    );
    // What is looked at when all is quiet is judged, and no figure of the load's.
    const counted = judged.kinds.reduce((sum: number, { count }: { count: number }) => sum + count, 0);
    expect(counted).toBeLessThan(operations);
    // How often a tag is told as stale hangs on how often it was looked at.
    expect(violated(judged)).toEqual(violated(result));
  });

  test('has several repositories, each judged when it has seen enough', async () => {
    const registry = await openRegistry();
    const history = folder('epochs.history');
    const argv = ['--yes-write', '--duration', '4s', '--settle', '200ms', '-c', '8', '--history', history];
    const { result } = ended(0, await stress(registry, 'list-lag', [...argv, '--json'])).json();
    const ends = (await readFile(history, 'utf8')).split('\n').filter((line) => line.startsWith('["e",'));
    expect(ends.length).toBeGreaterThan(1);
    expect(result).toMatchObject({ findings: [], late: 0, cleanup: { manifestsLeft: 0 } });
    expect(await tagsIn(registry)).toEqual([]);
  });

  test('of an interrupted run is judged as far as it got, and what was written is removed', async () => {
    const registry = await openRegistry();
    const history = folder('interrupted.history');
    const argv = ['--yes-write', '--duration', '10m', '--history', history, '--json'];
    const run = await stress(registry, 'register', argv, {
      whileRunning: async (signal) => {
        await until(() => registry.requests.length > 300);
        signal('SIGINT');
      },
    });
    const answer = ended(130, run).json();
    expect(answer).toMatchObject({
      interrupted: true,
      result: { interrupted: true, findings: [], cleanup: { manifestsLeft: 0, complete: true } },
    });
    expect(answer.result.operations).toBeGreaterThan(100);
    expect(await tagsIn(registry)).toEqual([]);
    expect(ended(0, await runCommand('torture check', [history, '--json'])).json().result.operations).toBe(
      answer.result.operations,
    );
    expect(await leftBeside(history)).toEqual([]);
  });

  test('of a registry that goes away is no proof that it kept anything', async () => {
    const registry = await openRegistry();
    const history = folder('gone.history');
    const argv = ['--yes-write', '--duration', '2s', '--settle', '200ms', '-c', '4', '--history', history];
    const run = await stress(registry, 'register', [...argv, '--json'], {
      whileRunning: async () => {
        await until(() => registry.requests.length > 300);
        await registry.close();
      },
    });
    const { result, error } = ended(69, run).json();
    expect(error.code).toBe('CONNECTION_FAILED');
    expect(result).toMatchObject({ verdict: 'inconclusive', unseenRepositories: 1, findings: [] });
    const checked = ended(1, await runCommand('torture check', [history, '--strict', '--json'])).json();
    expect(checked.result).toMatchObject({ verdict: 'inconclusive', unseenRepositories: 1 });
    const told = ended(0, await runCommand('torture check', [history])).stdout;
    expect(told).toMatch(/^unknown {2}conclusive: 1 repository gave no answer when all was quiet/m);
  });

  test('of a run that is interrupted while the registry says nothing is there in time', async () => {
    const registry = await openRegistry({
      faults: parseFaults('GET manifests hang=before'),
    });
    const argv = ['--yes-write', '--duration', '10m', '--seed', '7', '--json'];
    const run = await stress(registry, 'register', argv, {
      whileRunning: async (signal) => {
        await until(() =>
          registry.requests.some(({ method, path }) => method === 'PUT' && path.includes('/manifests/')),
        );
        signal('SIGINT');
      },
    });
    expect(ended(130, run).json()).toMatchObject({
      interrupted: true,
      result: { findings: [], cleanup: { manifestsLeft: 0 } },
    });
    expect(await tagsIn(registry)).toEqual([]);
  });

  test('takes nothing that was there before for its own', async () => {
    const registry = await openRegistry();
    await pushImage(registry, 'scratch/w0', 't0');
    const argv = [...QUICK, '--write-prefix', 'scratch', '--json'];
    const { result } = ended(0, await stress(registry, 'register', argv)).json();
    expect(violated(result)).toEqual([]);
    expect(result.cleanup.writePrefix).toMatch(/^scratch\/\w+$/);
    expect(await tagsIn(registry)).toEqual(['scratch/w0:t0']);
  });

  test('has the garbage collections of the hook', async () => {
    const registry = await openRegistry();
    const [history, marks] = [folder('gc.history'), folder('collected')];
    const hook = ['--gc-hook', `echo collected >> '${marks}'`];
    const argv = [...QUICK, '--history', history, ...hook, '--json'];
    const { result } = ended(0, await stress(registry, 'gc-race', argv)).json();
    expect(violated(result)).toEqual([]);
    const times = (await readFile(marks, 'utf8')).trim().split('\n').length;
    const collections = (await readFile(history, 'utf8')).split('\n').filter((line) => /^\[14,/.test(line));
    expect(collections.length).toBe(times);
  });
});

/** What the writing of a file has left beside it. */
async function leftBeside(path: string): Promise<string[]> {
  return (await readdir(dirname(path))).filter(
    (name) => name.startsWith('.regops') && name !== basename(path),
  );
}

describe('flags that do not go together', () => {
  test.each([
    ['register', [], '--yes-write'],
    ['register', ['--yes-write', '--rate', '5/s'], '--rate'],
    ['register', ['--yes-write', '--threshold', 'p99<1s'], '--threshold'],
    ['register', ['--yes-write', '--gc-hook', 'true'], '--gc-hook'],
    ['gc-race', ['--yes-write', '--gc-hook', 'true', '-c', '1'], '--concurrent-requests 2'],
    ['admin', ['--history', 'x'], '--history'],
    ['admin', ['--allow', 'stale-read'], '--allow'],
    ['register', ['--yes-write', '--allow', 'constructor'], "'constructor' is no finding"],
  ])('%s %j', async (workload, argv, named) => {
    const registry = await openRegistry();
    const run = ended(64, await stress(registry, workload, argv));
    expect(run.stderr).toContain(named);
    expect(registry.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
  });
});

test('a registry without referrers API has nothing to judge of it', async () => {
  const registry = await openRegistry({
    faults: parseFaults('GET referrers status=404 body="404 page not found"'),
  });
  const run = ended(76, await stress(registry, 'referrers', QUICK));
  expect(run.stderr).toContain('has no referrers API');
});

test('what cannot be removed is counted and named', async () => {
  const registry = await openRegistry({ faults: parseFaults('DELETE manifests status=405') });
  const argv = ['--yes-write', '--duration', '500ms', '--settle', '100ms', '-c', '2', '--json'];
  const answer = (await stress(registry, 'ledger', argv)).json();
  const { cleanup } = answer.result;
  expect(cleanup).toMatchObject({ manifestsRemoved: 0, complete: true });
  expect(cleanup.manifestsLeft).toBe(cleanup.manifestsPushed);
  expect(cleanup.left[0]).toMatchObject({ reason: expect.stringContaining('405') });
  expect(answer.warnings.join()).toContain(`${cleanup.manifestsLeft} manifests below`);
});
