import { describe, expect, test } from 'vitest';
import { formatSummary, summarise } from '../../support/summary.ts';

const file = (status: string, ...tests: string[]) => ({
  status,
  assertionResults: tests.map((one) => ({ status: one })),
});

describe('the closing line of test:all', () => {
  test.each([
    [
      'all passed',
      true,
      [file('passed', 'passed', 'passed'), file('passed', 'passed')],
      '3 passed, 0 failed',
    ],
    ['one failed', false, [file('failed', 'passed', 'failed')], '1 passed, 1 failed'],
    [
      'skipped ones show',
      true,
      [file('passed', 'passed', 'skipped', 'todo', 'pending')],
      '1 passed, 0 failed, 3 skipped',
    ],
    [
      'a file that could not run is a failure',
      false,
      [file('passed', 'passed'), file('failed')],
      '1 passed, 1 failed',
    ],
    [
      'so is one whose hook failed',
      false,
      [file('failed', 'passed', 'skipped')],
      '1 passed, 1 failed, 1 skipped',
    ],
    ['and a run that failed beside its tests', false, [file('passed', 'passed')], '1 passed, 1 failed'],
    ['nothing ran', true, [], '0 passed, 0 failed'],
  ])('%s', (_what, success, testResults, line) => {
    expect(formatSummary(summarise({ success, testResults }))).toBe(line);
  });

  test('no report at all is a failure', () => {
    expect(formatSummary(summarise(undefined))).toBe('0 passed, 1 failed');
  });
});
