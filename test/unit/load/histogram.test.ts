import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Histogram } from '../../../src/load/histogram.ts';

const times = fc.array(fc.double({ min: 0, max: 4_000_000, noNaN: true }), { minLength: 1, maxLength: 200 });

function of(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

describe('a histogram', () => {
  test('knows every percentile to half a percent or half a microsecond', () => {
    fc.assert(
      fc.property(times, fc.constantFrom(1, 10, 50, 90, 95, 99, 99.9, 100), (values, percent) => {
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil((percent / 100) * values.length - 1e-9) - 1)] as number;
        const found = of(values).percentile(percent) as number;
        expect(Math.abs(found - exact)).toBeLessThanOrEqual(exact * 0.005 + 0.0005 + 1e-9);
      }),
    );
  });

  test('knows minimum, maximum and mean exactly', () => {
    expect(of([1, 2, 4.5, 0.25]).distribution()).toMatchObject({ min: 0.25, max: 4.5, mean: 1.9375 });
  });

  test('finds p99.9 of a thousand values at the 999th', () => {
    const values = Array.from({ length: 1000 }, (_, index) => (index + 1) / 10);
    expect(of(values).distribution()?.p999).toBeCloseTo(99.9, 0);
    expect(of([...values.slice(0, 999), 5000]).distribution()?.p999).toBeLessThan(101);
    expect(of([...values.slice(0, 998), 5000, 5000]).distribution()?.p999).toBeGreaterThan(4970);
  });

  test('of nothing has no figures', () => {
    expect(new Histogram().distribution()).toBeNull();
    expect(new Histogram().percentile(50)).toBeNull();
  });

  test('takes what is too long or below zero as its ends', () => {
    expect(of([-1]).distribution()).toMatchObject({ min: 0, p50: 0, max: 0 });
    const week = 7 * 24 * 3_600_000;
    expect(of([week]).distribution()).toMatchObject({ min: week, max: week, p50: week });
  });

  test('merged from parts is as if it had recorded everything, also through structured clone', () => {
    fc.assert(
      fc.property(fc.array(times, { minLength: 1, maxLength: 5 }), (parts) => {
        const merged = new Histogram();
        for (const part of parts) merged.merge(structuredClone(of(part).data()));
        merged.merge(new Histogram().data());
        const whole = of(parts.flat());
        const { sumMs, ...rest } = merged.data();
        const { sumMs: wholeSumMs, ...wholeRest } = whole.data();
        expect(rest).toEqual(wholeRest);
        expect(sumMs).toBeCloseTo(wholeSumMs, 3);
        expect(merged.count).toBe(parts.flat().length);
      }),
      { numRuns: 50 },
    );
  });
});
