import { expect, test } from 'vitest';
import { readRawArgv } from '../../../src/cli/raw-argv.ts';

const nothing = { format: undefined, profile: undefined, quiet: false, verbose: false, noColor: false };

test.each([
  [[], {}, nothing],
  [['--json'], {}, { ...nothing, format: 'json' }],
  [['--format', 'nagios'], {}, { ...nothing, format: 'nagios' }],
  [['--format=json', '-qv'], {}, { ...nothing, format: 'json', quiet: true, verbose: true }],
  [['--', '--json', '-q'], {}, nothing],
  [['--profile', 'prod', '--no-color'], {}, { ...nothing, profile: 'prod', noColor: true }],
  [['--format'], {}, nothing],
  [['-o', 'out-qv.json'], {}, nothing],
  [[], { REGOPS_FORMAT: 'json', REGOPS_PROFILE: 'p' }, { ...nothing, format: 'json', profile: 'p' }],
  [[], { REGOPS_JSON: '1', REGOPS_VERBOSE: 'yes' }, { ...nothing, format: 'json', verbose: true }],
  [['--format', 'table'], { REGOPS_JSON: '1' }, { ...nothing, format: 'table' }],
  [[], { REGOPS_JSON: '0', REGOPS_PROFILE: '' }, nothing],
])('%j with %j', (argv, environment, expected) => {
  expect(readRawArgv(argv, environment)).toEqual(expected);
});
