import { expect, test } from 'vitest';
import { findTests, parseListing } from '../../../src/cli/test-repositories.ts';
import { platformOf } from '../../../src/cli/testbed-alts.ts';
import { formatPlatform } from '../../../src/oci/index.ts';

const entry = (path: string, size: string): string =>
  `100644 blob ${'a'.repeat(40)} ${size.padStart(7)}\t${path}\0`;

test('the paths of a repository, whatever they look like', () => {
  const listing = [
    entry('curl/one.sh', '12'),
    entry('a\tb\nc', '0'),
    `160000 commit ${'b'.repeat(40)}       -\tmodule\0`,
  ].join('');
  expect(parseListing(listing, 'x')).toEqual(['curl/one.sh', 'a\tb\nc', 'module']);
  expect(parseListing('', 'x')).toEqual([]);
});

test.each([
  ['one large file', entry('a', '300000000')],
  ['many files', entry('a', '1').repeat(20_001)],
  ['many bytes', entry('a', '1000000').repeat(300)],
])('a repository of %s is too large', (_, listing) => {
  expect(() => parseListing(listing, 'tests')).toThrow('the test repository tests is too large');
});

test('tests are the files of the directory alone, in the order of their names', () => {
  const paths = [
    'd/b.sh',
    'd/a.bats',
    'd/x.yml',
    'd/y.py',
    'd/z.txt',
    'd/e/c.sh',
    'dd/c.sh',
    'd/new\nline.sh',
    'c.sh',
  ];
  expect(findTests(paths, { directory: './d/' }, 'x')).toEqual({
    scripts: ['d/a.bats', 'd/b.sh'],
    leftOut: ['x.yml', 'y.py'],
  });
  expect(findTests(paths, { directory: '.' }, 'x').scripts).toEqual(['c.sh']);
  expect(findTests(paths, { directory: 'd', tests: ['b.sh', 'z.txt'] }, 'x')).toEqual({
    scripts: ['d/b.sh'],
    leftOut: ['z.txt'],
  });
  expect(() => findTests(paths, { directory: 'd', tests: ['c.sh'] }, 'x')).toThrow('has no test c.sh');
  expect(() => findTests(paths, { directory: 'e' }, 'x')).toThrow('has no .sh or .bats file there');
  const many = Array.from({ length: 501 }, (_, at) => `d/${at}.sh`);
  expect(() => findTests(many, { directory: 'd' }, 'x')).toThrow('501 tests');
});

test.each([
  ['x86_64', 'linux/amd64'],
  ['amd64', 'linux/amd64'],
  ['x86_64_v2', 'linux/amd64/v2'],
  ['i486', 'linux/386'],
  ['i686', 'linux/386'],
  ['aarch64', 'linux/arm64'],
  ['arm64', 'linux/arm64'],
  ['ppc64le', 'linux/ppc64le'],
  ['s390x', 'linux/s390x'],
])('%s is tested in containers of %s', (architecture, platform) => {
  expect(formatPlatform(platformOf(architecture))).toBe(platform);
});
