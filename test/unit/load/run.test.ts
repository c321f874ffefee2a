import { describe, expect, test } from 'vitest';
import { RegopsError } from '../../../src/base/index.ts';
import {
  type LoadModel,
  type LoadPlan,
  type LoadSample,
  parseThreshold,
  runLoad,
} from '../../../src/load/index.ts';
import { CLOSED, CREATED, FIRED, type WorkloadOptions } from './workload.ts';

const FOREVER = Number.POSITIVE_INFINITY;
const pool = (workers: number, durationMs = FOREVER): LoadModel => ({
  kind: 'closed',
  stages: [{ workers, durationMs }],
});

function plan(model: LoadModel, over: Partial<LoadPlan> = {}, trouble?: WorkloadOptions['trouble']) {
  const counts = new Int32Array(new SharedArrayBuffer(12));
  const options: WorkloadOptions = { counts, ...(trouble ? { trouble } : {}) };
  const module = new URL('./workload.ts', import.meta.url).href;
  const whole: LoadPlan = {
    model,
    warmupMs: 0,
    seed: 1,
    threads: 2,
    thresholds: [],
    workload: { module, options },
    ...over,
  };
  return { plan: whole, counts };
}

const calm = (): { signal: AbortSignal } => ({ signal: new AbortController().signal });

async function failureOf(run: Promise<unknown>): Promise<RegopsError> {
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(RegopsError);
  return error as RegopsError;
}

describe('a run over threads', () => {
  test.each([1, 2, 3])(
    'makes exactly the count, each of %d threads its share of the workers',
    async (threads) => {
      const { plan: load, counts } = plan(pool(5), { threads, count: 500 });
      const samples: LoadSample[] = [];
      const summary = await runLoad(load, {
        ...calm(),
        onSample: (sample) => samples.push(sample),
        sampleMs: 50,
      });
      expect([...counts]).toEqual([threads, 500, threads]);
      expect(summary).toMatchObject({ dropped: 0, unfinished: 0, interrupted: false, abortedBy: null });
      expect(summary.totals).toMatchObject({ count: 500, failed: 0, bytes: 500 });
      expect(summary.generator.threads).toBe(threads);
      const shares = [[5], [3, 2], [2, 2, 1]][threads - 1] ?? [];
      expect(summary.kinds.map((one) => one.kind)).toEqual(
        shares.map((share, index) => `thread ${index} of ${threads}, ${share} at once`),
      );
      expect(samples).toEqual(summary.series);
      expect(samples.reduce((sum, sample) => sum + sample.count, 0)).toBe(500);
    },
  );

  test('in the open model sends each arrival once', async () => {
    const model: LoadModel = {
      kind: 'open',
      stages: [
        { ratePerSecond: 500, durationMs: 400, ramp: true },
        { ratePerSecond: 500, durationMs: 400 },
      ],
      arrival: 'constant',
      maxInFlight: 1000,
    };
    const { plan: load, counts } = plan(model, { threads: 3 });
    const summary = await runLoad(load, calm());
    expect(counts[FIRED]).toBe(300);
    expect(summary.totals.count).toBe(300);
    expect(summary.kinds.map((one) => one.count)).toEqual([100, 100, 100]);
  });

  test('never has more threads than workers', async () => {
    const { plan: load, counts } = plan(pool(2), { threads: 8, count: 10 });
    expect((await runLoad(load, calm())).generator.threads).toBe(2);
    expect([...counts]).toEqual([2, 10, 2]);
  });

  test('in the calling thread is the same run', async () => {
    const { plan: load, counts } = plan(pool(3), { threads: 0, count: 100 });
    const summary = await runLoad(load, calm());
    expect([...counts]).toEqual([1, 100, 1]);
    expect(summary.totals.count).toBe(100);
    expect(summary.kinds.map((one) => one.kind)).toEqual(['thread 0 of 1, 3 at once']);
  });

  test.each([0, 2])('knows workers, parts, rests and windows (%d threads)', async (threads) => {
    const windows = [
      { fromMs: 0, toMs: 100 },
      { fromMs: 100, toMs: 60_000 },
    ];
    const { plan: load, counts } = plan(pool(5), { threads, windows }, { what: 'goes-home', index: 0 });
    const summary = await runLoad(load, { ...calm(), sampleMs: 50 });
    // Worker number n goes home after n + 1 operations, resting a little after each.
    expect(counts[FIRED]).toBe(1 + 2 + 3 + 4 + 5);
    expect(summary.totals.count).toBe(15);
    expect(summary.parts.map(({ kind, count, bytes }) => [kind, count, bytes])).toEqual(
      [0, 1, 2, 3, 4].map((number) => [`worker ${number}`, number + 1, (number + 1) * 3]),
    );
    expect(summary.windows.map(({ fromMs, toMs }) => ({ fromMs, toMs }))).toEqual(windows);
    expect(summary.windows.reduce((sum, window) => sum + window.totals.count, 0)).toBe(15);
    expect(summary.windows[0]?.durationMs).toBe(Math.min(100, summary.durationMs));
  });

  test.each([0, 2])('has arrivals with numbers and parts in the open model (%d threads)', async (threads) => {
    const model: LoadModel = {
      kind: 'open',
      stages: [{ ratePerSecond: 100, durationMs: 90 }],
      arrival: 'constant',
      maxInFlight: 100,
    };
    const { plan: load } = plan(model, { threads }, { what: 'goes-home', index: 0 });
    const summary = await runLoad(load, calm());
    expect(summary.totals.count).toBe(9);
    expect(summary.parts.map(({ kind, count }) => [kind, count])).toEqual(
      Array.from({ length: 9 }, (_, number) => [`worker ${number}`, 1]),
    );
  });

  test('says when the generator itself was what limited it', async () => {
    const { plan: load } = plan(pool(1), { threads: 1, count: 12 }, { what: 'block', index: 0 });
    const { generator } = await runLoad(load, calm());
    expect(generator.bound).toBe(true);
    expect(generator.boundBy).toContain('event-loop-delay');
    expect(generator.eventLoopDelayP99Ms).toBeGreaterThan(10);
  });

  test('judges thresholds, and without being told so does not end for them', async () => {
    const thresholds = [parseThreshold('rate>1000000/s'), parseThreshold('errors<1%')];
    const { plan: load } = plan(pool(2), { count: 100, thresholds });
    const summary = await runLoad(load, calm());
    expect(summary.totals.count).toBe(100);
    expect(summary.thresholds.map((one) => [one.text, one.ok])).toEqual([
      ['rate>1000000/s', false],
      ['errors<1%', true],
    ]);
    expect(summary.abortedBy).toBeNull();
  });

  test('ends for a missed threshold when told so, not before its time', async () => {
    const thresholds = [parseThreshold('errors<1%'), parseThreshold('rate>1000000/s')];
    const { plan: load, counts } = plan(pool(2), { thresholds, abortOnFail: { afterMs: 100 } });
    const summary = await runLoad(load, { ...calm(), sampleMs: 20 });
    expect(summary).toMatchObject({ abortedBy: 'rate>1000000/s', interrupted: false });
    expect(summary.durationMs).toBeGreaterThanOrEqual(100);
    expect(counts[CLOSED]).toBe(2);
  });
});

describe('an aborted signal', () => {
  test.each([0, 2])('ends the run with what was measured (%d threads)', async (threads) => {
    const { plan: load, counts } = plan(pool(4), { threads });
    const controller = new AbortController();
    let seen = 0;
    const summary = await runLoad(load, {
      signal: controller.signal,
      sampleMs: 20,
      onSample: () => ++seen === 3 && controller.abort(),
    });
    expect(summary.interrupted).toBe(true);
    expect(summary.totals.count).toBeGreaterThan(0);
    expect(summary.totals.count + summary.unfinished).toBe(counts[FIRED]);
    expect(counts[CLOSED]).toBe(counts[CREATED]);
  });

  test.concurrent('gives up operations that do not end', async () => {
    const { plan: load, counts } = plan(pool(4), {}, { what: 'never-done', index: 1 });
    const controller = new AbortController();
    const summary = await runLoad(load, {
      signal: controller.signal,
      sampleMs: 20,
      onSample: () => controller.abort(),
    });
    expect(summary).toMatchObject({ interrupted: true, unfinished: 2 });
    expect(summary.totals.count).toBe((counts[FIRED] ?? 0) - 2);
    expect(counts[CLOSED]).toBe(2);
  });

  test.concurrent('ends a run whose workload is not even open yet, by force if need be', async () => {
    const { plan: load, counts } = plan(pool(4), {}, { what: 'create-never', index: 1 });
    const controller = new AbortController();
    const run = runLoad(load, { signal: controller.signal });
    while (counts[CREATED] === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort();
    expect(await run).toMatchObject({ interrupted: true, totals: { count: 0, latency: null }, series: [] });
  });

  test.concurrent('ends by force what does not close', async () => {
    const { plan: load } = plan(pool(4), {}, { what: 'close-never', index: 0 });
    const controller = new AbortController();
    const summary = await runLoad(load, {
      signal: controller.signal,
      sampleMs: 20,
      onSample: () => controller.abort(),
    });
    expect(summary.interrupted).toBe(true);
    expect(summary.totals.count).toBeGreaterThan(0);
  });

  test('beforehand starts nothing', async () => {
    const { plan: load, counts } = plan(pool(4));
    const error = await failureOf(runLoad(load, { signal: AbortSignal.abort() }));
    expect(error.code).toBe('INTERRUPTED');
    expect(counts[CREATED]).toBe(0);
  });
});

describe('a failing workload ends the run', () => {
  test.each([
    ['fire', 'load worker 2 of 2 failed: the sky fell'],
    ['create', 'load worker 2 of 2 failed: no disk left'],
    ['close', 'load worker 2 of 2 failed: the door is stuck'],
    ['uncaught', 'load worker 2 of 2 died: lost in a callback'],
    ['exit', 'load worker 2 of 2 died: its thread ended with code 3'],
  ] as const)('%s', async (what, message) => {
    const { plan: load, counts } = plan(pool(4), { count: 1000 }, { what, index: 1 });
    const error = await failureOf(runLoad(load, calm()));
    expect(error).toMatchObject({ code: 'BUG', message });
    // The other thread's workload was let go of.
    expect(counts[CLOSED]).toBeGreaterThanOrEqual(1);
  });

  test('with its own error when it has explained it', async () => {
    const { plan: load } = plan(pool(4), {}, { what: 'create-regops', index: 0 });
    const error = await failureOf(runLoad(load, calm()));
    expect(error).toMatchObject({
      code: 'CONNECTION_FAILED',
      message: 'cannot reach it',
      hints: ['Start it.'],
      details: { port: 5 },
    });
  });

  test('also in the calling thread', async () => {
    const { plan: load, counts } = plan(pool(4), { threads: 0 }, { what: 'fire', index: 0 });
    const error = await failureOf(runLoad(load, calm()));
    expect(error).toMatchObject({ code: 'BUG', message: 'the workload failed: the sky fell' });
    expect(counts[CLOSED]).toBe(1);
  });

  test('when its module is none', async () => {
    const empty = new URL('./empty-workload.ts', import.meta.url).href;
    const { plan: load } = plan(pool(1), { workload: { module: empty, options: null } });
    expect((await failureOf(runLoad(load, calm()))).message).toContain('does not export createWorkload');
    const missing = new URL('./missing.ts', import.meta.url).href;
    const { plan: other } = plan(pool(1), { workload: { module: missing, options: null } });
    expect((await failureOf(runLoad(other, calm()))).message).toContain('missing.ts');
  });
});

describe('a plan that makes no sense is refused', () => {
  const open = (over: object): LoadModel => ({
    kind: 'open',
    stages: [{ ratePerSecond: 1, durationMs: 10 }],
    arrival: 'constant',
    maxInFlight: 1,
    ...over,
  });
  const closed = (over: object): LoadModel => ({
    kind: 'closed',
    stages: [{ workers: 1, durationMs: 10 }],
    ...over,
  });

  test.each<[string, LoadModel, Partial<LoadPlan>]>([
    ['no stages', closed({ stages: [] }), {}],
    ['no workers', pool(0, 10), {}],
    ['half a worker', pool(1.5, 10), {}],
    ['no time', pool(1, 0), {}],
    ['NaN', pool(1, Number.NaN), {}],
    ['an endless ramp', closed({ stages: [{ workers: 1, durationMs: FOREVER, ramp: true }] }), {}],
    [
      'a stage after an endless one',
      closed({
        stages: [
          { workers: 1, durationMs: FOREVER },
          { workers: 1, durationMs: 1 },
        ],
      }),
      {},
    ],
    ['thinking backwards', closed({ thinkMs: [5, 1] }), {}],
    ['a negative rate', open({ stages: [{ ratePerSecond: -1, durationMs: 10 }] }), {}],
    ['no rate', open({ stages: [{ ratePerSecond: 0, durationMs: 10 }] }), {}],
    ['no place in flight', open({ maxInFlight: 0 }), {}],
    ['no operations', closed({}), { count: 0 }],
    ['too many operations', closed({}), { count: 3e9 }],
    ['all warm-up', closed({}), { warmupMs: 10 }],
    ['a strange seed', closed({}), { seed: 0.5 }],
    ['minus one thread', closed({}), { threads: -1 }],
    ['a window backwards', pool(1), { windows: [{ fromMs: 2000, toMs: 1000 }] }],
    ['an empty window', pool(1), { windows: [{ fromMs: 1000, toMs: 1000 }] }],
    ['a window before the run', pool(1), { windows: [{ fromMs: -1000, toMs: 1000 }] }],
    ['a window after the run', pool(1, 2000), { warmupMs: 1000, windows: [{ fromMs: 1000, toMs: 2000 }] }],
    ['a window between samples', pool(1), { windows: [{ fromMs: 0, toMs: 1500 }] }],
    ['an endless window', pool(1), { windows: [{ fromMs: 0, toMs: FOREVER }] }],
    ['NaN of a window', pool(1), { windows: [{ fromMs: Number.NaN, toMs: 1000 }] }],
  ])('%s', async (_, model, over) => {
    const { plan: load, counts } = plan(model, over);
    expect((await failureOf(runLoad(load, calm()))).code).toBe('USAGE');
    expect(counts[CREATED]).toBe(0);
  });
});
