import { describe, expect, test } from 'vitest';
import {
  checkRequest,
  parseAptLine,
  parseDistribution,
  parseModule,
  parsePackage,
  parseRepository,
  parseTestRepository,
  parseTestVariable,
  requestWarnings,
  type TaskRequest,
  toPayload,
} from '../../../src/alts/index.ts';
import { isRegopsError } from '../../../src/base/index.ts';

const REQUEST: TaskRequest = {
  distribution: { name: 'almalinux', version: '9' },
  architecture: 'x86_64',
  package: { name: 'curl' },
};
const DEB: TaskRequest = {
  ...REQUEST,
  distribution: { name: 'debian', version: '12' },
  architecture: 'amd64',
};

/** The USAGE error that a call throws. */
function usageOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (isRegopsError(error, 'USAGE')) return [error.message, ...error.hints].join('\n');
    throw error;
  }
  return 'nothing thrown';
}

describe('words', () => {
  test.each([
    ['debian:12', { name: 'debian', version: '12' }],
    ['Ubuntu:24.04', { name: 'ubuntu', version: '24.04' }],
    ['almalinux:10-kitten', { name: 'almalinux', version: '10-kitten' }],
  ])('distribution %s', (text, distribution) => {
    expect(parseDistribution(text)).toEqual(distribution);
  });

  test.each(['debian', 'debian:', ':12', 'debian:12;id', 'de bian:12', 'debian:1:2', ''])(
    'no distribution: %j',
    (text) => {
      expect(usageOf(() => parseDistribution(text))).toContain('Write NAME:VERSION');
    },
  );

  test('packages', () => {
    expect(parsePackage('libstdc++6')).toEqual({ name: 'libstdc++6' });
    expect(parsePackage('curl=1:7.88.1-10~deb12+u5')).toEqual({
      name: 'curl',
      version: '1:7.88.1-10~deb12+u5',
    });
    for (const text of ['', '-y', 'a b', 'a;b', 'a$(id)', '../a', 'a=', 'a=1;2', 'a=-1', 'ä', 'a\n']) {
      expect(
        usageOf(() => parsePackage(text)),
        text,
      ).toContain('invalid');
    }
  });

  test('modules have all three parts', () => {
    expect(parseModule('nodejs:18:8060020221209')).toEqual({
      name: 'nodejs',
      stream: '18',
      version: '8060020221209',
    });
    for (const text of ['nodejs', 'nodejs:18', 'nodejs:18:', 'a:b:c:d', 'a:b:c;d']) {
      expect(
        usageOf(() => parseModule(text)),
        text,
      ).toContain('NAME:STREAM:VERSION');
    }
  });

  test('test repositories', () => {
    expect(parseTestRepository('https://git.example.com/t.git#curl/basic@v1.2')).toEqual({
      url: 'https://git.example.com/t.git',
      directory: 'curl/basic',
      ref: 'v1.2',
    });
    expect(parseTestRepository('ssh://git@git.example.com/t#d')).toEqual({
      url: 'ssh://git@git.example.com/t',
      directory: 'd',
    });
    for (const text of [
      'https://git.example.com/t.git',
      'https://git.example.com/t.git#',
      'https://git.example.com/t.git#../up',
      'https://git.example.com/t.git#/root',
      'https://git.example.com/t.git#d@',
      'https://git.example.com/t.git#d@-x',
      'https://git.example.com/t.git#d@a..b',
      'file:///etc#d',
      'ext::sh -c id#d',
      '#d',
    ]) {
      expect(
        usageOf(() => parseTestRepository(text)),
        text,
      ).toContain('URL#DIR');
    }
  });
});

describe('repositories', () => {
  test.each([
    ['https://example.com/el9/', { url: 'https://example.com/el9/' }],
    ['extra=https://example.com/?a=b', { name: 'extra', url: 'https://example.com/?a=b' }],
    ['https://example.com/?a=b', { url: 'https://example.com/?a=b' }],
    [
      'x=deb http://example.com/debian bookworm main contrib',
      { name: 'x', url: 'deb http://example.com/debian bookworm main contrib' },
    ],
    ['deb http://example.com/debian ./', { url: 'deb http://example.com/debian ./' }],
    [
      'deb http://example.com/d bookworm-updates/a main',
      { url: 'deb http://example.com/d bookworm-updates/a main' },
    ],
  ])('%s', (text, repository) => {
    expect(parseRepository(text)).toEqual(repository);
  });

  test.each([
    ['', 'it is empty'],
    ['x=', 'it is no URL'],
    ['just-a-name', 'it is no URL'],
    ['gopher://example.com/', 'it is no URL'],
    ['https://exa mple.com/', 'it is no URL'],
    ['https://example.com/\nevil', 'characters no URL has'],
    ['deb http://example.com/debian', 'it is no apt line'],
    ['deb nonsense bookworm main', 'it is no apt line'],
    ['deb [trusted=yes] http://example.com/ bookworm main', 'options in brackets'],
    ['deb http://example.com/ bookworm', 'it names no component'],
    ['deb http://example.com/ ./ main', 'has no components'],
    ['deb http://example.com/ bookworm main;id', 'characters apt does not take'],
  ])('not %j', (text, why) => {
    expect(usageOf(() => parseRepository(text))).toContain(why);
  });

  test('secrets in a URL are not quoted', () => {
    const said = usageOf(() => parseRepository('deb https://user:s3cret@example.com/x?token=t0ken bookworm'));
    expect(said).toContain('example.com');
    expect(said).not.toMatch(/s3cret|t0ken/);
  });

  test('an apt line is read apart', () => {
    expect(parseAptLine('deb [arch=amd64 signed-by=/k] https://example.com/d sid main non-free')).toEqual({
      type: 'deb',
      options: 'arch=amd64 signed-by=/k',
      url: 'https://example.com/d',
      suite: 'sid',
      components: ['main', 'non-free'],
    });
    expect(parseAptLine('debx http://example.com/d sid main')).toBeUndefined();
  });

  test('each family wants its own form', () => {
    const url = { url: 'https://example.com/r/' };
    const line = { url: 'deb https://example.com/r sid main' };
    expect(usageOf(() => checkRequest({ ...DEB, repositories: [url] }))).toContain('needs an apt line');
    expect(usageOf(() => checkRequest({ ...REQUEST, repositories: [line] }))).toContain('needs a URL');
    checkRequest({ ...DEB, repositories: [line] });
    checkRequest({ ...REQUEST, repositories: [url] });
    const own = { ...REQUEST, distribution: { name: 'ownlinux', version: '1' }, repositories: [url, line] };
    checkRequest(own, { unchecked: true });
  });
});

describe('a request is checked', () => {
  test.each<[Partial<TaskRequest>, string]>([
    [{ runner: 'podman' }, "ALTS knows no runner 'podman'"],
    [{ architecture: 'riscv64' }, "ALTS knows no architecture 'riscv64'"],
    [{ distribution: { name: 'arch', version: '1' } }, "ALTS knows no distribution 'arch'"],
    [{ distribution: { name: 'constructor', version: '1' } }, 'ALTS knows no distribution'],
    [{ channel: 'nightly' }, "ALTS knows no channel 'nightly'"],
  ])('%j is unknown, and may pass unchecked', (part, why) => {
    const request = { ...REQUEST, ...part };
    expect(usageOf(() => checkRequest(request))).toContain(why);
    expect(() => checkRequest(request, { unchecked: true })).not.toThrow();
  });

  test.each<[string, Partial<TaskRequest>]>([
    ['runner', { runner: 'a b' }],
    ['architecture', { architecture: 'x;y' }],
    ['package', { package: { name: '$(id)' } }],
    ['module', { module: { name: 'a', stream: '', version: '1' } }],
    ['repository', { repositories: [{ name: 'a b', url: 'https://example.com/' }] }],
    ['test file', { testRepositories: [{ url: 'https://example.com/t', directory: 'd', tests: ['../x'] }] }],
    ['test variable', { testEnvironment: { 'A B': '1' } }],
    ['value of the test variable', { testEnvironment: { A: 'one\ntwo' } }],
    [
      'test variables',
      { testEnvironment: Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`A${at}`, ''])) },
    ],
    ['callback', { callback: 'javascript:x' }],
    ['repositories', { repositories: Array.from({ length: 101 }, () => ({ url: 'https://example.com/' })) }],
  ])('a bad %s is one even unchecked', (what, part) => {
    expect(usageOf(() => checkRequest({ ...REQUEST, ...part }, { unchecked: true }))).toContain(what);
  });

  test('the distribution goes out in lower case', () => {
    const request = { ...REQUEST, distribution: { name: 'AlmaLinux', version: '9' } };
    expect(checkRequest(request).distribution.name).toBe('almalinux');
  });

  test('warnings', () => {
    expect(requestWarnings({ ...DEB, architecture: 'aarch64' })).toEqual([
      'debian calls the architecture aarch64 arm64',
    ]);
    expect(requestWarnings({ ...REQUEST, architecture: 'amd64' })).toHaveLength(1);
    const named = { ...REQUEST, repositories: [{ name: 'x-br', url: 'https://example.com/' }] };
    expect(requestWarnings(named)[0]).toContain('token');
    expect(requestWarnings(REQUEST)).toEqual([]);
    const tested = {
      ...REQUEST,
      testRepositories: [
        { url: 'https://git.example.com/t.git', directory: 'd' },
        { url: 'ssh://gerrit.example.com:29418/t', directory: 'd' },
      ],
      testEnvironment: { PLAIN: 'a/b:1.2,3', EMPTY: '' },
    };
    expect(requestWarnings(tested)).toEqual([]);
    const forge = { url: 'https://me:GEHEIM@git.example.com/t', directory: 'd' };
    expect(requestWarnings({ ...tested, testRepositories: [forge] })).toEqual([
      expect.stringMatching(/^ALTS passes over the test repository https:\/\/git\.example\.com\/t, /),
    ]);
    expect(requestWarnings({ ...tested, testEnvironment: { A: 'x y', B: 'c=d' } })).toHaveLength(2);
    expect(requestWarnings({ ...REQUEST, testEnvironment: { A: '1' } })[0]).toContain('there are none');
  });
});

describe('a variable for tests', () => {
  test.each([
    ['A=1', 'A', '1'],
    ['_a_2=', '_a_2', ''],
    ['URL=https://example.com/?a=b c', 'URL', 'https://example.com/?a=b c'],
  ])('%s', (text, name, value) => {
    expect(parseTestVariable(text)).toEqual([name, value]);
  });

  test.each(['A', '=1', '1A=1', 'A B=1', 'A-B=1', 'A=x\0y', 'A=x\ny'])('%j is none', (text) => {
    expect(usageOf(() => parseTestVariable(text))).toContain('test variable');
  });

  test('a value is never quoted', () => {
    expect(usageOf(() => parseTestVariable('A B=GEHEIM'))).not.toContain('GEHEIM');
    expect(usageOf(() => parseTestVariable('A=GEHEIM\n'))).not.toContain('GEHEIM');
  });
});

describe('the payload', () => {
  test('of the least there can be', () => {
    expect(toPayload(REQUEST)).toEqual({
      runner_type: 'any',
      dist_name: 'almalinux',
      dist_version: '9',
      dist_arch: 'x86_64',
      package_name: 'curl',
      repositories: [],
    });
  });

  test('of everything', () => {
    expect(
      toPayload({
        runner: 'docker',
        distribution: { name: 'almalinux', version: '9' },
        architecture: 'aarch64',
        package: { name: 'nodejs', version: '18-1' },
        repositories: [{ name: 'a', url: 'https://example.com/a' }, { url: 'https://example.com/b' }],
        module: { name: 'nodejs', stream: '18', version: '8' },
        channel: 'beta',
        testRepositories: [
          { url: 'https://example.com/t', directory: 'd', ref: 'main', tests: ['x.bats'] },
          { url: 'https://example.com/u', directory: 'e' },
        ],
        testEnvironment: { A: '1', B: 'x=y' },
        callback: '/api/v1/tests/1/result/',
      }),
    ).toEqual({
      runner_type: 'docker',
      dist_name: 'almalinux',
      dist_version: '9',
      dist_arch: 'aarch64',
      package_name: 'nodejs',
      package_version: '18-1',
      repositories: [
        { name: 'a', baseurl: 'https://example.com/a', url: 'https://example.com/a' },
        { baseurl: 'https://example.com/b', url: 'https://example.com/b' },
      ],
      module_name: 'nodejs',
      module_stream: '18',
      module_version: '8',
      package_channel: 'beta',
      test_configuration: {
        tests: [
          { url: 'https://example.com/t', test_dir: 'd', git_ref: 'main', tests_to_run: ['x.bats'] },
          { url: 'https://example.com/u', test_dir: 'e' },
        ],
        test_env: { extra_env_vars: ['A=1', 'B=x=y'] },
      },
      callback_href: '/api/v1/tests/1/result/',
    });
    expect(toPayload({ ...REQUEST, callback: 'https://bs.example.com/x' })).toMatchObject({
      callback_url: 'https://bs.example.com/x',
    });
  });
});
