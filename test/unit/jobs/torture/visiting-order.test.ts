import fc from 'fast-check';
import { expect, test } from 'vitest';
import { visitingOrder } from '../../../../src/jobs/torture/consistency/visiting-order.ts';

const NAMES = Array.from({ length: 50 }, (_, n) => `team/app-${n}`);

test('without a seed it is the registry’s own', () => {
  expect(visitingOrder(NAMES, undefined, 3)).toEqual(NAMES);
});

test('a seed repeats it, another seed and another pass have another', () => {
  const order = visitingOrder(NAMES, 7, 1);
  expect(visitingOrder(NAMES, 7, 1)).toEqual(order);
  for (const other of [NAMES, visitingOrder(NAMES, 8, 1), visitingOrder(NAMES, 7, 2)]) {
    expect(other).not.toEqual(order);
  }
});

test('every repository is in it once', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string()), fc.nat(), fc.nat(1000), (names, seed, pass) => {
      expect(visitingOrder(names, seed, pass).toSorted()).toEqual(names.toSorted());
    }),
  );
});

test('every place can be the first', () => {
  const firsts = new Set(Array.from({ length: 1000 }, (_, seed) => visitingOrder(NAMES, seed, 1)[0]));
  expect(firsts.size).toBe(NAMES.length);
});
