import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { placeOf } from '../../../../src/jobs/pullthrough-bench/addressing.ts';
import { DigestSet } from '../../../../src/jobs/pullthrough-bench/digest-set.ts';
import {
  coldVsWarmOf,
  kneeOf,
  stepResults,
  throughputOf,
  upstreamShare,
} from '../../../../src/jobs/pullthrough-bench/figures.ts';
import { ImageOrder } from '../../../../src/jobs/pullthrough-bench/image-order.ts';
import { ImageTable, ImageTableBuilder } from '../../../../src/jobs/pullthrough-bench/image-table.ts';
import { tallyLine } from '../../../../src/jobs/pullthrough-bench/index.ts';
import type { Selection } from '../../../../src/jobs/pullthrough-bench/listing.ts';
import {
  parseExpression,
  parsePatterns,
  splitPatterns,
} from '../../../../src/jobs/pullthrough-bench/patterns.ts';
import {
  loadModelOf,
  planBench,
  planLines,
  sampleMsOf,
  stepAt,
  windowsOf,
} from '../../../../src/jobs/pullthrough-bench/plan.ts';
import type { BenchSample, StepResult, Tally } from '../../../../src/jobs/pullthrough-bench/result.ts';
import { inPairs, TallyKeeper } from '../../../../src/jobs/pullthrough-bench/tally.ts';
import { checkPlan, randomStream } from '../../../../src/load/index.ts';
import { type Digest, digestOf } from '../../../../src/oci/index.ts';
import { QUICK } from './support.ts';

describe('patterns', () => {
  test.each([
    ['-0001,-0002', ['-0001', '-0002']],
    ['a{1,3},b', ['a{1,3}', 'b']],
    ['a{2,},b', ['a{2,}', 'b']],
    ['[,;]x,y', ['[,;]x', 'y']],
    ['a\\,b,c', ['a\\,b', 'c']],
    ['{,}', ['{', '}']],
    ['[a', ['[a']],
    ['[a,b', ['[a', 'b']],
    ['', ['']],
  ])('%s', (text, expected) => {
    expect(splitPatterns(text)).toEqual(expected);
  });

  test('nothing is lost or made up', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab,{}[]\\(.1') }), (text) => {
        expect(splitPatterns(text).join(',')).toBe(text);
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z0-9.*-]{1,8}$/), { minLength: 1 }), (parts) => {
        expect(splitPatterns(parts.join(','))).toEqual(parts);
      }),
    );
  });

  test('they come in one list or in several', () => {
    expect(parsePatterns(['a,b', 'c']).map(({ text }) => text)).toEqual(['a', 'b', 'c']);
  });

  test('an error names what is wrong and says what to write', () => {
    expect(() => parseExpression('*', 'pattern')).toThrowError(
      expect.objectContaining({ code: 'USAGE', hints: ["Use '.*' for all images."] }),
    );
    expect(() => parsePatterns(['ok,a(b'])).toThrowError(/invalid pattern 'a\(b': .*group/i);
  });
});

function tableOf(names: readonly string[]): ImageTable {
  const builder = new ImageTableBuilder();
  for (const name of names) builder.add(name);
  return builder.table();
}

function selectionOf(...sizes: number[]): Selection {
  let next = 0;
  const groups = sizes.map((size, at) => ({
    pattern: `-000${at}`,
    images: new Uint32Array(new SharedArrayBuffer(4 * size)).map(() => next++) as never,
  }));
  const names = Array.from({ length: next }, (_, at) => `team/app${at}:v1`);
  return {
    repositories: next,
    emptyRepositories: 0,
    listedImages: next,
    filteredImages: next,
    table: tableOf(names),
    groups,
    overlap: undefined,
  };
}

const OPTIONS = { ...QUICK, cache: 'cache', upstream: 'upstream' };

describe('the plan', () => {
  test('goes up one pattern per iteration and down again, and can be run', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 1, max: 600 }),
        (sizes, pullersPerPattern, iterationTenths, tallyTenths) => {
          fc.pre(sizes.some((size) => size > 0));
          const options = {
            ...OPTIONS,
            pullersPerPattern,
            iterationMs: iterationTenths * 100,
            tallyMs: tallyTenths * 100,
          };
          const plan = planBench(options, 'upstream', selectionOf(...sizes));
          const patterns = sizes.filter((size) => size > 0).length;
          const up = Array.from({ length: patterns }, (_, at) => (at + 1) * pullersPerPattern);
          expect(plan.steps.map(({ pullers }) => pullers)).toEqual([...up, ...up.slice(0, -1).reverse()]);
          expect(plan.durationMs).toBe((2 * patterns - 1) * options.iterationMs);
          const sampleMs = sampleMsOf(options);
          for (const { fromMs, durationMs, settledFromMs } of plan.steps) {
            const settleMs = settledFromMs - fromMs;
            expect(settleMs % sampleMs).toBe(0);
            expect(settleMs).toBeLessThanOrEqual(durationMs / 2);
            if (durationMs >= 4000) expect(settleMs).toBeGreaterThanOrEqual(Math.max(1000, durationMs / 5));
          }
          checkPlan(
            {
              model: loadModelOf(plan, options),
              warmupMs: 0,
              seed: 1,
              threads: 1,
              thresholds: [],
              windows: windowsOf(plan),
              workload: { module: '', options: null },
            },
            sampleMs,
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  test('finds the step of a time', () => {
    const plan = planBench({ ...OPTIONS, iterationMs: 1000 }, 'upstream', selectionOf(1, 1));
    expect([0, 999, 1000, 2500, 9000].map((at) => stepAt(plan, at)?.step)).toEqual([1, 1, 2, 3, 3]);
  });

  test('says in words what will happen', () => {
    const lines = (more: Partial<typeof OPTIONS>, ...sizes: number[]) =>
      planLines(planBench({ ...OPTIONS, ...more }, 'upstream', selectionOf(...sizes))).at(-1);
    expect(lines({}, 2, 2, 2)).toBe(
      'Plan: ramp of 1 to 3 patterns and back, 3 pullers at the peak, 5 steps of 1m00s, 5m00s in all',
    );
    expect(lines({ maxPulls: 5, dryRun: true }, 2)).toBe(
      'Plan: 1 puller, 1 step of 1m00s, 1m00s in all, 5 pulls at most (dry run: nothing is pulled)',
    );
    expect(lines({ ratePerSecond: 50 }, 2, 2)).toBe('Plan: 50 images/s, 3m00s in all');
    expect(lines({ scenario: 'cold-vs-warm', pullersPerPattern: 3 }, 2, 2)).toBe(
      'Plan: cold-vs-warm: 4 images, each pulled twice, 4 pullers, until all are done',
    );
    expect(lines({ scenario: 'herd', herd: { ...OPTIONS.herd, kill: true } }, 4)).toBe(
      'Plan: herd: 5 clients at once for each of 2 images, one more is cut off in mid-pull',
    );
  });
});

describe('images', () => {
  test('are found again by their numbers, also in another thread', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.stringMatching(/^[a-z0-9]{1,9}(\/[a-z]{1,5})?$/), fc.stringMatching(/^[\w.-]{1,9}$/)),
        ),
        (images) => {
          const names = images.map(([repository, tag]) => `${repository}:${tag}`);
          const table = ImageTable.over(tableOf(names).memory);
          expect(table.size).toBe(names.length);
          names.forEach((name, at) => {
            expect(table.nameOf(at)).toBe(name);
            expect(table.at(at)).toEqual({ repository: images[at]?.[0], tag: images[at]?.[1] });
          });
        },
      ),
    );
  });

  test('every pass has each image once, shuffled or not, and leaves the shared order alone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(50), fc.boolean(), (size, offset, shuffle) => {
        const shared = Uint32Array.from({ length: size }, (_, at) => at * 3);
        const order = new ImageOrder(shared, offset % size, shuffle);
        const random = randomStream(1, 'worker', 0);
        for (let pass = 0; pass < 3; pass++) {
          const given = Array.from({ length: size }, () => order.next(random));
          expect(new Set(given.map(({ image }) => image))).toEqual(new Set(shared));
          expect(given.map(({ endsPass }) => endsPass)).toEqual(
            Array.from({ length: size }, (_, at) => at === size - 1),
          );
        }
        expect([...shared]).toEqual(Array.from({ length: size }, (_, at) => at * 3));
      }),
    );
  });

  test('shuffling gives another order', () => {
    const shared = Uint32Array.from({ length: 30 }, (_, at) => at);
    const order = new ImageOrder(shared, 0, true);
    const random = randomStream(1, 'worker', 0);
    const passes = [0, 1, 2].map(() => shared.map(() => order.next(random).image).join());
    expect(passes[0]).toBe(shared.join());
    expect(new Set(passes).size).toBe(3);
  });

  test('digests are counted once each, whoever adds them', () => {
    const set = new DigestSet();
    const other = new DigestSet(set.memory);
    for (let round = 0; round < 2; round++) {
      for (let at = 0; at < 1000; at++) (at % 2 ? set : other).add(digestOf(`blob ${at}`));
    }
    expect([set.size, other.size, set.isExact]).toEqual([1000, 1000, true]);
    const zero = new DigestSet();
    zero.add(`sha256:${'0'.repeat(64)}` as Digest);
    zero.add(`sha256:${'0'.repeat(64)}` as Digest);
    expect(zero.size).toBe(1);
  });

  test('a full set takes no more, and says so', () => {
    const set = new DigestSet(new SharedArrayBuffer(8 * 17));
    for (let at = 0; at < 100; at++) set.add(digestOf(`blob ${at}`));
    expect([set.size, set.isExact]).toEqual([12, false]);
  });

  test('places on the cache, and the scopes to pull from them', () => {
    expect(placeOf('in-path', 'reg:5000', 'team/app')).toEqual({
      repository: 'reg:5000/team/app',
      query: undefined,
      scopes: ['repository:reg:5000/team/app:pull'],
    });
    expect(placeOf('ns-query', 'reg:5000', 'team/app')).toEqual({
      repository: 'team/app',
      query: 'ns=reg%3A5000',
      scopes: ['repository:team/app:pull'],
    });
  });
});

describe('figures', () => {
  const distribution = (p50: number) => ({
    ...{ min: 1, mean: p50, p50, p90: p50, p95: p50, p99: p50, p999: p50, max: p50 },
  });
  const figures = (count: number, failed: number, bytes = 0) => ({
    ...{ count, failed, bytes, errors: failed > 0 ? { digest: failed } : {}, ratePerSecond: 0 },
    ...{ latency: distribution(5), serviceTime: null, firstByte: null },
  });

  test('an image is a pull that did not fail; bytes are those of requests', () => {
    const parts = [
      { kind: 'blob', ...figures(20, 0, 900) },
      { kind: 'manifest', ...figures(10, 0, 100) },
      { kind: 'prune', ...figures(1, 0, 5000) },
    ];
    expect(throughputOf({ totals: figures(10, 2, 77), parts, durationMs: 2000 })).toMatchObject({
      ...{
        images: 8,
        failed: 2,
        errors: { digest: 2 },
        imagesPerSecond: 4,
        bytes: 1000,
        bytesPerSecond: 500,
      },
      requests: [{ kind: 'blob' }, { kind: 'manifest' }],
    });
  });

  test('steps have figures where they were run', () => {
    const plan = planBench({ ...OPTIONS, iterationMs: 10_000 }, 'upstream', selectionOf(1, 1));
    const window = (fromMs: number, toMs: number, durationMs: number) => ({
      ...{ fromMs, toMs, durationMs, kinds: [], parts: [], totals: figures(10, 0) },
    });
    const windows = [window(2000, 10_000, 8000), window(12_000, 20_000, 4000), window(22_000, 30_000, 0)];
    expect(stepResults(plan, windows).map((step) => step.figures?.imagesPerSecond ?? null)).toEqual([
      1.25,
      2.5,
      null,
    ]);
    expect(stepResults({ ...plan, dryRun: true }, windows).map((step) => step.figures)).toEqual([
      null,
      null,
      null,
    ]);
  });

  const ramp = (...rates: (number | null)[]): StepResult[] =>
    rates.map((imagesPerSecond, at) => ({
      ...{ step: at + 1, pullers: at + 1, fromMs: 0, toMs: 1, durationMs: 1 },
      figures: imagesPerSecond === null ? null : ({ imagesPerSecond } as StepResult['figures']),
    }));

  test.each([
    ['rises to the top', [10, 20, 30, 20, 10], undefined],
    ['stops at the second', [10, 20, 20.9, 20, 10], 2],
    ['falls at once', [10, 9, 30, 20, 10], 1],
    ['only the way up counts', [10, 20, 30, 30, 30], undefined],
    ['ended early', [10, 20, null, null, null], undefined],
    ['one step', [10], undefined],
  ])('the knee: %s', (_, rates, step) => {
    expect(kneeOf(ramp(...rates))?.step).toBe(step);
  });

  test('cold and warm', () => {
    const kinds = [
      { kind: 'cold', ...figures(3, 0), latency: distribution(30) },
      { kind: 'warm', ...figures(3, 0), latency: distribution(10) },
    ];
    expect(coldVsWarmOf(kinds)).toMatchObject({ medianRatio: 3, meanRatio: 3, cold: { count: 3 } });
    expect(coldVsWarmOf([])).toMatchObject({ medianRatio: null, cold: { count: 0, latencyMs: null } });
  });

  test('what the upstream was spared', () => {
    const traffic = { manifestGets: 3, blobGets: 30, distinctBlobs: 10, maxGetsOfOneBlob: 7, blobBytes: 300 };
    expect(upstreamShare(traffic, { blobGets: 120, distinctBlobs: 10 })).toEqual({
      ...traffic,
      ...{ amplification: 3, cacheHitRatio: 0.75 },
    });
    expect(upstreamShare(traffic, { blobGets: 0, distinctBlobs: 0 })).toMatchObject({
      amplification: null,
      cacheHitRatio: null,
    });
  });
});

describe('tallies', () => {
  const plan = planBench({ ...OPTIONS, iterationMs: 1000, tallyMs: 300 }, 'upstream', selectionOf(1, 1));
  const sample = (atMs: number, count: number, failed = 0, durationMs = 100) => ({
    ...{ atMs, durationMs, count, failed, dropped: 0, bytes: count * 10, ratePerSecond: 0, p50: 1, p99: 2 },
    inFlight: 0,
  });

  test('come at their times, with what is left at the end', () => {
    const told: Tally[] = [];
    const keeper = new TallyKeeper(plan, Date.UTC(2026, 0, 2), () => 0, {
      onTally: (tally) => told.push(tally),
    });
    for (let at = 0; at < 13; at++) keeper.add(sample(at * 100, 4, 1));
    keeper.end();
    expect(
      told.map(({ atMs, durationMs, images, failed, partial, pullers }) => [
        ...[atMs, durationMs, images, failed, partial, pullers],
      ]),
    ).toEqual([
      [300, 300, 9, 3, false, 1],
      [600, 300, 9, 3, false, 1],
      [900, 300, 9, 3, false, 1],
      [1200, 300, 9, 3, false, 2],
      [1300, 100, 3, 1, true, 2],
    ]);
    expect(told[0]).toMatchObject({ imagesPerSecond: 30, bytes: 120, time: '2026-01-02T00:00:00.300Z' });
    expect(keeper.soFar().totals).toMatchObject({ images: 39, failed: 13, imagesPerSecond: 30 });
    keeper.end();
    expect(told).toHaveLength(5);
  });

  test('pullers that went home are none', () => {
    const keeper = new TallyKeeper(plan, 0, (pullers) => pullers - 1, {});
    keeper.add(sample(1000, 1));
    expect(keeper.samples[0]).toMatchObject({ pullers: 1, step: 2 });
  });

  test("the seed's line", () => {
    const tally = {
      ...{ atMs: 1, durationMs: 1, images: 1, failed: 0, bytes: 0, pullers: 3, partial: false },
      ...{ time: new Date(2026, 0, 2, 3, 4, 5).toISOString(), imagesPerSecond: 12.3456789 },
    };
    expect(tallyLine(tally)).toBe('2026-01-02 03:04:05\t12.345679\t3');
    expect(tallyLine({ ...tally, imagesPerSecond: null })).toBe('2026-01-02 03:04:05\t0.000000\t3');
  });

  test('samples are merged in pairs without losing what was counted', () => {
    const one = (atMs: number, images: number, p99Ms: number | null): BenchSample => ({
      ...{ atMs, durationMs: 100, step: 1, pullers: 1, images, failed: 1, bytes: 10 },
      ...{ imagesPerSecond: 0, bytesPerSecond: 0, p50Ms: p99Ms, p99Ms },
    });
    expect(inPairs([one(0, 1, 5), one(100, 2, null), one(200, 3, 7)])).toMatchObject([
      { atMs: 0, durationMs: 200, images: 3, failed: 2, bytes: 20, imagesPerSecond: 15, p99Ms: 5 },
      { atMs: 200, durationMs: 100, images: 3, p99Ms: 7 },
    ]);
  });
});
