import { describe, expect, test } from 'vitest';
import { RegopsError } from '../../../src/base/index.ts';
import { evaluateThresholds, type Judged, parseThreshold } from '../../../src/load/threshold.ts';

const latency = { min: 1, mean: 20, p50: 10, p90: 50, p95: 80, p99: 200, p999: 400, max: 500 };
const judged: Judged = {
  totals: { count: 990, failed: 99, ratePerSecond: 99, latency },
  kinds: [
    { kind: 'pull', count: 900, failed: 0, ratePerSecond: 90, latency: { ...latency, p99: 50 } },
    { kind: 'push: big', count: 90, failed: 99, ratePerSecond: 9, latency: null },
  ],
  dropped: 10,
};
const judge = (text: string) => evaluateThresholds([parseThreshold(text)], judged)[0];

describe('parseThreshold', () => {
  test.each([
    ['p99<200ms', { metric: 'p99', comparison: '<', bound: 200, unit: 'ms' }],
    [' p50{pull} <= 1.5s ', { metric: 'p50', kind: 'pull', comparison: '<=', bound: 1500, unit: 'ms' }],
    ['p99.9<1m', { metric: 'p999', bound: 60_000, unit: 'ms' }],
    ['max{push: big}<2s', { metric: 'max', kind: 'push: big', bound: 2000 }],
    ['errors<1%', { metric: 'errors', bound: 1, unit: '%' }],
    ['errors{pull}<=0', { metric: 'errors', kind: 'pull', bound: 0, unit: '' }],
    ['rate>100/s', { metric: 'rate', comparison: '>', bound: 100, unit: '/s' }],
    ['rate>=60/m', { metric: 'rate', comparison: '>=', bound: 1, unit: '/s' }],
    ['dropped<0.1%', { metric: 'dropped', bound: 0.1, unit: '%' }],
  ])('reads %s', (text, expected) => {
    expect(parseThreshold(text)).toMatchObject({ text: text.trim(), ...expected });
  });

  test.each([
    '',
    'p99',
    'p99<',
    'p99<200',
    'p98<200ms',
    'p99=200ms',
    'p99<<200ms',
    'p99{}<200ms',
    'p99<-1ms',
    'errors<1ms',
    'rate>100',
    'rate>0/s',
    'dropped{pull}<1%',
    'toString<1ms',
    'constructor<1ms',
  ])("refuses '%s' and says how it is written", (text) => {
    try {
      parseThreshold(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(RegopsError);
      expect(error).toMatchObject({ code: 'USAGE', message: `invalid threshold '${text}'` });
      expect((error as RegopsError).hints.join()).toContain('p99<200ms');
    }
  });
});

describe('evaluateThresholds', () => {
  test.each([
    ['p99<200ms', 200, false],
    ['p99<=200ms', 200, true],
    ['p99{pull}<200ms', 50, true],
    ['mean>10ms', 20, true],
    ['errors<10%', 10, false],
    ['errors<=10%', 10, true],
    ['errors{pull}<1%', 0, true],
    ['errors<100', 99, true],
    ['rate>100/s', 99, false],
    ['rate{push: big}>=9/s', 9, true],
    ['dropped<1%', 1, false],
    ['dropped<11', 10, true],
  ])('%s is given %d: %s', (text, value, ok) => {
    expect(judge(text)).toEqual({ text, value, ok, unit: parseThreshold(text).unit });
  });

  test('holds for nothing that was not measured', () => {
    expect(judge('p99{push: big}<1s')).toMatchObject({ value: null, ok: false });
    expect(judge('p99{none}<1s')).toMatchObject({ value: null, ok: false });
    expect(judge('errors{none}<1%')).toMatchObject({ value: null, ok: false });
    expect(judge('rate{none}>1/s')).toMatchObject({ value: 0, ok: false });
  });
});
