import { describe, expect, test } from 'vitest';
import { parseResult, verdictOf } from '../../../../src/alts/index.ts';
import { reportPackageTest } from '../../../../src/jobs/package-test/report.ts';
import type { TaskOutcome } from '../../../../src/jobs/package-test/result.ts';

function task(document: object, more: Partial<TaskOutcome> = {}): TaskOutcome {
  const result = parseResult(document);
  return {
    package: 'foo',
    distribution: 'debian:12',
    architecture: 'amd64',
    verdict: verdictOf({ state: 'SUCCESS', result }),
    result,
    ...more,
  };
}

const PASSED = { install_package: { success: true }, uninstall_package: { success: true } };

describe('reportPackageTest', () => {
  test('one test: all its stages, with notes and times', () => {
    const details = { install_package: { durationMs: 1500, note: '1.0-1 from test' } };
    const { sections, checks, summary } = reportPackageTest([task(PASSED, { details, durationMs: 2000 })]);
    expect(sections?.[1]?.table?.rows).toEqual([
      ['install_package', 'passed', '1.5s', '1.0-1 from test'],
      ['uninstall_package', 'passed', '', ''],
    ]);
    expect(checks?.map(({ name, group, status }) => [group, name, status])).toEqual([
      ['foo on debian:12 amd64', 'install_package', 'pass'],
      ['foo on debian:12 amd64', 'uninstall_package', 'pass'],
    ]);
    expect(summary).toContain('passed');
  });

  test('several tests: a row for each, the stages that did not pass, and what they wrote', () => {
    const bad = task({ install_package: { success: false, output: 'cannot\nfind it' } }, { package: 'bar' });
    const { sections, summary } = reportPackageTest([task(PASSED), bad]);
    expect(sections?.[0]?.table?.rows.map(([name]) => name)).toEqual(['foo', 'bar']);
    expect(sections?.[1]?.table?.rows).toHaveLength(1);
    expect(sections?.map(({ text }) => text)).toContain('cannot\nfind it');
    expect(summary).toBe('2 tests: 1 passed, 1 failed');
  });

  test('TAP: a case for each line, subtests too', () => {
    const output = [
      '1..5',
      'ok 1 - a',
      'not ok 2 - b',
      '# because',
      '# of this',
      'ok 3 - c # SKIP not here',
      'not ok 4 - d # TODO later',
      '    ok 1 - inner',
      '    1..1',
      'ok 5 - e',
      '# warning: careful',
    ].join('\n');
    const { checks, sections } = reportPackageTest([
      task({ ...PASSED, tests: { package_integrity_tests: { success: false, output } } }),
    ]);
    const cases = checks?.filter(({ name }) => name.startsWith('tests/package_integrity_tests: '));
    expect(cases?.map(({ name, status }) => [name.split(': ')[1], status])).toEqual([
      ['1 a', 'pass'],
      ['2 b', 'fail'],
      ['3 c', 'unknown'],
      ['4 d', 'unknown'],
      ['5 e > 1 inner', 'pass'],
      ['5 e', 'warn'],
    ]);
    expect(cases?.[1]).toMatchObject({ message: 'because', evidence: 'because\nof this' });
    expect(cases?.[5]).toMatchObject({ advisory: true, message: 'careful' });
    expect(sections?.at(-1)?.text).toBe('2 b\nbecause\nof this');
  });

  test('a flood of TAP is told by its beginning', () => {
    const output = Array.from({ length: 5000 }, (_, at) => `not ok ${at + 1} - a`).join('\n');
    const { checks, sections } = reportPackageTest([
      task({ ...PASSED, third_party: { one: { success: false, output } } }),
    ]);
    expect(checks?.length).toBeLessThan(1100);
    expect(checks?.map(({ message }) => message)).toContain('4000 more test points are not listed');
    expect(sections?.at(-1)?.text?.split('\n').length).toBeLessThan(50);
  });

  test.each([
    ['pending', 'unknown'],
    ['skipped', 'unknown'],
    ['timeout', 'fail'],
    ['lost', 'fail'],
    ['revoked', 'fail'],
    ['incomplete', 'fail'],
    ['infrastructure', 'fail'],
  ] as const)('an outcome that no stage explains is a check of its own: %s', (outcome, status) => {
    const verdict = { outcome, reason: 'so it is', stages: [], warnings: [] };
    const { checks } = reportPackageTest([task({}, { verdict, result: null })]);
    expect(checks).toEqual([
      { name: 'outcome', group: 'foo on debian:12 amd64', status, message: 'so it is' },
    ]);
  });

  test('tests of the same package on the same system are told apart', () => {
    const { checks } = reportPackageTest([
      task(PASSED, { id: 'x1' }),
      task(PASSED),
      task(PASSED, { version: '2' }),
    ]);
    expect([...new Set(checks?.map(({ group }) => group))]).toEqual([
      'foo on debian:12 amd64 (x1)',
      'foo on debian:12 amd64 (2)',
      'foo=2 on debian:12 amd64',
    ]);
  });

  test('a stage named like an object method has no details', () => {
    expect(() => reportPackageTest([task({ constructor: { success: true } })])).not.toThrow();
  });

  test('no tests at all', () => {
    expect(reportPackageTest([]).summary).toBe('0 tests');
  });
});
