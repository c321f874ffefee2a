import { describe, expect, test } from 'vitest';
import type { LoadModel, OperationOutcome } from '../../../src/load/plan.ts';
import { OK, planOf, runVirtually, type Serve } from './virtual-run.ts';

const FOREVER = Number.POSITIVE_INFINITY;
const pool = (workers: number, durationMs: number, thinkMs?: readonly [number, number]): LoadModel => ({
  kind: 'closed',
  stages: [{ workers, durationMs }],
  ...(thinkMs ? { thinkMs } : {}),
});

/** Operations of 10 ms that end with what `outcome` says. */
function resting(
  starts: number[],
  outcome: (turn: number, nowMs: number) => Partial<OperationOutcome>,
): Serve {
  return (time, _random, done, _thread, turn) => {
    starts.push(time.now());
    time.later(10, () => done({ ...OK, ...outcome(turn.number, time.now()) }));
  };
}

describe('a rest in the closed model', () => {
  test('is waited for, in no figure, and thinking comes after it', async () => {
    for (const [think, everyMs] of [
      [undefined, 110],
      [[50, 50], 160],
    ] as const) {
      const starts: number[] = [];
      const serve: Serve = (time, random, done, thread, turn) =>
        resting(starts, () => ({
          rest: new Promise((resolve) => time.later(100, () => resolve(true))),
        }))(time, random, done, thread, turn);
      const { summary } = await runVirtually(planOf(pool(1, 10_000, think)), serve);
      const pauses = starts.slice(1).map((start, index) => start - (starts[index] as number));
      expect(Math.min(...pauses)).toBeGreaterThanOrEqual(everyMs);
      expect(Math.max(...pauses)).toBeLessThan(everyMs + 1);
      expect(summary.totals.count).toBe(starts.length);
      expect(summary.totals.latency?.max).toBeCloseTo(10);
    }
  });

  test('sends a worker home for good, and when all are home the run is over', async () => {
    const starts: number[] = [];
    const homeAfter = [3, 5, 1];
    const fired = [0, 0, 0];
    const serve = resting(starts, (worker) => {
      fired[worker] = (fired[worker] ?? 0) + 1;
      return fired[worker] === homeAfter[worker] ? { rest: Promise.resolve(false) } : {};
    });
    const { summary } = await runVirtually(planOf(pool(3, FOREVER), { threads: 2 }), serve);
    expect(fired).toEqual(homeAfter);
    expect(summary.totals.count).toBe(9);
    expect(summary.durationMs).toBeLessThan(51);
  });

  test('that is over at once does not keep everything else from happening', async () => {
    const serve: Serve = (_time, _random, done) => done({ ...OK, rest: Promise.resolve(true) });
    const { summary } = await runVirtually(planOf(pool(2, FOREVER)), serve, { stopAtMs: 100 });
    expect(summary.totals.count).toBeGreaterThan(100);
    expect(summary.durationMs).toBeLessThan(101);
  });

  test('keeps neither a stop nor the end of the last stage waiting', async () => {
    const never = new Promise<boolean>(() => {});
    const serve = resting([], () => ({ rest: never }));
    const stopped = await runVirtually(planOf(pool(4, FOREVER)), serve, { stopAtMs: 500 });
    expect(stopped.summary).toMatchObject({ unfinished: 0, totals: { count: 4 } });
    expect(stopped.summary.durationMs).toBeCloseTo(500);
    const whole = await runVirtually(planOf(pool(4, 700)), serve);
    expect(whole.summary).toMatchObject({ unfinished: 0, totals: { count: 4 } });
    expect(whole.summary.durationMs).toBeCloseTo(700);
  });

  test('that ends after its worker went home calls nobody back', async () => {
    const starts: number[][] = [[], []];
    const serve: Serve = (time, _random, done, _thread, { number }) => {
      starts[number]?.push(time.now());
      const rest = new Promise<boolean>((resolve) => time.later(600, () => resolve(true)));
      time.later(10, () => done({ ...OK, rest }));
    };
    const model: LoadModel = {
      kind: 'closed',
      stages: [
        { workers: 2, durationMs: 500 },
        { workers: 1, durationMs: 800 },
      ],
    };
    const { summary } = await runVirtually(planOf(model), serve);
    // The second worker's last shift is over at 500.
    expect(starts.map((list) => list.length)).toEqual([3, 1]);
    expect(summary.totals.count).toBe(4);
    expect(summary.durationMs).toBeCloseTo(1300);
  });

  test('that rejects ends the run', async () => {
    const serve = resting([], () => ({ rest: Promise.reject(new Error('no rest for the wicked')) }));
    await expect(runVirtually(planOf(pool(1, 1000)), serve)).rejects.toThrow('no rest for the wicked');
  });
});

test('a rest means nothing in the open model', async () => {
  const starts: number[] = [];
  const model: LoadModel = {
    kind: 'open',
    stages: [{ ratePerSecond: 100, durationMs: 1000 }],
    arrival: 'constant',
    maxInFlight: 10,
  };
  const { summary } = await runVirtually(
    planOf(model),
    resting(starts, (number) => ({
      rest: number % 2 === 0 ? Promise.resolve(false) : new Promise(() => {}),
    })),
  );
  expect(summary).toMatchObject({ dropped: 0, totals: { count: 100 } });
  expect(starts).toHaveLength(100);
});

test('a worker that would think beyond its last stage does not make the run longer', async () => {
  const { summary } = await runVirtually(
    planOf(pool(3, 1000, [400, 600])),
    resting([], () => ({})),
  );
  expect(summary.totals.count).toBeLessThanOrEqual(9);
  expect(summary.durationMs).toBeCloseTo(1000);
});
