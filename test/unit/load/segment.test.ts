import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LoadModel } from '../../../src/load/plan.ts';
import { randomStream } from '../../../src/load/random.ts';
import { OK, oneByOne, planOf, runVirtually, type Serve, takes } from './virtual-run.ts';

const steady = (ratePerSecond: number, durationMs: number, maxInFlight = 10_000): LoadModel => ({
  kind: 'open',
  stages: [{ ratePerSecond, durationMs }],
  arrival: 'constant',
  maxInFlight,
});
const pool = (workers: number, durationMs: number): LoadModel => ({
  kind: 'closed',
  stages: [{ workers, durationMs }],
});

describe('latency', () => {
  test('of an open run shows a stall of one second to everyone who came meanwhile; service time does not', async () => {
    // At 100/s with 1 ms of service, 10 s: the 100 that are due during the stall queue up in the one connection.
    const serve: Serve = (() => {
      let busy = false;
      return (time, _random, done) => {
        const now = time.now();
        if (!busy && now >= 5000 && now < 5010) {
          // The event loop itself stalls, as with a client that blocks: nothing can be sent on time.
          busy = true;
          time.spend(1000);
        }
        time.later(1, () => done(OK));
      };
    })();
    const { summary } = await runVirtually(planOf(steady(100, 10_000)), serve);
    expect(summary.totals.count).toBe(1000);
    expect(summary.totals.serviceTime?.p99).toBeCloseTo(1, 1);
    expect(summary.totals.latency?.p50).toBeLessThan(1.1);
    expect(summary.totals.latency?.p90).toBeGreaterThan(1);
    expect(summary.totals.latency?.p95).toBeGreaterThan(450);
    expect(summary.totals.latency?.p99).toBeGreaterThan(850);
    expect(summary.totals.latency?.max).toBeLessThan(1010);
  });

  test('of a server that stalls is the queue that builds up in front of it', async () => {
    const serve = oneByOne(1, { fromMs: 5000, toMs: 6000 });
    const { summary } = await runVirtually(planOf(steady(100, 10_000)), serve);
    expect(summary.totals.latency?.p50).toBeCloseTo(1, 1);
    expect(summary.totals.latency?.p99).toBeGreaterThan(850);
    const closed = await runVirtually(planOf(pool(1, 10_000)), oneByOne(1, { fromMs: 5000, toMs: 6000 }));
    // One worker waits politely: the same stall is one slow operation among thousands.
    expect(closed.summary.totals.latency?.p999).toBeCloseTo(1, 1);
    expect(closed.summary.totals.latency?.max).toBeCloseTo(1001, 0);
  });

  test.each([
    ['open', steady(500, 60_000)],
    ['closed', pool(10, 60_000)],
  ])('of an injected distribution is reported within 2 % (%s)', async (_, model) => {
    // Log-normal around 20 ms, as answers of real services are; its exact percentiles are known.
    const gaussian = (random: () => number): number =>
      Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const injected: number[] = [];
    const { summary } = await runVirtually(
      planOf(model),
      takes((random) => {
        const ms = 20 * Math.exp(0.5 * gaussian(random));
        injected.push(ms);
        return ms;
      }),
    );
    expect(summary.totals.count).toBe(injected.length);
    const sorted = injected.toSorted((a, b) => a - b);
    for (const [name, part] of [
      ['p50', 0.5],
      ['p90', 0.9],
      ['p99', 0.99],
    ] as const) {
      const exact = sorted[Math.ceil(part * sorted.length) - 1] as number;
      expect(Math.abs((summary.totals.serviceTime?.[name] ?? 0) / exact - 1)).toBeLessThan(0.02);
      expect(Math.abs((summary.totals.latency?.[name] ?? 0) / exact - 1)).toBeLessThan(0.02);
    }
  });
});

describe('counts', () => {
  test('an open run of 500/s is 500/s, whatever the number of threads', async () => {
    for (const threads of [1, 3]) {
      const { summary } = await runVirtually(
        planOf(steady(500, 20_000), { threads }),
        takes(() => 4),
      );
      expect(summary.totals.count).toBe(10_000);
      expect(Math.abs(summary.totals.ratePerSecond / 500 - 1)).toBeLessThan(0.001);
    }
  });

  test('a count that is reached ends the run, also before the last workers begin', async () => {
    const stages = [
      { workers: 1, durationMs: 60_000 },
      { workers: 4, durationMs: 60_000 },
    ];
    const { summary } = await runVirtually(
      planOf({ kind: 'closed', stages }, { count: 10, threads: 3 }),
      takes(() => 5),
    );
    expect(summary.totals.count).toBe(10);
    expect(summary.durationMs).toBeLessThan(100);
  });

  test('every arrival is done, dropped or unfinished, and the samples add up to the whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          rate: fc.integer({ min: 1, max: 200 }),
          maxInFlight: fc.integer({ min: 4, max: 20 }),
          threads: fc.integer({ min: 1, max: 4 }),
          delayMs: fc.integer({ min: 0, max: 400 }),
          durationMs: fc.integer({ min: 100, max: 5000 }),
          stopAtMs: fc.option(fc.integer({ min: 1, max: 5000 }), { nil: undefined }),
          sampleMs: fc.constantFrom(250, 1000),
          hangs: fc.boolean(),
        }),
        async ({ rate, maxInFlight, threads, delayMs, durationMs, stopAtMs, sampleMs, hangs }) => {
          let fired = 0;
          const serve: Serve = (time, random, done) => {
            fired++;
            if (hangs && random() < 0.05) return;
            time.later(delayMs, () => done(random() < 0.2 ? { ...OK, ok: false, error: 'status-500' } : OK));
          };
          const { summary, told } = await runVirtually(
            planOf(steady(rate, durationMs, maxInFlight), { threads }),
            serve,
            { sampleMs, ...(stopAtMs === undefined ? {} : { stopAtMs }) },
          );
          expect(summary.totals.count + summary.unfinished).toBe(fired);
          const dueMs = Math.min(durationMs, stopAtMs ?? durationMs);
          const due = Math.ceil((rate * dueMs) / 1000);
          expect(Math.abs(fired + summary.dropped - due)).toBeLessThanOrEqual(stopAtMs === undefined ? 0 : 1);
          if (!hangs) expect(summary.unfinished).toBe(0);
          expect(summary.series).toEqual(told);
          const sum = (of: (sample: (typeof told)[number]) => number): number =>
            told.reduce((total, sample) => total + of(sample), 0);
          expect(sum((sample) => sample.count)).toBe(summary.totals.count);
          expect(sum((sample) => sample.failed)).toBe(summary.totals.failed);
          expect(sum((sample) => sample.dropped)).toBe(summary.dropped);
          expect(sum((sample) => sample.bytes)).toBe(summary.totals.bytes);
          expect(told.map((sample) => sample.atMs)).toEqual(told.map((_, index) => index * sampleMs));
          for (const sample of told.slice(0, -1)) expect(sample.durationMs).toBe(sampleMs);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('what is due while all places are taken is dropped, not sent late', async () => {
    const { summary } = await runVirtually(
      planOf(steady(100, 10_000, 5)),
      takes(() => 100),
    );
    // Five places of 100 ms each serve 50/s.
    expect(summary.totals.count + summary.dropped).toBe(1000);
    expect(summary.totals.count).toBeGreaterThan(450);
    expect(summary.totals.count).toBeLessThanOrEqual(500);
    expect(summary.totals.latency?.max).toBeLessThan(102);
  });

  test.each([1, 3])('a closed run of a count makes exactly so many, over %d threads', async (threads) => {
    const model = pool(7, Number.POSITIVE_INFINITY);
    const { summary } = await runVirtually(
      planOf(model, { threads, count: 1234 }),
      takes((random) => 50 * random()),
    );
    expect(summary.totals.count).toBe(1234);
  });

  test.each([1, 3])('an open run of a count makes exactly so many, over %d threads', async (threads) => {
    const model = steady(100, Number.POSITIVE_INFINITY);
    const { summary } = await runVirtually(
      planOf(model, { threads, count: 250, warmupMs: 500 }),
      takes(() => 3),
    );
    expect(summary.totals.count).toBe(250);
    expect(summary.durationMs).toBeGreaterThan(2480);
    expect(summary.durationMs).toBeLessThan(2510);
  });

  test('the workers under way follow the stages', async () => {
    let inFlight = 0;
    const seen = new Map<number, number>();
    const serve: Serve = (time, _random, done) => {
      inFlight++;
      const second = Math.floor(time.now() / 1000);
      seen.set(second, Math.max(seen.get(second) ?? 0, inFlight));
      time.later(9.9, () => {
        inFlight--;
        done(OK);
      });
    };
    const model: LoadModel = {
      kind: 'closed',
      stages: [
        { workers: 2, durationMs: 1000 },
        { workers: 5, durationMs: 1000 },
        { workers: 0, durationMs: 1000 },
        { workers: 3, durationMs: 1000 },
      ],
    };
    await runVirtually(planOf(model, { threads: 2 }), serve);
    expect([...seen]).toEqual([
      [0, 2],
      [1, 5],
      [3, 3],
    ]);
  });
});

test('workers think between their operations, each in its own way', async () => {
  const starts: number[] = [];
  const serve: Serve = (time, _random, done) => {
    starts.push(time.now());
    time.later(10, () => done(OK));
  };
  const model: LoadModel = { ...(pool(1, 100_000) as LoadModel & { kind: 'closed' }), thinkMs: [100, 1000] };
  await runVirtually(planOf(model), serve);
  const pauses = starts.slice(1).map((start, index) => start - (starts[index] as number) - 10);
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(100);
  expect(Math.max(...pauses)).toBeLessThan(1000);
  expect(pauses.reduce((sum, pause) => sum + pause, 0) / pauses.length).toBeGreaterThan(450);
  expect(new Set(pauses).size).toBeGreaterThan(100);
});

test('the warm-up is in no figure', async () => {
  const serve: Serve = (time, _random, done) => {
    const cold = time.now() < 1000;
    time.later(cold ? 500 : 5, () => done({ ...OK, ok: !cold, ...(cold ? { error: 'cold' } : {}) }));
  };
  for (const model of [steady(100, 5000), pool(3, 5000)]) {
    const { summary } = await runVirtually(planOf(model, { warmupMs: 1000, threads: 2 }), serve);
    expect(summary.totals.failed).toBe(0);
    expect(summary.totals.latency?.max).toBeLessThan(10);
    expect(summary.durationMs).toBeGreaterThan(3985);
    expect(summary.durationMs).toBeLessThan(4010);
    expect(summary.series).toHaveLength(4);
    if (model.kind === 'open') {
      expect(summary.totals.count).toBe(400);
      expect(summary.series.map((sample) => sample.count)).toEqual([100, 100, 100, 100]);
    }
  }
});

test('a run that is stopped fires nothing more and waits 2 s at most for what is under way', async () => {
  for (const model of [steady(100, 60_000), pool(10, 60_000)]) {
    const starts: number[] = [];
    const serve: Serve = (time, _random, done) => {
      starts.push(time.now());
      time.later(starts.length % 2 === 0 ? 50 : 100_000, () => done(OK));
    };
    const { summary } = await runVirtually(planOf(model), serve, { stopAtMs: 1000 });
    expect(Math.max(...starts)).toBeLessThan(1000);
    expect(summary.totals.count + summary.unfinished).toBe(starts.length);
    expect(summary.unfinished).toBe(Math.ceil(starts.length / 2));
    expect(summary.durationMs).toBeLessThan(1100);
    expect(summary.series.length).toBeLessThanOrEqual(3);
  }
});

describe('randomness', () => {
  const drawn = async (model: LoadModel, threads: number, seed = 5): Promise<string[]> => {
    const draws: string[] = [];
    const serve: Serve = (time, random, done) => {
      draws.push(`${random()} ${random()}`);
      time.later(10, () => done(OK));
    };
    await runVirtually(planOf(model, { threads, seed, count: 200 }), serve);
    return draws;
  };

  test('is the same for the same seed, over any number of threads, and another for another', async () => {
    for (const model of [pool(4, Number.POSITIVE_INFINITY), steady(100, 60_000)]) {
      const one = await drawn(model, 1);
      expect(new Set(one).size).toBe(200);
      expect(await drawn(model, 1)).toEqual(one);
      expect((await drawn(model, 4)).sort()).toEqual(one.toSorted());
      expect(await drawn(model, 1, 6)).not.toEqual(one);
    }
  });

  test('of each worker is a stream of its own', async () => {
    const draws = await drawn(pool(2, Number.POSITIVE_INFINITY), 1);
    const first = randomStream(5, 'worker', 0);
    const second = randomStream(5, 'worker', 1);
    for (let turn = 0; turn < 200; turn += 2) {
      expect(draws[turn]).toBe(`${first()} ${first()}`);
      expect(draws[turn + 1]).toBe(`${second()} ${second()}`);
    }
  });
});

describe('a workload that breaks its contract', () => {
  test('by throwing ends the run with what it threw', async () => {
    const error = new Error('the sky fell');
    let calls = 0;
    const serve: Serve = (time, _random, done) => {
      if (++calls === 5) throw error;
      time.later(1, () => done(OK));
    };
    await expect(runVirtually(planOf(steady(10, 10_000)), serve)).rejects.toBe(error);
    expect(calls).toBe(5);
  });

  test('by ending an operation twice ends the run', async () => {
    const serve: Serve = (time, _random, done) => {
      time.later(1, () => done(OK));
      time.later(2, () => done(OK));
    };
    await expect(runVirtually(planOf(pool(1, 1000)), serve)).rejects.toMatchObject({
      code: 'BUG',
      message: "the workload ended one 'get' operation twice",
    });
  });
});

test('operations that end before fire returns do not keep everything else from happening', async () => {
  const { summary } = await runVirtually(planOf(pool(2, 1000)), (_time, _random, done) => done(OK), {
    stopAtMs: 500,
  });
  expect(summary.totals.count).toBeGreaterThan(100);
  expect(summary.durationMs).toBeLessThan(501);
});

test('figures are kept by kind, with errors by class and times to the first byte', async () => {
  let turn = 0;
  const serve: Serve = (time, _random, done) => {
    const odd = turn++ % 2 === 1;
    time.later(odd ? 40 : 10, () =>
      done(
        odd
          ? { kind: 'push', ok: false, error: turn % 4 === 0 ? 'timeout' : 'status-500', bytes: 7 }
          : { kind: 'pull', ok: true, bytes: 1000, firstByteMs: 3 },
      ),
    );
  };
  const { summary } = await runVirtually(planOf(steady(10, 2000)), serve);
  const [pull, push] = summary.kinds;
  expect(summary.kinds.map((one) => one.kind)).toEqual(['pull', 'push']);
  expect(pull).toMatchObject({ count: 10, failed: 0, errors: {}, bytes: 10_000, firstByte: { p50: 3 } });
  expect(push).toMatchObject({ count: 10, failed: 10, bytes: 70, firstByte: null });
  expect(push?.errors).toEqual({ timeout: 5, 'status-500': 5 });
  expect(pull?.latency?.p50).toBeCloseTo(10, 1);
  expect(push?.serviceTime?.p50).toBeCloseTo(40, 0);
  expect(summary.totals).toMatchObject({ count: 20, failed: 10, bytes: 10_070 });
});
