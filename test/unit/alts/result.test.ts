import { describe, expect, test } from 'vitest';
import { parseResult } from '../../../src/alts/index.ts';

describe('a result', () => {
  test('of a full run is read whole', () => {
    const result = parseResult({
      initialize_terraform: { success: true },
      install_package: { success: false, exit_code: 100, stdout: 'E: no such package', stderr: 'exit' },
      tests: { package_integrity_tests: { success: true, output: '1..1\nok 1' } },
      third_party: { third_party_test_a: { success: true, output: '', unknown: { deep: [1] } } },
      logs: [{ name: 'install', href: '/pulp/1', type: 'log' }, { name: 3 }, 'x'],
      skipped_tests: ['run_third_party_tests', 7],
    });
    expect(result.stages.map(({ name }) => name)).toEqual([
      'initialize_terraform',
      'install_package',
      'tests',
      'third_party',
    ]);
    expect(result.stages[1]).toEqual({
      name: 'install_package',
      success: false,
      exitCode: 100,
      output: 'E: no such package',
      errorOutput: 'exit',
      stages: [],
    });
    expect(result.stages[2]?.stages).toEqual([
      { name: 'package_integrity_tests', success: true, output: '1..1\nok 1', stages: [] },
    ]);
    expect(result.stages[3]?.stages[0]).toEqual({ name: 'third_party_test_a', success: true, stages: [] });
    expect(result).toMatchObject({
      logs: [{ name: 'install', href: '/pulp/1' }],
      skippedTests: ['run_third_party_tests'],
      revoked: false,
      ignored: [],
    });
  });

  test('of the days of Azure has its logs as an object', () => {
    expect(parseResult({ logs: { 'a.log': 'https://blob.example.com/a' } }).logs).toEqual([
      { name: 'a.log', href: 'https://blob.example.com/a' },
    ]);
  });

  test('a known stage is one whatever it holds; an unknown part only with a verdict in it', () => {
    const result = parseResult({
      install_package: null,
      uninstall_package: 'done',
      duration: { seconds: 3 },
      reboot: { success: true },
      group: { a: { b: { exit_code: 1 } } },
      version: '2',
    });
    expect(result.stages).toMatchObject([
      { name: 'install_package', stages: [] },
      { name: 'uninstall_package', stages: [] },
      { name: 'reboot', success: true },
      { name: 'group', stages: [{ name: 'a', stages: [{ name: 'b', success: false, exitCode: 1 }] }] },
    ]);
    expect(result.ignored).toEqual(['duration', 'version']);
  });

  test('a verdict that is no boolean is none, and the exit code does not stand in for it', () => {
    const [stage] = parseResult({ install_package: { success: 'true', exit_code: 0 } }).stages;
    expect(stage).toEqual({ name: 'install_package', exitCode: 0, stages: [] });
  });

  test.each([[null], ['text'], [[]], [7]])('%j is none', (document) => {
    expect(() => parseResult(document)).toThrow('no JSON object');
  });

  test('is bounded in number and depth, and keys of objects do no harm', () => {
    const many = Object.fromEntries(
      Array.from({ length: 10_001 }, (_, index) => [`t${index}`, { success: true }]),
    );
    expect(() => parseResult({ tests: many })).toThrow('more than 10000 stages');
    let deep: unknown = { success: true };
    for (let level = 0; level < 5000; level++) deep = { inner: deep };
    expect(() => parseResult({ tests: deep })).toThrow('more than 8 deep');
    expect(parseResult({ unknown: deep }).ignored).toEqual(['unknown']);
    const polluted = parseResult(
      JSON.parse('{"__proto__": {"success": false}, "constructor": {"success": true}}'),
    );
    expect(polluted.stages.map(({ name }) => name)).toEqual(['__proto__', 'constructor']);
    expect(({} as { success?: unknown }).success).toBeUndefined();
  });
});
