import { expect, test } from 'vitest';
import { Series } from '../../../src/load/series.ts';
import type { LoadSample } from '../../../src/load/summary.ts';

const sampleAt = (second: number): LoadSample => ({
  atMs: second * 1000,
  durationMs: 1000,
  count: second % 10,
  failed: second % 3 === 0 ? 1 : 0,
  dropped: second % 2,
  bytes: second,
  ratePerSecond: second % 10,
  p50: second % 10 === 0 ? null : 5,
  p99: second % 10 === 0 ? null : second === 4321 ? 9000 : 20,
  inFlight: second,
});

test('an hour of seconds is kept as it is', () => {
  const series = new Series();
  const samples = Array.from({ length: 3600 }, (_, second) => sampleAt(second));
  for (const sample of samples) series.add(sample);
  expect(series.samples).toEqual(samples);
});

test.each([3601, 7200, 7201, 86_400, 100_001])(
  'of %d seconds no more than 3600 samples are kept, and nothing is lost',
  (seconds) => {
    const series = new Series();
    const all = Array.from({ length: seconds }, (_, second) => sampleAt(second));
    for (const sample of all) series.add(sample);
    const kept = series.samples;
    expect(kept.length).toBeLessThanOrEqual(3600);
    expect(kept.length).toBeGreaterThan(1750);
    for (const of of ['durationMs', 'count', 'failed', 'dropped', 'bytes'] as const) {
      const sum = (samples: readonly LoadSample[]): number =>
        samples.reduce((total, sample) => total + sample[of], 0);
      expect(sum(kept)).toBe(sum(all));
    }
    const lengthMs = kept[0]?.durationMs ?? 0;
    for (const [index, sample] of kept.entries()) {
      expect(sample.atMs).toBe(index * lengthMs);
      if (index < kept.length - 1) expect(sample.durationMs).toBe(lengthMs);
      expect(sample.ratePerSecond).toBeCloseTo((sample.count * 1000) / sample.durationMs);
      if (sample.p50 !== null) expect(sample.p50).toBeCloseTo(5);
      expect(sample.inFlight).toBe((sample.atMs + sample.durationMs) / 1000 - 1);
    }
    expect(kept.filter((sample) => sample.p99 === 9000)).toHaveLength(seconds > 4321 ? 1 : 0);
  },
);
