import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTapFailure, parseTap } from '../../../src/alts/index.ts';

function tap(...lines: string[]) {
  return parseTap(lines.join('\n'));
}

describe('test points', () => {
  test('of pytest’s stream: failures with their diagnostics', () => {
    const report = tap(
      'TAP version 13',
      '1..4',
      '# run by pytest',
      'ok 1 tests/test_package_is_correct.py::test_package_is_installed',
      'not ok 2 tests/test_package_is_correct.py::test_files_present[/usr/bin/x]',
      '# self = <test>',
      '#     assert file.exists',
      'ok 3 test_links # SKIP no links in the package',
      'not ok 4 test_rpath # TODO expected failure: known',
    );
    expect(report).toMatchObject({ version: 13, plan: { count: 4 }, problems: [], ok: false });
    expect(report?.diagnostics).toEqual(['run by pytest']);
    expect(report?.tests.map(isTapFailure)).toEqual([false, true, false, false]);
    expect(report?.tests[1]).toEqual({
      number: 2,
      ok: false,
      description: 'tests/test_package_is_correct.py::test_files_present[/usr/bin/x]',
      diagnostics: ['self = <test>', '    assert file.exists'],
    });
    expect(report?.tests[2]).toMatchObject({ directive: 'skip', reason: 'no links in the package' });
    expect(report?.tests[3]).toMatchObject({ directive: 'todo', reason: 'expected failure: known' });
  });

  test.each([
    ['ok', { number: 1, ok: true, description: '' }],
    ['ok 1', { number: 1, ok: true, description: '' }],
    ['not ok', { number: 1, ok: false, description: '' }],
    ['ok - works', { number: 1, ok: true, description: 'works' }],
    ['ok 1 - works', { description: 'works' }],
    ['ok 1 works', { description: 'works' }],
    ['ok 1 - counts to #3', { description: 'counts to #3' }],
    [
      'ok 1 - an \\# escaped \\\\ # skip no',
      { description: 'an # escaped \\', directive: 'skip', reason: 'no' },
    ],
    ['ok 1 - not \\# skip', { description: 'not # skip', directive: undefined }],
    ['ok 1 # skip (bats)', { description: '', directive: 'skip', reason: '(bats)' }],
    ['ok 1 x # SKIPPED: later', { directive: 'skip' }],
    ['not ok 1 x # todo', { ok: false, directive: 'todo', reason: undefined }],
    ['ok 1 x # todolist', { description: 'x # todolist', directive: undefined }],
  ])('%s', (line, expected) => {
    const [point] = tap('1..1', line)?.tests ?? [];
    expect({ directive: undefined, reason: undefined, ...point }).toMatchObject(expected);
  });

  test('windows line ends do no harm', () => {
    expect(parseTap('1..1\r\nok 1 - a\r\n')).toMatchObject({ ok: true, tests: [{ description: 'a' }] });
  });
});

describe('what is no TAP', () => {
  test.each([
    '',
    'Reading package lists...\nDone\n',
    'okay\nnotok\nnot okay',
    '# only comments',
    'TAP version 13',
    ' ok 1 indented',
    '1...3',
    '1..x',
    'Bail out! is what the manual says',
  ])('%j', (text) => {
    expect(parseTap(text)).toBeUndefined();
  });

  test('noise between test points is passed over', () => {
    expect(tap('Setting up…', '1..2', 'ok 1', 'noise', 'ok 2')).toMatchObject({ ok: true, problems: [] });
  });
});

describe('streams that contradict themselves', () => {
  test.each([
    [['1..3', 'ok 1', 'ok 2'], 'planned 3 tests, saw 2'],
    [['1..1', 'ok 1', 'ok 2'], 'planned 1 test, saw 2'],
    [['1..2', 'ok 1', 'ok 1'], 'test number 1 was used twice'],
    [['1..2', 'ok 1', 'ok 7'], 'test number 7 is not in the plan 1..2'],
    [['1..1', '1..1', 'ok 1'], 'there is more than one plan'],
    [['ok 1', '1..2', 'ok 2'], 'the plan stands between the tests'],
    [['1..1', '    ok 1 - inner', '    1..1', '# end'], 'planned 1 test, saw 0'],
  ])('%j', (lines, problem) => {
    const report = tap(...lines);
    expect(report?.problems).toContain(problem);
    expect(report?.ok).toBe(false);
  });

  test('Bail out! ends it', () => {
    expect(tap('1..5', 'ok 1', 'Bail out!  no database ', 'not ok 2')).toMatchObject({
      bailOut: 'no database',
      tests: [{ number: 1 }],
      ok: false,
    });
    expect(tap('TAP version 14', 'Bail out!')).toMatchObject({ bailOut: '', ok: false });
  });

  test('a plan at the end, none at all, another order and a plan of nothing are fine', () => {
    expect(tap('ok 1', 'ok 2', '1..2')).toMatchObject({ ok: true, plan: { count: 2 } });
    expect(tap('ok 1', 'ok 2')?.ok).toBe(true);
    expect(tap('ok 1', 'ok 2')).not.toHaveProperty('plan');
    expect(tap('1..2', 'ok 2', 'ok 1')?.ok).toBe(true);
    expect(tap('1..0 # SKIP not on this system')).toMatchObject({
      ok: true,
      plan: { count: 0, skipReason: 'not on this system' },
    });
    expect(tap('1..0')).toMatchObject({ ok: true });
  });
});

describe('what belongs to a test point', () => {
  test('its YAML block, as text', () => {
    const report = tap(
      '1..2',
      'not ok 1 - a',
      '  ---',
      '  message: no',
      '  data:',
      '    got: 1',
      '  ...',
      '# after',
      'ok 2 - b',
      '  ---',
      '  unclosed: yes',
      'noise',
    );
    expect(report?.tests[0]).toMatchObject({ yaml: 'message: no\ndata:\n  got: 1', diagnostics: ['after'] });
    expect(report?.tests[1]?.yaml).toBe('unclosed: yes');
    expect(report?.problems).toEqual([]);
  });

  test('its subtests, before it or in braces', () => {
    const report = tap(
      'TAP version 14',
      '1..3',
      '# Subtest: first',
      '    ok 1 - in',
      '      ---',
      '      deep: yes',
      '      ...',
      '    not ok 2 - in # TODO later',
      '    1..2',
      'ok 1 - first',
      'not ok 2 - second {',
      '    1..1',
      '        1..1',
      '        not ok 1 - deepest',
      '    not ok 1 - deeper',
      '}',
      'ok 3 - third',
    );
    expect(report).toMatchObject({ problems: [], ok: false, diagnostics: [] });
    expect(report?.tests.map(({ description, ok }) => [description, ok])).toEqual([
      ['first', true],
      ['second', false],
      ['third', true],
    ]);
    expect(report?.tests[0]?.subtests).toMatchObject({ ok: true, tests: [{ yaml: 'deep: yes' }, {}] });
    expect(report?.tests[1]?.subtests?.tests[0]?.subtests?.tests[0]?.description).toBe('deepest');
    expect(report?.tests[2]?.subtests).toBeUndefined();
  });

  test('a subtest’s Bail out! is for all', () => {
    expect(tap('1..2', '    1..2', '    ok 1', '    Bail out! gone')).toMatchObject({
      bailOut: 'gone',
      ok: false,
    });
  });
});

/** TAP that is well-formed, and what it says. */
const point = fc.record({
  ok: fc.boolean(),
  description: fc.stringMatching(/^[a-z][a-z #\\]{0,20}[a-z]$/),
  directive: fc.constantFrom(undefined, 'skip' as const, 'todo' as const),
  reason: fc.stringMatching(/^[a-z]{0,8}$/),
  diagnostics: fc.array(fc.stringMatching(/^[a-z0-9]{0,10}$/), { maxLength: 3 }),
});

describe('properties', () => {
  test('what is written is read', () => {
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 20 }), fc.boolean(), (points, planFirst) => {
        const written = points.flatMap(({ ok, description, directive, reason, diagnostics }, index) => [
          `${ok ? '' : 'not '}ok ${index + 1} - ${description.replaceAll(/[#\\]/g, '\\$&')}${directive ? ` # ${directive.toUpperCase()} ${reason}` : ''}`,
          ...diagnostics.map((line) => `# ${line}`),
        ]);
        const plan = `1..${points.length}`;
        const report = tap(...(planFirst ? [plan, ...written] : [...written, plan]));
        expect(report?.problems).toEqual([]);
        expect(report?.tests).toEqual(
          points.map(({ ok, description, directive, reason, diagnostics }, index) => ({
            number: index + 1,
            ok,
            description,
            ...(directive ? { directive, ...(reason ? { reason } : {}) } : {}),
            diagnostics,
          })),
        );
        expect(report?.ok).toBe(points.every(({ ok, directive }) => ok || directive !== undefined));
      }),
    );
  });

  const fragment = fc.constantFrom(
    'ok',
    'not ok',
    ' ',
    '    ',
    '\t',
    '1..',
    '1',
    '2',
    '#',
    '# SKIP',
    '# TODO',
    '\n',
    '\r\n',
    '---',
    '...',
    '  ---\n',
    ' {',
    '}',
    'Bail out!',
    'TAP version 14',
    '\\',
    'x',
    '\u2028',
  );

  test('nothing makes it throw, and a plain “not ok” is never a pass', () => {
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 60 }), (parts) => {
        const text = parts.join('');
        parseTap(text);
        const report = parseTap(`not ok 1 - broken\n${text}`);
        expect(report?.ok).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  test('cutting lines off a planned stream is seen', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(), (count, cut) => {
        const lines = Array.from({ length: count }, (_, index) => `ok ${index + 1}`);
        expect(tap(`1..${count}`, ...lines.slice(0, cut % count))?.ok).toBe(false);
      }),
    );
  });

  test('lines made to be slow are read in time that grows with the length alone', () => {
    const n = 200_000;
    for (const line of [
      `ok${' '.repeat(n)}x`,
      `1..1${' '.repeat(n)}x`,
      `ok 1 ${'# '.repeat(n / 2)}`,
      `ok 1 ${'\\#'.repeat(n / 2)} # skip${' '.repeat(n)}`,
      `TAP version 1${' '.repeat(n)}x`,
      `${' '.repeat(n)}ok`,
      `ok 1\n${'  ---\n'.repeat(n / 10)}`,
    ]) {
      parseTap(`${line}\nnot ok 9`);
    }
  });
});
