import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type RateStage, shareOf, type WorkerStage } from '../../../src/load/plan.ts';
import { randomStream } from '../../../src/load/random.ts';
import { arrivals, shiftsOf } from '../../../src/load/schedule.ts';

const never = (): number => {
  throw new Error('constant arrivals need no randomness');
};

const rateStages = fc.array(
  fc.record({
    ratePerSecond: fc.double({ min: 0, max: 300, noNaN: true }),
    durationMs: fc.integer({ min: 1, max: 5000 }),
    ramp: fc.boolean(),
  }),
  { minLength: 1, maxLength: 5 },
);
const workerStages = fc.array(
  fc.record({
    workers: fc.integer({ min: 0, max: 12 }),
    durationMs: fc.integer({ min: 1, max: 5000 }),
    ramp: fc.boolean(),
  }),
  { minLength: 1, maxLength: 5 },
);

/** Arrivals that the stages stand for up to a time, by summing small trapezoids' exact areas. */
function integral(stages: readonly RateStage[], untilMs: number): number {
  let sum = 0;
  let beganMs = 0;
  let before = 0;
  for (const { ratePerSecond, durationMs, ramp } of stages) {
    const from = ramp ? before : ratePerSecond;
    const ms = Math.min(durationMs, Math.max(0, untilMs - beganMs));
    const rateThen = from + ((ratePerSecond - from) * ms) / durationMs;
    sum += (((from + rateThen) / 2) * ms) / 1000;
    beganMs += durationMs;
    before = ratePerSecond;
  }
  return sum;
}

/** The number of workers that the stages ask for at a time. */
function workersAt(stages: readonly WorkerStage[], atMs: number): number {
  let beganMs = 0;
  let before = 0;
  for (const { workers, durationMs, ramp } of stages) {
    if (atMs < beganMs + durationMs) {
      return ramp ? before + ((workers - before) * (atMs - beganMs)) / durationMs : workers;
    }
    beganMs += durationMs;
    before = workers;
  }
  return 0;
}

test('shares are whole, as even as can be, and add up exactly', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 1, max: 64 }), (total, parts) => {
      const shares = Array.from({ length: parts }, (_, index) => shareOf(total, index, parts));
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(total);
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
    }),
  );
});

describe('constant arrivals', () => {
  test('follow the integral of the rate, at any moment', () => {
    fc.assert(
      fc.property(rateStages, fc.double({ min: 0, max: 1, noNaN: true }), (stages, part) => {
        const all = [...arrivals(stages, 'constant', never)];
        const endMs = stages.reduce((sum, stage) => sum + stage.durationMs, 0);
        expect(Math.abs(all.length - integral(stages, endMs))).toBeLessThanOrEqual(1 + 1e-6);
        const atMs = endMs * part;
        const soFar = all.filter((one) => one.atMs < atMs).length;
        expect(Math.abs(soFar - integral(stages, atMs))).toBeLessThanOrEqual(1 + 1e-6);
      }),
    );
  });

  test('come in order, numbered, within the stages', () => {
    fc.assert(
      fc.property(rateStages, (stages) => {
        const endMs = stages.reduce((sum, stage) => sum + stage.durationMs, 0);
        let before = 0;
        let expected = 0;
        for (const { index, atMs } of arrivals(stages, 'constant', never)) {
          expect(index).toBe(expected++);
          expect(atMs).toBeGreaterThanOrEqual(before);
          expect(atMs).toBeLessThanOrEqual(endMs);
          before = atMs;
        }
      }),
    );
  });

  test('are evenly spaced at a constant rate, and ever closer while it grows', () => {
    const even = [...arrivals([{ ratePerSecond: 500, durationMs: 2000 }], 'constant', never)];
    expect(even).toHaveLength(1000);
    even.forEach(({ atMs }, index) => {
      expect(atMs).toBeCloseTo(index * 2, 6);
    });
    const times = [
      ...arrivals([{ ratePerSecond: 100, durationMs: 10_000, ramp: true }], 'constant', never),
    ].map((one) => one.atMs);
    expect(times).toHaveLength(500);
    const gaps = times.slice(1).map((time, index) => time - (times[index] as number));
    for (const [index, gap] of gaps.slice(1).entries()) expect(gap).toBeLessThan(gaps[index] as number);
  });

  test('go on where they were after a time without any', () => {
    const stages = [
      { ratePerSecond: 2, durationMs: 1000 },
      { ratePerSecond: 0, durationMs: 5000 },
      { ratePerSecond: 1, durationMs: 2000 },
    ];
    expect([...arrivals(stages, 'constant', never)].map((one) => one.atMs)).toEqual([0, 500, 6000, 7000]);
  });

  test('need not end', () => {
    const endless = arrivals(
      [{ ratePerSecond: 10, durationMs: Number.POSITIVE_INFINITY }],
      'constant',
      never,
    );
    let last = 0;
    for (let i = 0; i < 1000; i++) last = endless.next().value?.atMs ?? Number.NaN;
    expect(last).toBeCloseTo(99_900, 6);
  });
});

describe('poisson arrivals', () => {
  test('are as many as the rate says, with the gaps of independent clients', () => {
    const stages = [{ ratePerSecond: 1000, durationMs: 100_000 }];
    const times = [...arrivals(stages, 'poisson', randomStream(7, 'schedule', 0))].map((one) => one.atMs);
    // Five standard deviations of a Poisson count of 100,000.
    expect(Math.abs(times.length - 100_000)).toBeLessThan(5 * Math.sqrt(100_000));
    const gaps = times.slice(1).map((time, index) => time - (times[index] as number));
    const above = (ms: number): number => gaps.filter((gap) => gap > ms).length / gaps.length;
    expect(above(1)).toBeCloseTo(Math.exp(-1), 2);
    expect(above(3)).toBeCloseTo(Math.exp(-3), 2);
  });
});

describe('shifts', () => {
  test('put as many workers to work as the stages ask for, at any moment', () => {
    fc.assert(
      fc.property(
        workerStages,
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        (stages, part) => {
          const endMs = stages.reduce((sum, stage) => sum + stage.durationMs, 0);
          const atMs = endMs * part;
          const shifts = Array.from({ length: 12 }, (_, worker) => shiftsOf(stages, worker));
          const atWork = shifts.filter((list) =>
            list.some((one) => one.fromMs <= atMs && atMs < one.toMs),
          ).length;
          const asked = workersAt(stages, atMs);
          // On a ramp a worker comes when the number passes its own, so the number is rounded up.
          expect(atWork).toBeGreaterThanOrEqual(Math.floor(asked - 1e-6));
          expect(atWork).toBeLessThanOrEqual(Math.ceil(asked + 1e-6));
        },
      ),
    );
  });

  test('of one worker neither touch nor overlap, and worker k is at work whenever worker k + 1 is', () => {
    fc.assert(
      fc.property(workerStages, (stages) => {
        for (let worker = 0; worker < 12; worker++) {
          const mine = shiftsOf(stages, worker);
          mine.forEach((shift, index) => {
            expect(shift.toMs).toBeGreaterThan(shift.fromMs);
            expect(shift.fromMs).toBeGreaterThan(mine[index - 1]?.toMs ?? -1);
          });
          for (const { fromMs, toMs } of shiftsOf(stages, worker + 1)) {
            expect(mine.some((shift) => shift.fromMs <= fromMs + 1e-6 && shift.toMs >= toMs - 1e-6)).toBe(
              true,
            );
          }
        }
      }),
    );
  });

  test('of steps are steps, of ramps are spread evenly', () => {
    const steps = [
      { workers: 1, durationMs: 10 },
      { workers: 2, durationMs: 10 },
      { workers: 1, durationMs: 10 },
    ];
    expect(shiftsOf(steps, 0)).toEqual([{ fromMs: 0, toMs: 30 }]);
    expect(shiftsOf(steps, 1)).toEqual([{ fromMs: 10, toMs: 20 }]);
    const ramps = [
      { workers: 4, durationMs: 100, ramp: true },
      { workers: 0, durationMs: 200, ramp: true },
    ];
    expect([0, 1, 2, 3].map((worker) => shiftsOf(ramps, worker))).toEqual([
      [{ fromMs: 0, toMs: 300 }],
      [{ fromMs: 25, toMs: 250 }],
      [{ fromMs: 50, toMs: 200 }],
      [{ fromMs: 75, toMs: 150 }],
    ]);
  });
});
