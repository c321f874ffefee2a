import { expect, test } from 'vitest';
import { RunFigures } from '../../../../../src/jobs/torture/verdict/figures.ts';
import { get, one, put, remove } from '../../../history/lies.ts';

test('rates and latencies by kind, over the time that the clients of the workload were at it', () => {
  const figures = new RunFigures(2);
  figures.add(put(1_000_000, 1_002_000, { size: 100 }));
  figures.add(get(1_002_000, 1_003_000, { value: one, size: 100, client: 1 }));
  figures.add(get(1_990_000, 2_000_000, { value: null, client: 1 }));
  figures.add(get(2_990_000, 3_000_000, { outcome: 'unknown', status: 500, client: 1 }));
  figures.add(remove(1_500_000, 1_501_000, { outcome: 'unknown', status: 0 }));
  figures.add(get(9_000_000, 9_000_001, { client: 2 }));
  const [removed, read, pushed, ...rest] = figures.kinds();
  expect(rest).toEqual([]);
  expect(pushed).toMatchObject({ kind: 'put-manifest', count: 1, failed: 0, bytes: 100, ratePerSecond: 0.5 });
  expect(pushed?.latency?.max).toBeCloseTo(2);
  expect(read).toMatchObject({ kind: 'get-manifest', count: 3, errors: { 'status-500': 1 }, bytes: 100 });
  expect(read).toMatchObject({ ratePerSecond: 1.5, failed: 1 });
  expect(read?.latency?.max).toBeCloseTo(10);
  expect(removed).toMatchObject({ kind: 'delete-manifest', errors: { 'no-answer': 1 }, failed: 1 });
});

test('of nothing there are no figures', () => {
  expect(new RunFigures().kinds()).toEqual([]);
});
