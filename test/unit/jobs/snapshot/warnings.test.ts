import { expect, test } from 'vitest';
import {
  namedInHistory,
  scrubbedVariables,
  secretVariables,
} from '../../../../src/jobs/snapshot/warnings.ts';

test('variables that look like secrets are found by name or value, and empty ones are none', () => {
  const env = [
    'PATH=/bin',
    'DB_PASSWORD=x',
    'GITHUB_TOKEN=x',
    'AWS_SECRET_ACCESS_KEY=x',
    'API_KEY=x',
    'MY_PAT=x',
    'EMPTY_TOKEN=',
    'DATABASE=postgres://me:geheim@db/x',
    'PLAIN=https://example.com/a@b',
    'KEY_FILE=-----BEGIN RSA PRIVATE KEY-----',
    'JWT=eyJhbGciOiJIUzI1NiJ9.eyJ4IjoxfQ.x',
    'PATTERN=abc',
    'AUTHOR=anna',
    'COMPASS=north',
  ];
  expect(secretVariables(env)).toEqual([
    ...['DB_PASSWORD', 'GITHUB_TOKEN', 'AWS_SECRET_ACCESS_KEY', 'API_KEY', 'MY_PAT'],
    ...['DATABASE', 'KEY_FILE', 'JWT'],
  ]);
});

test('a pattern finds names, not values, also twice', () => {
  const env = ['TOKEN=1', 'MY_TOKEN=2', 'OTHER=TOKEN'];
  expect(scrubbedVariables(env, [/token/gi])).toEqual(['TOKEN', 'MY_TOKEN']);
  expect(scrubbedVariables(env, [])).toEqual([]);
});

test('a history that sets a variable is seen', () => {
  const step = (createdBy: string) => ({
    id: '',
    createdMs: 0,
    createdBy,
    comment: '',
    sizeBytes: 0,
    tags: [],
  });
  const history = [
    step('/bin/sh -c #(nop)  ENV TOKEN=abc'),
    step('ENV A=1 SECOND=2'),
    step('RUN echo THIRD=1'),
  ];
  expect(namedInHistory(['TOKEN', 'SECOND', 'THIRD', 'OKEN'], history)).toEqual(['TOKEN', 'SECOND']);
});
