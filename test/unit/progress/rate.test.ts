import { expect, test } from 'vitest';
import { RateMeter } from '../../../src/progress/rate.ts';

test('knows nothing before it has two points in time', () => {
  const meter = new RateMeter();
  expect(meter.perSecond(0)).toBeUndefined();
  meter.record(0, 0);
  expect(meter.perSecond(0)).toBeUndefined();
});

test('is bytes per second over the window', () => {
  const meter = new RateMeter(5000);
  for (let at = 0; at <= 20_000; at += 500) meter.record(at, at < 10_000 ? at : 10_000 + (at - 10_000) * 4);
  expect(meter.perSecond(20_000)).toBeCloseTo(4000, 0);
});

test('falls while nothing moves', () => {
  const meter = new RateMeter(5000);
  meter.record(0, 0);
  meter.record(1000, 1000);
  expect(meter.perSecond(1000)).toBe(1000);
  expect(meter.perSecond(4000)).toBe(250);
});

test('is never negative, and keeps few points however often it is told', () => {
  const meter = new RateMeter(5000);
  for (let at = 0; at < 4000; at++) meter.record(at, 4000 - at);
  expect(meter.perSecond(4000)).toBe(0);
});
