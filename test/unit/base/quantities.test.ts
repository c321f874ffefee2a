import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatBytes,
  formatDuration,
  isRegopsError,
  parseDuration,
  parseRate,
  parseSize,
} from '../../../src/base/index.ts';

const usage = expect.objectContaining({ code: 'USAGE' });

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['512', 512],
    ['512B', 512],
    ['1k', 1000],
    ['1kB', 1000],
    ['1KB', 1000],
    ['1KiB', 1024],
    ['5MB', 5_000_000],
    ['64MiB', 67_108_864],
    ['64 mib', 67_108_864],
    [' 1.5GiB ', 1_610_612_736],
    ['1G', 1e9],
    ['2TB', 2e12],
    ['1TiB', 2 ** 40],
    ['0.1', 0],
  ])('%j is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    '',
    ' ',
    '-1',
    '+1',
    '1e3',
    '1,5M',
    '1.',
    '.5',
    'MiB',
    '5 XB',
    '5MiBs',
    '1 2',
    '0x10',
    'NaN',
    'Infinity',
    '1PB',
    '5constructor',
    '9007199254740993',
    `${'9'.repeat(400)}`,
    '9999TiB9',
  ])('not %j', (text) => {
    expect(() => parseSize(text)).toThrow(usage);
  });

  test.each([
    [0, '0 B'],
    [512, '512 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [102_400, '100 KiB'],
    [1_048_575, '1 MiB'],
    [67_108_864, '64 MiB'],
    [1_610_612_736, '1.5 GiB'],
    [2 ** 50, '1 PiB'],
    [2 ** 61, '2048 PiB'],
    [-1536, '-1.5 KiB'],
  ])('%d bytes are shown as %s', (bytes, shown) => {
    expect(formatBytes(bytes)).toBe(shown);
  });

  test('what is shown is what was there, to its last digit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 - 1 }), (bytes) => {
        const [, amount, unit] = /^([\d.]+) ((?:[KMGTP]i)?B)$/.exec(formatBytes(bytes)) ?? [];
        expect(Number(amount)).toBeLessThan(1024);
        if (unit === 'PiB') return;
        const step = parseSize(`1${unit}`) * (Number(amount) < 100 ? 0.1 : 1);
        expect(Math.abs(parseSize(`${amount}${unit}`) - bytes)).toBeLessThanOrEqual(step / 2 + 1);
      }),
    );
  });
});

describe('durations', () => {
  test.each([
    ['0', 0],
    ['30', 30_000],
    ['0.5', 500],
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['1.5h', 5_400_000],
    ['14d', 1_209_600_000],
    ['1h30m', 5_400_000],
    ['1m1s1ms', 61_001],
    [' 5m ', 300_000],
    ['0.1ms', 0],
  ])('%j is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    '',
    's',
    '-5s',
    '5 s',
    '5S',
    '5x',
    '5m30',
    '1h 30m',
    '1..5s',
    '.5s',
    '5.s',
    '1e3s',
    'ms',
    '9'.repeat(400),
    `${'9'.repeat(400)}s`,
  ])('not %j', (text) => {
    expect(() => parseDuration(text)).toThrow(usage);
  });

  test.each([
    [0, '0.00s'],
    [250, '0.25s'],
    [4200, '4.2s'],
    [59_949, '59.9s'],
    [59_950, '1m00s'],
    [65_000, '1m05s'],
    [3_599_400, '59m59s'],
    [3_599_500, '1h00m'],
    [7_380_000, '2h03m'],
    [86_400_000, '1d00h'],
    [273_600_000, '3d04h'],
  ])('%d ms are shown as %s', (ms, shown) => {
    expect(formatDuration(ms)).toBe(shown);
  });

  test('no time is shown with a part that overflows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e12 }), (ms) => {
        const shown = formatDuration(ms);
        expect(shown).toMatch(/^(\d+\.\d+s|\d+m[0-5]\ds|\d+h[0-5]\dm|\d+d([01]\d|2[0-3])h)$/);
        expect(shown).not.toMatch(/^(60\.|60m|24h)/);
      }),
    );
  });
});

describe('rates', () => {
  test.each([
    ['200/s', 200],
    ['30/m', 0.5],
    ['0.5/s', 0.5],
    ['3600/h', 1],
    ['10MiB/s', 10_485_760],
    ['1k/s', 1000],
    [' 5 / s ', undefined],
  ])('%j', (text, rate) => {
    if (rate === undefined) expect(() => parseRate(text)).toThrow(usage);
    else expect(parseRate(text)).toBeCloseTo(rate, 10);
  });

  test.each(['', '200', '/s', '0/s', '-1/s', '5/d', '5/ms', '5//s', '5/s/s', 'x/s', `${'9'.repeat(400)}/s`])(
    'not %j',
    (text) => {
      expect(() => parseRate(text)).toThrow(usage);
    },
  );
});

describe('for all text', () => {
  const parsers = [parseSize, parseDuration, parseRate];

  test('a finite number that is not negative, or a USAGE error', () => {
    const nearly = fc.string({ unit: fc.constantFrom(...'0159. kMGiBmshd/'), maxLength: 12 });
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string({ unit: 'binary' })), (text) => {
        for (const parse of parsers) {
          try {
            const value = parse(text);
            expect(Number.isFinite(value) && value >= 0).toBe(true);
          } catch (error) {
            if (!isRegopsError(error, 'USAGE')) throw error;
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.each(['1', '1m', '1ms', '1.', '1 ', 'm', '.', ' ', '/s', '1/s'])(
    'a hundred thousand characters of %j end quickly, and are not repeated',
    (unit) => {
      const long = unit.repeat(Math.ceil(100_000 / unit.length));
      for (const text of [long, `${long}!`, `1${long}!`]) {
        for (const parse of parsers) {
          try {
            parse(text);
          } catch (error) {
            if (!isRegopsError(error, 'USAGE')) throw error;
            expect(error.message.length).toBeLessThan(200);
          }
        }
      }
    },
  );
});
