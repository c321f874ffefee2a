import { expect, test } from 'vitest';
import { sparkline } from '../../../src/progress/index.ts';

test.each<[readonly number[], number, string]>([
  [[0, 1, 2, 3, 4, 5, 6, 7], 8, '▁▂▃▄▅▆▇█'],
  [[9, 9, 0, 70], 2, '▁█'],
  [[-5, Number.NaN, 5], 5, '▁ █'],
  [[3, 3, 3], 3, '▁▁▁'],
  [[Number.NaN], 3, ' '],
  [[1, 2], 0, ''],
  [[], 4, ''],
])('%j in %d columns', (values, width, bars) => {
  expect(sparkline(values, width)).toBe(bars);
});
