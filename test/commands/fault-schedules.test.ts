import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/index.ts';
import { parseFaults, type RequestLine } from '../../src/testbed/index.ts';
import { type FaultSchedule, faultSchedule } from '../support/fault-schedules.ts';
import { makeImage, type TestImage, writeDockerArchive, writeOciArchive } from '../support/image-archives.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { call, digestOf } from '../support/testbed-client.ts';
import { openRegistry, type Registry } from './support.ts';

// Whatever goes wrong on the way, a push ends with a whole image or with an error of its own: never with a wrong image
// under the tag, and nothing is left behind that could have been cleaned up. `FAULT_SEEDS=17,40..60` chooses seeds.

const SEEDS = seedsOf(process.env['FAULT_SEEDS'] ?? '1..300');
/** As many as one test runs, so that a slow machine does not meet the limit of one. */
const BATCH = 25;
/** Whatever a registry does, this much is too long for so small an image. */
const LONGEST_MS = 20_000;
const TIMEOUT = ['--timeout', '250ms', '--retries', '2'];
const ERROR_CODES = [65, 66, 69, 75, 76, 77];

function seedsOf(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [from = 0, to = from] = part.split('..').map(Number);
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
}

let archives = '';
let image: TestImage;

beforeAll(async () => {
  archives = await mkdtemp(join(tmpdir(), 'regops-test-'));
  image = await makeImage({
    seed: 'faults',
    names: ['app:1'],
    layers: [{ size: 30_000 }, { size: 900 }],
  });
  await writeOciArchive(join(archives, 'oci'), [image]);
  await writeDockerArchive(join(archives, 'docker'), [image]);
});

afterAll(() => rm(archives, { recursive: true, force: true }));

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);

beforeEach(() => {
  // Pauses between tries are waited for a hundredth of their time; the testbed has a clock of its own.
  const sleep = systemClock.sleep.bind(systemClock);
  vi.spyOn(systemClock, 'sleep').mockImplementation((ms, signal) => sleep(ms / 100, signal));
  process.on('unhandledRejection', note);
});

afterEach(() => {
  vi.restoreAllMocks();
  process.off('unhandledRejection', note);
});

const batches = Array.from({ length: Math.ceil(SEEDS.length / BATCH) }, (_, at) =>
  SEEDS.slice(at * BATCH, (at + 1) * BATCH),
);

test.each(batches.map((seeds) => [seeds[0], seeds.at(-1), seeds] as const))(
  'seeds %i to %i',
  async (_first, _last, seeds) => {
    const wrong: string[] = [];
    for (const seed of seeds) {
      const schedule = faultSchedule(seed);
      const problems = await problemsOf(schedule);
      if (problems.length > 0) wrong.push(JSON.stringify(schedule), ...problems);
    }
    expect(wrong.join('\n')).toBe('');
  },
);

/** Pushes and inspects under the faults of a schedule; gives what must not have happened. */
async function problemsOf(schedule: FaultSchedule): Promise<string[]> {
  const { seed, faults, tokenAuth, archive, push } = schedule;
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
  const registry = await openRegistry({
    tokenAuth,
    faults: parseFaults(faults),
    faultSeed: seed,
    clock: {
      now: () => Date.now(),
      sleep: async (ms, signal) => void (await Promise.race([sleep(ms), aborted(signal)])),
    },
  });
  const problems: string[] = [];
  const bounded = async (what: string, argv: readonly string[]): Promise<RunResult | undefined> => {
    const began = performance.now();
    const run = await runCommand(what, [...argv, ...TIMEOUT, '--json']);
    const ms = performance.now() - began;
    if (ms > LONGEST_MS) problems.push(`${what} took ${Math.round(ms)} ms`);
    return run;
  };
  const target = ['--registry-url', registry.url];
  const pushed = (await bounded('push-tar', [
    join(archives, archive),
    ...target,
    ...push,
    '--no-cache',
  ])) as RunResult;
  const pushWent = pushed.exitCode === 0;
  if (!pushWent) problems.push(...notClean('push-tar', pushed, ERROR_CODES));
  const inspected = (await bounded('inspect', ['app:1', ...target, '--check', '--deep'])) as RunResult;
  if (inspected.exitCode !== 0) problems.push(...notClean('inspect', inspected, [1, ...ERROR_CODES]));

  const counts = registry.faults.counts();
  registry.faults.clear();
  const state = await stateOf(registry, tokenAuth);
  const promised = pushWent ? pushed.json().result.images[0].digest : undefined;
  if (state.digest === undefined ? pushWent : promised !== undefined && state.digest !== promised) {
    problems.push(`push-tar ended with ${pushed.exitCode} and the tag is ${state.digest}, not ${promised}`);
  }
  problems.push(...state.problems);
  const excused = counts.reduce((sum, { name, fired }) => sum + (name.startsWith('lost') ? fired : 0), 0);
  await vi
    .waitFor(() => expect(registry.openUploads()).toBeLessThanOrEqual(excused), 20_000)
    .catch(() => problems.push(`${registry.openUploads()} sessions are open, ${excused} are excused`));
  if (registry.foreignRequests.some(({ hadCredentials }) => hadCredentials)) {
    problems.push('credentials went to another origin');
  }
  for (const reason of unhandled.splice(0)) problems.push(`unhandled: ${String(reason)}`);
  await registry.close();
  if (problems.length > 0) problems.push(...registry.requests.map(shown));
  return problems;
}

/** A request as a failure shows it. */
function shown({ method, path, status, bytesIn, faults = [] }: RequestLine): string {
  return `${method} ${path.replace(/(sha256:.{8})\S*/, '$1')} ${status} in ${bytesIn} ${faults.join(' ')}`;
}

/** Why a failed run is not a clean end. */
function notClean(what: string, run: RunResult, codes: readonly number[]): string[] {
  const { exitCode } = run;
  const said = `${what} ended with ${exitCode}: ${run.stderr.slice(0, 400)}`;
  if (!codes.includes(exitCode)) return [said];
  const answer = run.json();
  const isTold = exitCode === 1 ? answer.result !== null : typeof answer.error?.message === 'string';
  return answer.exitCode === exitCode && isTold ? [] : [`${said}${run.stdout.slice(0, 400)}`];
}

/** What the tag is, seen by a client of the tests' own, and what is wrong with what it points at. */
async function stateOf(
  registry: Registry,
  tokenAuth: boolean,
): Promise<{ digest?: string; problems: string[] }> {
  const headers: Record<string, string> = {};
  if (tokenAuth) {
    const answer = await call(registry, 'GET', '/token?service=regops-testbed&scope=repository:app:pull');
    headers['authorization'] = `Bearer ${answer.json.token}`;
  }
  const manifest = await call(registry, 'GET', '/v2/app/manifests/1', { headers });
  if (manifest.status === 404) return { problems: [] };
  const problems: string[] = [];
  const { config, layers } = manifest.json;
  if (config.digest !== digestOf(image.config) || layers.length !== image.layers.length) {
    problems.push(`the tag is another image: ${manifest.body}`);
  }
  const diffIds = [undefined, ...image.layers.map((layer) => layer.digest)];
  for (const [at, { digest, size }] of [config, ...layers].entries()) {
    const { status, body } = await call(registry, 'GET', `/v2/app/blobs/${digest}`, { headers });
    if (status !== 200 || digestOf(body) !== digest || body.length !== size) {
      problems.push(`the tag is there, its blob ${digest} is not: ${status}, ${body.length} bytes`);
    } else if (diffIds[at] && digestOf(gunzipSync(body)) !== diffIds[at]) {
      problems.push(`layer ${digest} is not ${diffIds[at]}`);
    }
  }
  return { digest: digestOf(manifest.body), problems };
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
