import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { RequestLine } from '../../src/testbed/index.ts';
import { runCommand } from '../support/run-command.ts';
import { pushImage } from '../support/testbed-client.ts';
import { countKinds, kindOf } from '../unit/jobs/torture/stress-support.ts';
import { openRegistry, type Registry } from './support.ts';

// What issue 3 promises of stress's figures, against the registry's own access log.

/** What the job itself asks beside the load: it looks for images and learns where tokens come from. */
const OWN = new Set(['base', 'catalog', 'tags', 'headManifest', 'headBlob', 'GET /api/registry/storage']);

async function filled(): Promise<Registry> {
  const registry = await openRegistry();
  await pushImage(registry, 'team/app', 'v1');
  await pushImage(registry, 'team/app', 'v2');
  await pushImage(registry, 'team/web', 'v1');
  return registry;
}

/**
 * Runs stress, and gives its result and what the registry logged meanwhile.
 *
 * @param fault set when the load has begun, however long that takes
 */
async function stressed(
  registry: Registry,
  argv: readonly string[],
  fault?: string,
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any command's result
): Promise<{ result: any; lines: readonly RequestLine[] }> {
  const before = registry.requests.length;
  const hasBegun = (): boolean => registry.requests.slice(before).some((line) => kindOf(line) === 'health');
  const run = await runCommand('torture stress', ['--registry-url', registry.url, '--json', ...argv], {
    async whileRunning() {
      if (fault === undefined) return;
      while (!hasBegun()) await sleep(10);
      registry.faults.add(fault);
    },
  });
  // 1 too: the generator shares the machine with its registry, and says so when it was bound.
  expect([0, 1], run.stderr + run.stdout).toContain(run.exitCode);
  const { result } = run.json();
  expect(result.totals.failed).toBe(0);
  return { result, lines: registry.requests.slice(before) };
}

const TRIES = 3;

/**
 * Runs stress, and again when the figures are not as they should be: the machine may have been busy. What the threads of
 * the generator and of the registry, which is this one, were held up is part of what a client measures and the registry
 * does not know of: with the last try it is allowed for.
 */
async function checkFigures(
  faults: { readonly before?: string; readonly meanwhile?: string },
  argv: readonly string[],
  check: (seen: Awaited<ReturnType<typeof stressed>>, heldUpMs: number) => void,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const registry = await filled();
    if (faults.before) registry.faults.add(faults.before);
    const delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    const seen = await stressed(registry, argv, faults.meanwhile);
    delays.disable();
    if (tries === TRIES) return check(seen, seen.result.generator.eventLoopDelayP99Ms + delays.max / 1e6);
    try {
      return check(seen, 0);
    } catch {
      // Once more.
    }
  }
}

/** The time that so many percent do not exceed (nearest rank). */
function percentile(times: readonly number[], percent: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.ceil((percent / 100) * sorted.length) - 1] as number;
}

const MODELS = {
  closed: ['--concurrent-requests', '8'],
  open: ['--rate', '100/s'],
};

describe.each(['admin', 'pull', 'push'])('%s: the access log and the report agree', (workload) => {
  const cases = (['closed', 'open'] as const).flatMap((model) => [1, 2].map((threads) => [model, threads]));

  test.each(cases)('%s model, %d threads', async (model, threads) => {
    const registry = await filled();
    const { result, lines } = await stressed(registry, [
      ...['--workload', workload, '--count', '60', '--threads', String(threads)],
      ...['--blob-size', '100:1,5000:1', '--chunk-size', '2KiB', '--yes-write'],
      ...MODELS[model as keyof typeof MODELS],
      // `auto` would ask once more than the load does.
      ...(workload === 'admin' ? ['--api', 'nscr'] : []),
    ]);
    expect(result).toMatchObject({ dropped: 0, unfinished: 0, totals: { count: 60, failed: 0 } });
    const operations = Object.fromEntries(
      result.operations.map(({ kind, count }: { kind: string; count: number }) => [kind, count]),
    ) as Record<string, number>;
    expect(Object.values(operations).reduce((sum, count) => sum + count)).toBe(60);

    // Each thread brings its images' config, and afterwards the manifests are deleted.
    const { manifestsRemoved: removed = 0 } = result.cleanup ?? {};
    const beside: Record<string, number> =
      workload === 'push' ? { startUpload: Number(threads), putUpload: Number(threads) } : {};
    const { deleteManifest = 0, ...logged } = countKinds(lines.filter((line) => !OWN.has(kindOf(line))));
    const expected = Object.entries(result.requests as Record<string, number>)
      .map(([kind, count]) => [kind, count + (beside[kind] ?? 0)] as const)
      .filter(([kind]) => !OWN.has(kind));
    expect(logged).toEqual(Object.fromEntries(expected));
    expect(removed).toBe(workload === 'push' ? 60 : 0);
    expect(deleteManifest).toBeGreaterThanOrEqual(removed);
    if (workload === 'admin') {
      // The details of a repository begin with the state, to choose one.
      expect(logged).toEqual({
        health: operations['get_health'],
        sessions: operations['get_sessions'],
        state: (operations['get_state'] ?? 0) + (operations['get_repository_details'] ?? 0),
        repository: operations['get_repository_details'],
      });
    }
    if (workload === 'pull') {
      const bytes = lines
        .filter((line) => ['getManifest', 'getBlob'].includes(kindOf(line)))
        .reduce((sum, line) => sum + line.bytesOut, 0);
      expect(result.totals.bytes).toBe(bytes);
    }
    expect(lines.filter(({ status }) => status >= 500)).toEqual([]);
  });
});

test('injected delays are reported within 2 % at p50, p90 and p99', async () => {
  const argv = ['--rate', '250/s', '--duration', '6s', '--api', 'nscr'];
  await checkFigures(
    { before: 'api delay=p50=200ms,p90=400ms,p99=600ms' },
    argv,
    ({ result, lines }, heldUpMs) => {
      for (const [operation, request] of [
        ['get_health', 'health'],
        ['get_sessions', 'sessions'],
      ] as const) {
        const measured = result.operations.find(({ kind }: { kind: string }) => kind === operation);
        const logged = lines.filter((line) => kindOf(line) === request).map(({ ms }) => ms);
        expect(measured.count).toBe(logged.length);
        for (const percent of [50, 90, 99]) {
          const truth = percentile(logged, percent);
          for (const times of [measured.serviceTime, measured.latency]) {
            const excess = Math.abs(times[`p${percent}`] - truth);
            expect(excess, `${operation} p${percent}`).toBeLessThan(0.02 * truth + heldUpMs);
          }
        }
        // The distribution is the one that was asked for, not one of equal times.
        expect(percentile(logged, 99)).toBeGreaterThan(2 * percentile(logged, 50));
      }
    },
  );
});

test('a stall of one second shows in p99 of the open model, and not in most of the operations', async () => {
  const argv = ['--rate', '100/s', '--duration', '4s', '--api', 'nscr'];
  await checkFigures({ meanwhile: 'api stall after=1s for=1s' }, argv, ({ result, lines }, heldUpMs) => {
    const { totals, dropped, unfinished } = result;
    expect(totals.count + dropped + unfinished).toBe(400);
    const truth = percentile(
      lines.filter((line) => kindOf(line) === 'health').map(({ ms }) => ms),
      99,
    );
    const { latency } = result.operations.find(({ kind }: { kind: string }) => kind === 'get_health');
    expect(Math.abs(latency.p99 - truth)).toBeLessThan(0.02 * truth + heldUpMs);
    expect(totals.latency.p99).toBeGreaterThan(10 * totals.serviceTime.p50);
  });
});

test('what has no place among those in flight is dropped and counted, never sent late', async () => {
  const registry = await filled();
  const argv = ['--rate', '100/s', '--duration', '4s', '--max-in-flight', '20', '--api', 'nscr'];
  const { result } = await stressed(registry, argv, 'api stall after=500ms for=1s');
  // Of the hundred that came during the stall twenty had a place.
  expect(result.totals.count + result.dropped + result.unfinished).toBe(400);
  expect(result.dropped).toBeGreaterThan(40);
});

test('500 per second for 10 seconds are 5000 operations, within 1 %', async () => {
  const registry = await filled();
  const { result, lines } = await stressed(registry, [
    '--rate',
    '500/s',
    '--duration',
    '10s',
    '--api',
    'nscr',
  ]);
  const { totals, dropped, unfinished, operations } = result;
  const sent = totals.count + dropped + unfinished;
  expect(Math.abs(sent - 5000)).toBeLessThanOrEqual(50);
  const details = operations.find(({ kind }: { kind: string }) => kind === 'get_repository_details').count;
  const logged = lines.filter(({ path }) =>
    /^\/api\/registry\/(state|health|sessions|repositories)/.test(path),
  );
  expect(logged).toHaveLength(totals.count + details);
});
