import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HistoryEncoder, type InvariantName, type Operation } from '../../src/history/index.ts';
import { parseFaults } from '../../src/testbed/index.ts';
import { type RunOptions, type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call } from '../support/testbed-client.ts';
import { parseXml } from '../support/xml.ts';
import { LIES } from '../unit/history/lies.ts';
import { ended, openRegistry, type Registry } from './support.ts';

const folder = useTempFolder();

/** Judges a history that was made up, and gives the repro file of what was found. */
async function reproFile(operations: readonly Operation[], settle = '1ms'): Promise<string> {
  const encoder = new HistoryEncoder();
  const history = folder('run.history');
  await writeFile(
    history,
    encoder.header({ seed: 7 }) + operations.map((one) => encoder.operation(one)).join(''),
  );
  const file = folder('repro.json');
  const argv = ['--require', 'linearizable', '--settle', settle, '--repro', file];
  ended(1, await runCommand('torture check', [history, ...argv]));
  return file;
}

/** A repro file of the user's own making. */
async function written(repro: object): Promise<string> {
  const file = folder('repro.json');
  await writeFile(file, JSON.stringify({ format: 'regops-repro', version: 1, ...repro }));
  return file;
}

function replay(
  file: string,
  registry: Registry,
  argv: readonly string[] = [],
  options?: RunOptions,
): Promise<RunResult> {
  return runCommand(
    'torture replay',
    [file, '--registry-url', registry.url, '--yes-write', ...argv],
    options,
  );
}

async function lying(faults: string): Promise<Registry> {
  return openRegistry({ faults: parseFaults(faults), faultSeed: 7 });
}

/** Manifests that can still be found by a tag. */
async function tagsIn(registry: Registry): Promise<string[]> {
  const { repositories } = JSON.parse((await call(registry, 'GET', '/v2/_catalog')).body.toString());
  const lists = await Promise.all(
    repositories.map(async (repository: string) => {
      const { status, body } = await call(registry, 'GET', `/v2/${repository}/tags/list`);
      return status === 200 ? (JSON.parse(body.toString()).tags ?? []) : [];
    }),
  );
  return lists.flat();
}

describe('a counterexample', () => {
  test.each<[InvariantName, string]>([
    ['stale-read', 'GET manifests stale=1changes'],
    ['tag-lost', 'PUT manifests undone'],
    ['torn-manifest', 'torn'],
    ['sibling-tag-removed', 'DELETE siblings'],
    ['tag-list-converges', 'tags forget=latest'],
    ['tag-list-lost', 'tags forget=latest'],
    ['referrer-lost', 'referrers forget'],
    ['blob-lost', 'HEAD,GET blobs missing'],
    ['upload-lost', 'PATCH sweep=uploads'],
    ['digest-header', 'GET manifests digest=wrong'],
    ['digest-integrity', 'GET manifests corrupt'],
    ['deleted-manifest-readable', 'DELETE manifests undone'],
    ['tag-resurrected', 'DELETE manifests undone'],
    ['server-error', 'GET manifests status=500'],
  ])(
    'of %s comes true again on a registry that lies so (%s), and never on an honest one',
    async (name, faults) => {
      const file = await reproFile(LIES[name][1]);
      const liar = await lying(faults);
      const { result } = ended(1, await replay(file, liar, ['--times', '2', '--json'])).json();
      expect(result).toMatchObject({ times: 2, reproduced: 2, interrupted: false });
      expect(result.finding.operations.length).toBeGreaterThan(0);

      const honest = await openRegistry();
      const run = ended(0, await replay(file, honest, ['--times', '2', '--json'])).json();
      expect(run.result).toMatchObject({ reproduced: 0, otherwise: 0, finding: null });
      expect(run.result.rounds).toHaveLength(2);
      expect(run.result.cleanup).toMatchObject({ manifestsLeft: 0, complete: true });
      expect(await tagsIn(honest)).toEqual([]);
    },
  );

  test('that rests on what others do comes true again in company, and not alone', async () => {
    const [open, extend] = LIES['upload-lost'][1] as [Operation, Operation];
    const [callUs, returnUs] = [400_000, 400_001];
    const file = await reproFile([open, { ...extend, callUs, returnUs }], '10s');
    // Who opens an upload ends those of all others.
    const liar = await lying('POST uploads sweep=uploads');
    const played = async (registry: Registry, company: string) =>
      (await replay(file, registry, ['--times', '2', '--company', company, '--json'])).json();
    expect(await played(liar, '4')).toMatchObject({ exitCode: 1, result: { reproduced: 2 } });
    expect(await played(liar, '0')).toMatchObject({ exitCode: 0, result: { reproduced: 0, otherwise: 0 } });
    const honest = await openRegistry();
    expect(await played(honest, '4')).toMatchObject({ exitCode: 0, result: { reproduced: 0, otherwise: 0 } });
  });

  test.each(Object.keys(LIES) as InvariantName[])('of %s can be played', async (name) => {
    const file = await reproFile(LIES[name][1]);
    const honest = await openRegistry();
    const argv = ['--times', '1', '--gc-hook', 'true', '--json'];
    const { result } = ended(0, await replay(file, honest, argv)).json();
    expect(result.rounds).toEqual([{ reproduced: false, violated: [], durationMs: expect.any(Number) }]);
  });

  test('is found by stress, and comes true again', async () => {
    const registry = await lying('GET manifests stale=1s');
    const file = folder('found.json');
    const argv = ['--registry-url', registry.url, '--yes-write', '--workload', 'register', '--repro', file];
    const quick = ['--duration', '500ms', '--settle', '100ms', '-c', '8', '--json'];
    const stress = ended(1, await runCommand('torture stress', [...argv, ...quick]));
    expect(stress.json().result.repro).toBe(file);
    const { result } = ended(1, await replay(file, registry, ['--times', '3', '--json'])).json();
    expect(result.reproduced).toBeGreaterThan(0);
  });

  test('that comes true as something else is told apart, and is not what was asked', async () => {
    const file = await reproFile(LIES['blob-lost'][1]);
    const registry = await lying('GET manifests digest=wrong');
    const { result } = ended(0, await replay(file, registry, ['--times', '2', '--json'])).json();
    expect(result).toMatchObject({ reproduced: 0, otherwise: 2, finding: { invariant: 'digest-header' } });
    const alone = ['--times', '2', '--company', '0', '--json'];
    expect(ended(0, await replay(file, registry, alone)).json().result.otherwise).toBe(0);
    const text = ended(0, await replay(file, registry, ['--times', '1'])).stdout;
    expect(text).toMatch(/^warn {2}other invariants: digest-header violated in 1 round instead$/m);
  });

  test('writes only below the prefix, each round in a repository of its own', async () => {
    const file = await reproFile(LIES['stale-read'][1]);
    const registry = await openRegistry();
    ended(0, await replay(file, registry, ['--times', '3', '--write-prefix', 'mine/here']));
    const repositories = new Set(
      registry.requests
        .filter(({ method }) => method === 'PUT')
        .map(({ path }) => /^\/v2\/(.+)\/(manifests|blobs)\//.exec(path)?.[1]),
    );
    // A name of the run's own lies between: what another run left behind must not be taken for what this one wrote.
    const places = [...repositories].map((repository) => /^mine\/here\/(\w+)\/(r\d)$/.exec(repository ?? ''));
    expect(new Set(places.map((place) => place?.[1])).size).toBe(1);
    expect(places.map((place) => place?.[2]).toSorted()).toEqual(['r1', 'r2', 'r3']);
  });

  test('needs leave to write, and a hook for a garbage collection', async () => {
    const registry = await openRegistry();
    const file = await reproFile(LIES['blob-collected'][1]);
    const run = ended(64, await runCommand('torture replay', [file, '--registry-url', registry.url]));
    expect(run.stderr).toContain('--yes-write');
    expect(ended(64, await replay(file, registry)).stderr).toContain('--gc-hook');
    expect(registry.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
  });

  test('that is interrupted says how far it came, and leaves nothing behind', async () => {
    const file = await reproFile(LIES['stale-read'][1]);
    const registry = await openRegistry();
    const run = ended(
      130,
      await replay(file, registry, ['--times', '10000', '--json'], {
        async whileRunning(signal) {
          while (!registry.requests.some(({ path }) => path.includes('/r3/manifests/'))) await sleep(10);
          signal('SIGINT');
        },
      }),
    );
    const { result, interrupted } = run.json();
    expect(interrupted).toBe(true);
    expect(result.interrupted).toBe(true);
    expect(result.rounds.length).toBeGreaterThanOrEqual(2);
    expect(await tagsIn(registry)).toEqual([]);
  });

  test('whose registry goes away is not said to have come to nothing', async () => {
    const file = await reproFile(LIES['stale-read'][1]);
    const gone = async (registry: Registry) => {
      const run = await replay(file, registry, ['--times', '20', '--json'], {
        async whileRunning() {
          while (!registry.requests.some(({ path }) => path.includes('/r3/manifests/'))) await sleep(1);
          await registry.close();
        },
      });
      return run;
    };
    const answer = ended(69, await gone(await openRegistry())).json();
    expect(answer).toMatchObject({ error: { code: 'CONNECTION_FAILED' }, result: { reproduced: 0 } });
    expect(answer.result.rounds.length).toBeLessThan(20);
    // What had come true before is what was asked.
    const liar = ended(1, await gone(await lying('GET manifests stale=1changes'))).json();
    expect(liar.result.reproduced).toBeGreaterThan(0);
  });

  test('that is interrupted while the registry is silent does not wait for it', async () => {
    const file = await reproFile(LIES['stale-read'][1]);
    const registry = await lying('GET manifests hang=before');
    const run = ended(
      130,
      await replay(file, registry, ['--timeout', '10m', '--json'], {
        async whileRunning(signal) {
          while (!registry.faults.counts().some(({ fired }) => fired > 0)) await sleep(10);
          signal('SIGINT');
        },
      }),
    );
    expect(run.json().result).toMatchObject({ interrupted: true, rounds: [] });
  });

  test('is shown in every format', async () => {
    const file = await reproFile(LIES['digest-header'][1]);
    const registry = await lying('GET manifests digest=wrong');
    const shown = async (format: string) =>
      (await replay(file, registry, ['--times', '1', '--company', '0', '--format', format])).stdout;
    const text = await shown('table');
    expect(text).toMatch(/^reproduced +1 of 1$/m);
    expect(text).toMatch(/\|A=*/);
    expect(parseXml(await shown('junit')).attributes).toMatchObject({ failures: '1' });
    expect(await shown('html')).toContain('<svg class="timeline"');
    expect(await shown('prometheus')).toContain(
      `regops_torture_replay_reproduced_total{registry="${registry.name}",invariant="digest-header"} 1\n`,
    );
    expect(await shown('nagios')).toMatch(/CRITICAL - digest-header: violated again in 1 of 1 round/);
  });
});

const STEP = { client: 1, kind: 'get-manifest', tag: 'latest', atMs: 0, forMs: 1 };
const PLAY = { invariant: 'stale-read', sentence: '', prepare: [], steps: [STEP] };

describe('a repro file', () => {
  test('written by hand is played: all it takes is an invariant and steps', async () => {
    const registry = await openRegistry();
    const { result } = ended(
      0,
      await replay(await written(PLAY), registry, ['--times', '1', '--json']),
    ).json();
    expect(result).toMatchObject({ invariant: 'stale-read', reproduced: 0 });
  });

  test.each<[string, object, string]>([
    ['of another kind', { format: 'other' }, 'this is no repro file'],
    ['of a later version', { version: 2 }, 'version 2 is not known here'],
    ['of an unknown invariant', { invariant: 'constructor' }, 'invariant is none'],
    ['without steps', { steps: [] }, 'there are no steps'],
    ['whose steps are no list', { steps: { length: 1 } }, 'steps is no list'],
    ['with too many steps', { steps: Array.from({ length: 1001 }, () => STEP) }, 'more than 1000'],
    ['with an unknown kind', { steps: [{ ...STEP, kind: 'format-disk' }] }, 'steps[0]: kind is none'],
    [
      'with a tag that leaves its place',
      { steps: [{ ...STEP, tag: '../../v2/x' }] },
      'steps[0]: tag is none',
    ],
    ['with a digest for content', { steps: [{ ...STEP, manifest: 'sha256:0' }] }, 'manifest is none'],
    ['with a repository by name', { steps: [{ ...STEP, repository: 'team/app' }] }, 'repository is none'],
    [
      'with a blob beyond all bounds',
      { prepare: [{ client: 1, kind: 'put-blob', blob: 'b1', bytes: 1e12 }] },
      'bytes is none',
    ],
    [
      'with more bytes than a play needs',
      {
        prepare: Array.from({ length: 5 }, (_, at) => ({
          client: 1,
          kind: 'put-blob',
          blob: `b${at}`,
          bytes: 16 * 1024 * 1024,
        })),
      },
      'larger than a play may need',
    ],
    ['that would take days', { steps: [{ ...STEP, forMs: 1e9 }] }, 'times of up to an hour'],
    [
      'with a step that names nothing',
      { steps: [{ ...STEP, tag: undefined }] },
      'tag or manifest is missing',
    ],
    [
      'with a client that does two things at once',
      { steps: [STEP, { ...STEP, atMs: 0.5 }] },
      'steps of client 1 overlap',
    ],
    [
      'with an army of clients',
      { steps: Array.from({ length: 65 }, (_, client) => ({ ...STEP, client })) },
      'more than 64 clients',
    ],
  ])('%s is exit 65, and nothing is sent', async (_, change, message) => {
    const registry = await openRegistry();
    const run = ended(65, await replay(await written({ ...PLAY, ...change }), registry, ['--json']));
    expect(run.json().error).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining(message),
    });
    expect(registry.requests).toEqual([]);
  });

  test('whose manifests refer to each other in a circle is played', async () => {
    const registry = await openRegistry();
    const put = (manifest: string, subject: string, atMs: number) => ({
      client: 1,
      kind: 'put-manifest',
      manifest,
      subject,
      atMs,
      forMs: 1,
    });
    const file = await written({ ...PLAY, steps: [put('m1', 'm2', 0), put('m2', 'm1', 5)] });
    ended(0, await replay(file, registry, ['--times', '1']));
  });

  test('of any JSON is played or refused, and never a bug of ours', async () => {
    const registry = await openRegistry();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(
          'client',
          'kind',
          'tag',
          'manifest',
          'blob',
          'upload',
          'blobs',
          'subject',
          'bytes',
          'atMs',
        ),
        fc.oneof(fc.jsonValue(), fc.constantFrom('m1', 'b1', 'u1', 'put-blob', 'list-tags', 'open-upload')),
        async (field, value) => {
          const file = await written({ ...PLAY, steps: [{ ...STEP, [field]: value }] });
          const { exitCode } = await replay(file, registry, ['--times', '1', '--company', '0']);
          expect([0, 65]).toContain(exitCode);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('that is no JSON is exit 65, and one that is not there 66', async () => {
    const registry = await openRegistry();
    const file = folder('repro.json');
    await writeFile(file, '{');
    ended(65, await replay(file, registry));
    ended(66, await replay(folder('none.json'), registry));
  });
});
