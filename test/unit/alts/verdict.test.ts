import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Judgeable, parseResult, verdictOf } from '../../../src/alts/index.ts';
import { RegopsError } from '../../../src/base/index.ts';

const passed = { success: true };
const failed = { success: false };

/** A run in which all is well. */
const GOOD = {
  initialize_terraform: passed,
  start_environment: passed,
  initial_provision: passed,
  system_info: passed,
  install_package: passed,
  tests: { package_integrity_tests: { success: true, output: '1..2\nok 1 - a\nok 2 - b' } },
  third_party: { third_party_test_a: { success: true, output: 'fine' } },
  uninstall_package: passed,
  stop_environment: passed,
};

function judge(changes: Record<string, unknown> = {}, more: Partial<Judgeable> = {}) {
  return verdictOf({ state: 'SUCCESS', result: parseResult({ ...GOOD, ...changes }), ...more });
}

test('a good run passes', () => {
  const verdict = judge();
  expect(verdict).toMatchObject({ outcome: 'passed', reason: '9 stages passed', warnings: [] });
  expect(verdict.stages.map(({ path }) => path.join('/'))).toContain('tests/package_integrity_tests');
});

describe('who is at fault', () => {
  test.each(['prepare_environment', 'initialize_terraform', 'start_environment', 'initial_provision'])(
    'the infrastructure: %s',
    (stage) => {
      const verdict = judge({ [stage]: failed, install_package: failed });
      expect(verdict).toMatchObject({ outcome: 'infrastructure' });
      expect(verdict.reason).toBe(`${stage}: it failed`);
    },
  );

  test.each(['install_package', 'uninstall_package', 'third_party_tests_wrapper', 'some_new_stage'])(
    'the package: %s',
    (stage) => {
      expect(judge({ [stage]: { success: false, exit_code: 4, stdout: 'why' } })).toMatchObject({
        outcome: 'failed',
        reason: `${stage}: it failed (exit code 4)`,
      });
    },
  );

  test('a failed test inside a group, even when the group calls itself a success', () => {
    for (const group of [{}, { success: true }]) {
      const verdict = judge({
        third_party: { ...group, third_party_test_a: passed, third_party_test_b: failed },
      });
      expect(verdict).toMatchObject({
        outcome: 'failed',
        reason: 'third_party/third_party_test_b: it failed',
      });
    }
    expect(judge({ tests: { success: false } })).toMatchObject({ outcome: 'failed' });
  });

  test('an unexpected error is the worker’s, unless the package failed too', () => {
    const unexpected = { 'Unexpected errors during tests': failed };
    expect(judge(unexpected)).toMatchObject({ outcome: 'infrastructure' });
    expect(judge({ ...unexpected, install_package: failed })).toMatchObject({ outcome: 'failed' });
  });

  test('an environment that cannot be stopped is a warning', () => {
    expect(judge({ stop_environment: failed })).toMatchObject({
      outcome: 'passed',
      warnings: ['stop_environment: it failed'],
    });
  });

  test('several failures are counted, and the evidence is the end of what was written', () => {
    const output = Array.from({ length: 100 }, (_, index) => `line ${index}`).join('\n');
    const verdict = judge({
      install_package: { success: false, stdout: output, stderr: 'last words' },
      uninstall_package: failed,
    });
    expect(verdict.reason).toBe('install_package: it failed (and 1 more stage)');
    const evidence = verdict.stages.find(({ path }) => path[0] === 'install_package')?.evidence ?? '';
    expect(evidence.split('\n')).toHaveLength(20);
    expect(evidence.endsWith('line 99\nlast words')).toBe(true);
    expect(
      judge({ install_package: { success: false, stdout: 'x'.repeat(100_000) } }).stages[4]?.evidence,
    ).toHaveLength(2000);
  });
});

test('evidence and diagnostics hold no secrets', () => {
  const url = 'https://user:s3cret@example.com/x';
  const verdict = judge({
    install_package: { success: false, stdout: `E: cannot fetch ${url}` },
    third_party: { t: { success: false, output: `1..1\nnot ok 1\n# ${url}\n  ---\n  url: ${url}\n  ...` } },
  });
  expect(verdict.stages.find(({ path }) => path[0] === 'install_package')?.evidence).toContain('example.com');
  expect(JSON.stringify(verdict)).not.toContain('s3cret');
});

describe('what is missing is never a pass', () => {
  test.each([
    ['nothing at all', {}],
    ['an early end', { initialize_terraform: passed }],
    ['only a group', { tests: { package_integrity_tests: passed } }],
  ])('%s', (_, document) => {
    expect(verdictOf({ state: 'SUCCESS', result: parseResult(document) })).toMatchObject({
      outcome: 'incomplete',
    });
  });

  test('no result, or one without a verdict', () => {
    expect(verdictOf({ state: 'SUCCESS', result: null })).toMatchObject({ outcome: 'incomplete' });
    expect(verdictOf({ state: 'SUCCESS' })).toMatchObject({ outcome: 'incomplete' });
    expect(judge({ install_package: {} })).toMatchObject({
      outcome: 'failed',
      reason: 'install_package: it gave no verdict',
    });
    expect(judge({ third_party: { a: { success: null } } })).toMatchObject({ outcome: 'failed' });
  });

  test('a run without integrity tests passes with a warning; one that skips them without', () => {
    const { tests: _, ...rest } = GOOD;
    const judged = (more: object) =>
      verdictOf({ state: 'SUCCESS', result: parseResult({ ...rest, ...more }) });
    expect(judged({})).toMatchObject({
      outcome: 'passed',
      warnings: [/no integrity test/].map((one) => expect.stringMatching(one)),
    });
    const skipped = judged({ skipped_tests: ['run_package_integrity_tests'] });
    expect(skipped).toMatchObject({ outcome: 'passed', warnings: [] });
    expect(skipped.stages.at(-1)).toMatchObject({
      path: ['tests', 'package_integrity_tests'],
      status: 'skipped',
    });
  });

  test('everything skipped', () => {
    const result = parseResult({ initial_provision: passed, skipped_tests: ['install_package'] });
    expect(verdictOf({ state: 'SUCCESS', result })).toMatchObject({ outcome: 'skipped' });
  });

  test('what is not understood is told', () => {
    expect(judge({ mood: 'good' }).warnings).toEqual(['parts of the result were not understood: mood']);
  });
});

describe('TAP', () => {
  const withTap = (output: string, success = true) =>
    judge({ third_party: { t: { success, output } } }).stages.find(({ path }) => path[1] === 't');

  test.each([
    ['1..1\nnot ok 1 - a', 'failed', '1 of 1 test failed: a'],
    [
      '1..5\nnot ok 1 a\nnot ok 2 b\nnot ok 3\nnot ok 4 d\nok 5',
      'failed',
      '4 of 5 tests failed: a, b, test 3 and 1 more',
    ],
    ['1..2\nok 1', 'failed', 'planned 2 tests, saw 1'],
    ['1..2\nBail out! no network', 'failed', 'its tests bailed out: no network'],
    ['1..1\nnot ok 1 # TODO', 'passed', undefined],
    ['1..2\nok 1 # SKIP not here\nok 2 # SKIP', 'skipped', 'not here'],
    ['1..0 # SKIP', 'skipped', 'all skipped'],
    ['not TAP at all: not ok 1', 'passed', undefined],
  ])('%j', (output, status, message) => {
    const stage = withTap(output);
    expect(stage?.status).toBe(status);
    expect(stage?.message).toBe(message);
  });

  test('good tests do not save a script that failed', () => {
    expect(withTap('1..1\nok 1', false)).toMatchObject({
      status: 'failed',
      message: 'it failed, although its TAP shows no failure',
    });
  });

  test('is looked for in tests only', () => {
    expect(judge({ install_package: { success: true, stdout: 'not ok 1' } }).outcome).toBe('passed');
  });
});

describe('what the state and the ending say', () => {
  test.each<[Judgeable, string]>([
    [{ state: 'FAILURE' }, 'infrastructure'],
    [{ state: 'REVOKED' }, 'revoked'],
    [{ state: 'SUCCESS', result: parseResult({ revoked: true }), ending: 'ended' }, 'revoked'],
    [{ state: 'STARTED' }, 'pending'],
    [{}, 'pending'],
    [{ state: 'STARTED', ending: 'interrupted' }, 'pending'],
    [{ state: 'STARTED', ending: 'timeout' }, 'timeout'],
    [{ state: 'PENDING', ending: 'timeout' }, 'timeout'],
    [{ state: 'PENDING', ending: 'lost' }, 'lost'],
    [{ state: 'PENDING', ending: 'unstarted' }, 'lost'],
    [{ ending: 'unreachable' }, 'unreachable'],
    [{ ending: 'unreadable' }, 'unreachable'],
  ])('%j', (task, outcome) => {
    const verdict = verdictOf(task);
    expect(verdict.outcome).toBe(outcome);
    expect(verdict.reason).not.toBe('');
  });

  test('an error is the reason', () => {
    const error = new RegopsError('CONNECTION_FAILED', 'host: connection refused');
    expect(verdictOf({ ending: 'unreachable', error }).reason).toBe('host: connection refused');
  });
});

describe('properties', () => {
  test('nothing makes it throw but what parseResult refuses', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...Object.keys(GOOD), 'logs', 'x', '__proto__'), fc.jsonValue()),
        (document) => {
          const verdict = verdictOf({ state: 'SUCCESS', result: parseResult(document) });
          expect(
            verdict.outcome === 'passed'
              ? (document['install_package'] as { success?: unknown })?.success
              : true,
          ).toBe(true);
        },
      ),
    );
  });

  const stageNames = Object.keys(GOOD).filter(
    (name) => name !== 'system_info' && name !== 'stop_environment',
  );

  test('one failed stage, wherever it is, is never a pass; unknown fields and their order change nothing', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...stageNames),
        fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { maxLength: 4 }),
        fc.dictionary(
          fc.stringMatching(/^u_[a-z]{1,5}$/),
          fc.oneof(fc.string(), fc.integer(), fc.constant(null)),
        ),
        (name, path, extra) => {
          const inner = path.reduceRight<Record<string, unknown>>((child, key) => ({ [key]: child }), failed);
          const plain = { ...GOOD, [name]: { ...GOOD[name as keyof typeof GOOD], ...inner } };
          const one = verdictOf({ state: 'SUCCESS', result: parseResult(plain) });
          const other = verdictOf({
            state: 'SUCCESS',
            result: parseResult(Object.fromEntries(Object.entries({ ...extra, ...plain }).reverse())),
          });
          expect(['failed', 'infrastructure']).toContain(one.outcome);
          expect(other.outcome).toBe(one.outcome);
          expect(one.stages.some(({ status }) => status === 'failed')).toBe(true);
        },
      ),
    );
  });
});
