import { describe, expect, test } from 'vitest';
import { compareRuns, reportComparison } from '../../../../src/jobs/pullthrough-bench/index.ts';
import { bench, namesFor, openRig } from './support.ts';

interface RunFigures {
  readonly rate?: number;
  readonly p50?: number;
  readonly images?: number;
  readonly failed?: number;
  readonly plan?: object;
  readonly more?: object;
}

/** As much of an answer as is compared. */
function answer({ rate = 100, p50 = 10, images = 1000, failed = 0, plan, more }: RunFigures = {}) {
  const times = { p50, p90: p50 * 2, p99: p50 * 3 };
  return {
    schema: 'regops.pullthrough-bench/1',
    ok: true,
    result: {
      dryRun: false,
      plan: { scenario: 'ramp', images: 10, groups: [{ pattern: 'a', images: 10, pullers: 1 }], ...plan },
      totals: {
        ...{ images, failed, imagesPerSecond: rate, bytesPerSecond: rate * 1000 },
        ...{ latencyMs: times, firstByteMs: times },
      },
      steps: [{ figures: { imagesPerSecond: rate } }, { figures: null }],
      generator: { bound: false },
      interrupted: false,
      ...more,
    },
  };
}

describe('two runs', () => {
  test.each([
    ['the same', {}, {}, 'same'],
    ['within the tolerance', { rate: 100 }, { rate: 96 }, 'same'],
    ['slower', { rate: 100 }, { rate: 94 }, 'worse'],
    ['faster', { rate: 100 }, { rate: 110 }, 'better'],
    ['longer waits', { p50: 10 }, { p50: 11 }, 'worse'],
    ['shorter waits', { p50: 10 }, { p50: 9 }, 'better'],
    ['faster, but with errors', { rate: 100 }, { rate: 200, failed: 1 }, 'worse'],
    ['errors gone', { failed: 5 }, {}, 'better'],
  ] as const)('%s', (_, a, b, verdict) => {
    expect(compareRuns(answer(a), answer(b)).verdict).toBe(verdict);
  });

  test('figure by figure', () => {
    const { figures, samePlan, warnings } = compareRuns(answer(), answer({ rate: 150 }), {
      tolerancePercent: 10,
    });
    expect(figures.find(({ name }) => name === 'images per second')).toEqual({
      ...{ name: 'images per second', unit: '/s', a: 100, b: 150, changePercent: 50, verdict: 'better' },
    });
    expect(figures.find(({ name }) => name === 'pull p99')).toMatchObject({ a: 30, b: 30, verdict: 'same' });
    // What neither has is not shown.
    expect(figures.some(({ name }) => name.startsWith('herd'))).toBe(false);
    expect([samePlan, warnings]).toEqual([true, []]);
  });

  test('of different plans, or not to be trusted, are compared with a warning', () => {
    const b = answer({
      plan: { images: 20, layerConcurrency: 1 },
      more: { interrupted: true, generator: { bound: true } },
    });
    const comparison = compareRuns(answer(), b);
    expect(comparison.samePlan).toBe(false);
    expect(comparison.warnings).toEqual([
      'the plans differ in images, layerConcurrency',
      'the second run was interrupted',
      expect.stringMatching(/^the second run was generator-bound/),
    ]);
    const report = reportComparison(comparison);
    expect(report.sections?.map(({ title }) => title)).toEqual([undefined, 'Doubts']);
    expect(report.checks?.[0]).toMatchObject({
      status: 'pass',
      evidence: expect.stringContaining('plans differ'),
    });
  });

  test('the order of keys is no difference', () => {
    const a = answer({ plan: { platform: { os: 'linux', architecture: 'amd64' } } });
    const b = answer({ plan: { platform: { architecture: 'amd64', os: 'linux' } } });
    expect(compareRuns(a, b).samePlan).toBe(true);
  });

  test('a worse run fails the check', () => {
    const report = reportComparison(compareRuns(answer(), answer({ rate: 50 })));
    expect(report.checks?.[0]?.status).toBe('fail');
    expect(report.summary).toBe('the second run is worse (within 5 %)');
  });

  test.each([
    [null, /no JSON object/],
    [[], /no JSON object/],
    [{ schema: 'regops.inspect/1', result: {} }, /its schema is regops.inspect\/1/],
    [{ schema: 'regops.pullthrough-bench/1' }, /no result/],
    [{}, /no plan/],
    [answer({ more: { dryRun: true } }), /dry run/],
    [answer({ more: { totals: null, steps: [] } }), /measured nothing/],
    [{ plan: {}, totals: { imagesPerSecond: 'many' }, steps: 5, herd: 'x' }, /measured nothing/],
  ])('what is no run is refused: %j', (document, message) => {
    expect(() => compareRuns(answer(), document)).toThrowError(
      expect.objectContaining({ code: 'INPUT_INVALID', message: expect.stringMatching(message) }),
    );
    expect(() => compareRuns(document, answer())).toThrowError(/the first run/);
  });

  test('a tolerance must be one', () => {
    expect(() => compareRuns(answer(), answer(), { tolerancePercent: -1 })).toThrowError(
      expect.objectContaining({ code: 'USAGE' }),
    );
  });

  test('real ones, as their JSON is kept', async () => {
    const rig = await openRig(namesFor(['0001'], 2));
    const kept = async (more: Parameters<typeof bench>[1]) =>
      JSON.parse(JSON.stringify((await bench(rig, { patterns: ['.*'], ...more })).result)) as unknown;
    const ramp = await kept({ maxPulls: 20 });
    expect(compareRuns(ramp, ramp)).toMatchObject({ verdict: 'same', samePlan: true });
    const herd = await kept({ scenario: 'herd' });
    expect(compareRuns(herd, herd).figures.map(({ name }) => name)).toEqual([
      'herd median',
      'herd slowest',
      'errors',
    ]);
    const twice = await kept({ scenario: 'cold-vs-warm' });
    expect(compareRuns(twice, twice).figures.map(({ name }) => name)).toContain('warm p50');
    expect(compareRuns(ramp, herd).warnings[0]).toMatch(/^the plans differ in scenario/);
  });
});
