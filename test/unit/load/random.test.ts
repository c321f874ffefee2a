import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deriveSeed, randomStream } from '../../../src/load/random.ts';

const first = (count: number, ...of: Parameters<typeof randomStream>): number[] => {
  const random = randomStream(...of);
  return Array.from({ length: count }, random);
};

test('the same seed, purpose and index repeat the same numbers; any other does not', () => {
  const seeds = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const indexes = fc.integer({ min: 0, max: 2 ** 31 });
  fc.assert(
    fc.property(seeds, seeds, indexes, indexes, (seed, otherSeed, index, otherIndex) => {
      const numbers = first(4, seed, 'worker', index);
      expect(first(4, seed, 'worker', index)).toEqual(numbers);
      expect(first(4, seed, 'think', index)).not.toEqual(numbers);
      if (otherSeed !== seed) expect(first(4, otherSeed, 'worker', index)).not.toEqual(numbers);
      if (otherIndex !== index) expect(first(4, seed, 'worker', otherIndex)).not.toEqual(numbers);
    }),
  );
});

test('numbers are spread evenly over [0, 1), within a stream and over the first numbers of many', () => {
  const streams = [
    first(100_000, 1, 'worker', 0),
    Array.from({ length: 100_000 }, (_, i) => randomStream(1, 'arrival', i)()),
  ];
  for (const numbers of streams) {
    const tenths = new Array<number>(10).fill(0);
    for (const number of numbers) {
      const tenth = Math.floor(number * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    expect(tenths).toHaveLength(10);
    for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  }
});

test('a derived seed is a 32-bit whole number', () => {
  expect(deriveSeed(5, 'workload', 1)).toBe(deriveSeed(5, 'workload', 1));
  expect(deriveSeed(5, 'workload', 1)).not.toBe(deriveSeed(5, 'workload', 2));
  expect(Number.isInteger(deriveSeed(5, 'workload', 1))).toBe(true);
});
