import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LoadModel, OperationOutcome, Turn } from '../../../src/load/plan.ts';
import { OK, planOf, runVirtually, type Serve } from './virtual-run.ts';

const pool = (workers: number, durationMs: number): LoadModel => ({
  kind: 'closed',
  stages: [{ workers, durationMs }],
});
const steady = (ratePerSecond: number, durationMs: number): LoadModel => ({
  kind: 'open',
  stages: [{ ratePerSecond, durationMs }],
  arrival: 'constant',
  maxInFlight: 1000,
});
const PART: OperationOutcome = { kind: 'blob', ok: true, bytes: 7 };

describe('the number of a turn', () => {
  test.each([1, 3])("is the worker's in the closed model, over %d threads", async (threads) => {
    const byWorker = new Map<number, Set<string>>();
    const byThread = new Map<number, number>();
    const serve: Serve = (time, _random, done, thread, { number }) => {
      byThread.set(number, thread);
      byWorker.set(number, (byWorker.get(number) ?? new Set()).add('fired'));
      time.later(10, () => done(OK));
    };
    await runVirtually(planOf(pool(5, 100), { threads }), serve);
    expect([...byWorker.keys()].sort()).toEqual([0, 1, 2, 3, 4]);
    for (const [number, thread] of byThread) expect(thread).toBe(number % threads);
  });

  test.each([1, 3])("is the arrival's in the open model, over %d threads", async (threads) => {
    const numbers: number[] = [];
    const serve: Serve = (time, _random, done, _thread, { number }) => {
      numbers.push(number);
      time.later(10, () => done(OK));
    };
    await runVirtually(planOf(steady(100, 500), { threads }), serve);
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index));
  });
});

describe('parts', () => {
  test('are booked under their own kinds and count nowhere else', async () => {
    const serve: Serve = (time, _random, done, _thread, turn) => {
      time.later(30, () => turn.part({ ...PART, firstByteMs: 2 }, 30));
      time.later(40, () => {
        turn.part({ kind: 'manifest', ok: false, error: 'status-500', bytes: 1 }, 5);
        done(OK);
      });
    };
    for (const model of [steady(10, 2000), pool(1, 795)]) {
      const { summary, told } = await runVirtually(planOf(model, { threads: 1 }), serve);
      expect(summary.totals).toMatchObject({ count: 20, failed: 0, bytes: 2000 });
      expect(summary.kinds.map(({ kind, count }) => [kind, count])).toEqual([['get', 20]]);
      const [blob, manifest] = summary.parts;
      expect(blob).toMatchObject({ kind: 'blob', count: 20, failed: 0, bytes: 140, firstByte: { p50: 2 } });
      expect(blob?.latency).toEqual(blob?.serviceTime);
      expect(blob?.latency?.p99).toBeCloseTo(30, 0);
      expect(blob?.ratePerSecond).toBeCloseTo(20_000 / summary.durationMs);
      expect(manifest).toMatchObject({
        kind: 'manifest',
        count: 20,
        failed: 20,
        errors: { 'status-500': 20 },
      });
      expect(summary.parts).toHaveLength(2);
      expect(told.reduce((sum, sample) => sum + sample.count, 0)).toBe(20);
    }
  });

  test('of the warm-up, and those that come after the run, are not booked', async () => {
    const late: Turn[] = [];
    const serve: Serve = (time, _random, done, _thread, turn) => {
      late.push(turn);
      // Booked long after the operation itself has ended.
      time.later(300, () => turn.part(PART, 300));
      time.later(10, () => done(OK));
    };
    const { summary } = await runVirtually(planOf(steady(10, 3000), { warmupMs: 1000 }), serve);
    expect(summary.totals.count).toBe(20);
    // Those that were due in the last 300 ms were told nobody.
    expect(summary.parts).toMatchObject([{ kind: 'blob', count: 17 }]);
    for (const turn of late) turn.part(PART, 1);
    expect(summary.parts).toMatchObject([{ count: 17 }]);
  });
});

describe('windows', () => {
  test('have the figures of what ended in them, and rates over what was run of them', async () => {
    let first = true;
    const serve: Serve = (time, _random, done, _thread, turn) => {
      const now = time.now();
      // Answers get slower by the second; one is awaited across a boundary.
      const ms = first ? 2500 : now < 3000 ? 10 : 100;
      first = false;
      time.later(ms, () => {
        turn.part(PART, ms);
        done(now < 3000 ? OK : { ...OK, ok: false, error: 'timeout' });
      });
    };
    const windows = [
      { fromMs: 0, toMs: 2000 },
      { fromMs: 2000, toMs: 3000 },
      { fromMs: 3000, toMs: 6000 },
      { fromMs: 0, toMs: 6000 },
    ];
    const plan = planOf(steady(100, 5000), { warmupMs: 1000, threads: 2, windows });
    const { summary } = await runVirtually(plan, serve);
    expect(summary.windows.map(({ fromMs, toMs }) => ({ fromMs, toMs }))).toEqual(windows);
    const [early, middle, late, all] = summary.windows;
    // From 1 s to 3 s on the clock there are 10 ms answers, due up to 2.99 s.
    expect(early).toMatchObject({ durationMs: 2000, totals: { count: 199, failed: 0 } });
    expect(early?.totals.latency?.max).toBeCloseTo(10, 1);
    expect(early?.totals.ratePerSecond).toBeCloseTo(99.5);
    expect(early?.parts).toMatchObject([{ kind: 'blob', count: 199 }]);
    // The last fast one, and the slow ones that were due until 3.9 s.
    expect(middle).toMatchObject({ durationMs: 1000, totals: { count: 91, errors: { timeout: 90 } } });
    expect(late?.durationMs).toBeCloseTo(summary.durationMs - 3000);
    expect(late?.totals.count).toBe(110);
    expect(late?.totals.ratePerSecond).toBeCloseTo(110_000 / (summary.durationMs - 3000));
    expect(all).toMatchObject({
      durationMs: summary.durationMs,
      totals: summary.totals,
      kinds: summary.kinds,
      parts: summary.parts,
    });
  });

  test('that side by side cover the run share out everything there was', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          closed: fc.boolean(),
          threads: fc.integer({ min: 1, max: 3 }),
          delayMs: fc.integer({ min: 1, max: 700 }),
          durationMs: fc.integer({ min: 300, max: 4000 }),
          cut: fc.integer({ min: 1, max: 15 }),
        }),
        async ({ closed, threads, delayMs, durationMs, cut }) => {
          const ends: number[] = [];
          const serve: Serve = (time, random, done) => {
            time.later(delayMs * random(), () => {
              ends.push(time.now());
              done(OK);
            });
          };
          const at = Math.min(cut * 250, Math.ceil(durationMs / 250) * 250 - 250);
          const windows = [...(at > 0 ? [{ fromMs: 0, toMs: at }] : []), { fromMs: at, toMs: 10_000 }];
          const model = closed ? pool(4, durationMs) : steady(50, durationMs);
          const { summary } = await runVirtually(planOf(model, { threads, windows }), serve, {
            sampleMs: 250,
          });
          const counts = summary.windows.map((window) => window.totals.count);
          expect(counts.reduce((sum, count) => sum + count)).toBe(summary.totals.count);
          expect(counts.at(-1)).toBe(ends.filter((end) => end >= at).length);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('that a run never came to are empty', async () => {
    const windows = [
      { fromMs: 0, toMs: 1000 },
      { fromMs: 5000, toMs: 6000 },
    ];
    const serve: Serve = (time, _random, done) => void time.later(100, () => done(OK));
    const { summary } = await runVirtually(planOf(pool(1, 60_000), { windows }), serve, { stopAtMs: 500 });
    expect(summary.windows[0]?.totals.count).toBe(summary.totals.count);
    expect(summary.windows[1]).toMatchObject({
      durationMs: 0,
      kinds: [],
      parts: [],
      totals: { count: 0, ratePerSecond: 0, latency: null },
    });
  });
});
