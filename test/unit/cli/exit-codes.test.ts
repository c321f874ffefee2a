import { describe, expect, test } from 'vitest';
import { ERROR_KINDS, type ErrorCode, RegopsError } from '../../../src/base/index.ts';
import { COMMON_EXIT_STATUS, EXIT_CODES, exitCodeOf } from '../../../src/cli/exit-codes.ts';

const errors = (Object.keys(ERROR_KINDS) as ErrorCode[]).map((code) => new RegopsError(code, 'x'));

test('the table is the contract of cli.md', () => {
  expect(EXIT_CODES).toEqual({
    usage: 64,
    data: 65,
    missing: 66,
    unreachable: 69,
    bug: 70,
    'cannot-write': 73,
    io: 74,
    temporary: 75,
    protocol: 76,
    denied: 77,
    config: 78,
    interrupted: 130,
  });
});

test('help pages explain every code that can occur', () => {
  const explained = COMMON_EXIT_STATUS.flatMap(([codes]) => codes.split(', ').map(Number));
  expect(explained).toEqual(expect.arrayContaining([0, 1, 143, ...Object.values(EXIT_CODES)]));
});

describe('no failure looks like success or like a found problem', () => {
  test.each(errors)('$code', (error) => {
    expect(exitCodeOf(error)).toBeGreaterThanOrEqual(64);
    expect([2, 3]).toContain(exitCodeOf(error, true));
  });
});
