import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffDelayMs } from '../../../src/base/index.ts';

const bounds = { baseMs: 100, capMs: 5000 };
const almostOne = (): number => 1 - Number.EPSILON;

test.each([
  [1, 99],
  [2, 199],
  [3, 399],
  [6, 3199],
  [7, 4999],
  [5000, 4999],
])('try %d waits at most %d ms', (attempt, most) => {
  expect(backoffDelayMs(attempt, bounds, almostOne)).toBe(most);
  expect(backoffDelayMs(attempt, bounds, () => 0)).toBe(0);
});

test('whatever the dice say, the wait is a whole number within the bounds', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempt, dice) => {
        const delay = backoffDelayMs(attempt, bounds, () => dice);
        expect(Number.isInteger(delay) && delay >= 0 && delay < bounds.capMs).toBe(true);
      },
    ),
  );
});

test('without dice of one’s own it is random', () => {
  const delays = Array.from({ length: 50 }, () => backoffDelayMs(20, { baseMs: 1000, capMs: 1e9 }));
  expect(new Set(delays).size).toBeGreaterThan(1);
});
