import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import {
  apiHost,
  type Digest,
  familiarReference,
  formatInRegistry,
  formatReference,
  isRepository,
  isTag,
  manifestSelector,
  parseDomain,
  parseReference,
  parseRepository,
  parseTag,
  type Reference,
  withDefaultTag,
} from '../../../src/oci/index.ts';

const HEX = '0123456789abcdef'.repeat(4);
const SHA256 = `sha256:${HEX}`;
const SHA512 = `sha512:${HEX}${HEX}`;

/** What a call threw; fails the test when it returned. */
function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

function refusal(call: () => unknown): string {
  const error = thrownBy(call);
  if (!isRegopsError(error, 'REFERENCE_INVALID')) throw error;
  return error.message;
}

function split(text: string): (string | undefined)[] {
  const { domain, repository, tag, digest } = parseReference(text);
  return [domain, repository, tag, digest];
}

describe('a reference names its registry', () => {
  test.each([
    ['without a slash it is an official image of Docker Hub', 'alpine', 'docker.io', 'library/alpine'],
    ['even if it looks like a host', 'example.com', 'docker.io', 'library/example.com'],
    ['even if it looks like an address', '10.1.2.3', 'docker.io', 'library/10.1.2.3'],
    ['a first part without dot, colon or capital is a path', 'team/app', 'docker.io', 'team/app'],
    ['an underscore does not make a host', 'team_a/app', 'docker.io', 'team_a/app'],
    ['deeper paths stay whole', 'a/b/c/d', 'docker.io', 'a/b/c/d'],
    ['a dot makes a host', 'example.com/app', 'example.com', 'app'],
    ['a colon makes a host', 'cache:5000/app', 'cache:5000', 'app'],
    ['localhost is a host', 'localhost/app', 'localhost', 'app'],
    ['with a port too', 'localhost:5000/a/b', 'localhost:5000', 'a/b'],
    ['a capital makes a host', 'Cache/app', 'Cache', 'app'],
    ['capitals throughout too', 'CACHE/app', 'CACHE', 'app'],
    ['a mixed-case host is kept as written', 'Example.COM:5000/app', 'Example.COM:5000', 'app'],
    ['inner dashes', 'my-reg-1.example.com/app', 'my-reg-1.example.com', 'app'],
    ['digits first', '0x.example.com/app', '0x.example.com', 'app'],
    ['an IPv4 address', '127.0.0.1/app', '127.0.0.1', 'app'],
    ['an IPv4 address and a port', '192.168.7.9:8/app', '192.168.7.9:8', 'app'],
    ['punycode', 'xn--mnchen-3ya.example/app', 'xn--mnchen-3ya.example', 'app'],
    ['an IPv6 address', '[2001:db8::7]/app', '[2001:db8::7]', 'app'],
    ['an IPv6 address and a port', '[::1]:5000/a/b', '[::1]:5000', 'a/b'],
    ['an IPv6 address in full', '[fd00:1:2:3:4:5:6:7]:80/app', '[fd00:1:2:3:4:5:6:7]:80', 'app'],
    ['an IPv6 address that ends in ::', '[2001:db8::]/app', '[2001:db8::]', 'app'],
    ['only the first part is a host', 'b.example/test.example.com/app', 'b.example', 'test.example.com/app'],
    ['Docker Hub by name', 'docker.io/team/app', 'docker.io', 'team/app'],
    ['Docker Hub by its old name', 'index.docker.io/team/app', 'docker.io', 'team/app'],
    ['Docker Hub adds library/', 'docker.io/alpine', 'docker.io', 'library/alpine'],
    ['under the old name too', 'index.docker.io/alpine', 'docker.io', 'library/alpine'],
    ['but once', 'docker.io/library/alpine', 'docker.io', 'library/alpine'],
    ['and only there', 'example.com/alpine', 'example.com', 'alpine'],
    ['library/ may go deeper', 'library/foo/bar', 'docker.io', 'library/foo/bar'],
    ['and is nothing special at the end', 'other/library', 'docker.io', 'other/library'],
    ['sixty-four digits are a name behind a host', `docker.io/${HEX}`, 'docker.io', `library/${HEX}`],
    ['so are sixty-three', HEX.slice(1), 'docker.io', `library/${HEX.slice(1)}`],
  ])('%s: %s', (_why, text, domain, repository) => {
    expect(split(text)).toEqual([domain, repository, undefined, undefined]);
  });
});

describe('a reference has a tag, a digest or both', () => {
  test.each([
    ['app:1.0', 'docker.io', 'library/app', '1.0', undefined],
    ['app:Tag_With-All.Signs', 'docker.io', 'library/app', 'Tag_With-All.Signs', undefined],
    ['app:_', 'docker.io', 'library/app', '_', undefined],
    [`app:${'t'.repeat(128)}`, 'docker.io', 'library/app', 't'.repeat(128), undefined],
    // Without a slash the colon is a tag's, whatever the rest looks like.
    ['example.com:5000', 'docker.io', 'library/example.com', '5000', undefined],
    ['192.168.0.1:80', 'docker.io', 'library/192.168.0.1', '80', undefined],
    ['localhost:8080', 'docker.io', 'library/localhost', '8080', undefined],
    ['under_score.com:8080', 'docker.io', 'library/under_score.com', '8080', undefined],
    ['team/under_score.com:8080', 'docker.io', 'team/under_score.com', '8080', undefined],
    ['host:5000/app:5050', 'host:5000', 'app', '5050', undefined],
    ['[::1]:5000/app:1', '[::1]:5000', 'app', '1', undefined],
    ['xn--n3h.com/app:xn--n3h.com', 'xn--n3h.com', 'app', 'xn--n3h.com', undefined],
    [`app@${SHA256}`, 'docker.io', 'library/app', undefined, SHA256],
    [`host:5000/app@${SHA256}`, 'host:5000', 'app', undefined, SHA256],
    [`host:5000/app:1@${SHA256}`, 'host:5000', 'app', '1', SHA256],
    [`localhost:8080@${SHA256}`, 'docker.io', 'library/localhost', '8080', SHA256],
    [`[::1]:5000/app:1@${SHA512}`, '[::1]:5000', 'app', '1', SHA512],
    [
      `${'a/'.repeat(126)}abc:tags-do-not-count`,
      'docker.io',
      `${'a/'.repeat(126)}abc`,
      'tags-do-not-count',
      undefined,
    ],
  ])('%s', (text, domain, repository, tag, digest) => {
    expect(split(text)).toEqual([domain, repository, tag, digest]);
  });
});

describe('what is no reference is refused with its reason', () => {
  test.each([
    ['', 'not a repository'],
    [' ', 'not a repository'],
    ['app ', 'not a repository'],
    ['app\n', 'not a repository'],
    ['app:1\n', 'is not a tag'],
    [':tag', 'not a repository'],
    [`@${SHA256}`, 'not a repository'],
    ['App', 'must be lowercase'],
    ['App:tag', 'must be lowercase'],
    ['team/App', 'must be lowercase'],
    ['host:5000/Team/app:1', 'must be lowercase'],
    ['docker.io/team/App', 'must be lowercase'],
    ['Cache/App', 'must be lowercase'],
    ['-app', 'not a repository'],
    ['app-', 'not a repository'],
    ['_team/_app', 'not a repository'],
    ['team_/app', 'not a repository'],
    ['-team/app', 'not a repository'],
    ['team-/app', 'not a repository'],
    ['____/____', 'not a repository'],
    ['team___a/app', 'not a repository'],
    ['te^am', 'not a repository'],
    ['aa/as$$^/aa', 'not a repository'],
    ['team//app', 'not a repository'],
    ['team///app', 'not a repository'],
    ['team/', 'not a repository'],
    ['/app', 'not a repository'],
    ['example.com/', 'not a repository'],
    ['example.com/a/', 'not a repository'],
    ['example.com/.a', 'not a repository'],
    ['example.com/..', 'not a repository'],
    ['example.com/a..b', 'not a repository'],
    ['example.com/a_.b', 'not a repository'],
    ['example.com/a-.b', 'not a repository'],
    ['example.com/__a', 'not a repository'],
    ['example.com/ä', 'not a repository'],
    ['example.com/a%2fb', 'not a repository'],
    ['example.com/../../v2', 'not a repository'],
    ['team..a/app', 'is not a registry host'],
    ['-team.io/app', 'is not a registry host'],
    ['team-.io/app', 'is not a registry host'],
    ['.team/app', 'is not a registry host'],
    ['team./app', 'is not a registry host'],
    ['under_score.com:80/app', 'is not a registry host'],
    ['under__score:80/app', 'is not a registry host'],
    ['host:http/app', 'is not a registry host'],
    ['host:/app', 'is not a registry host'],
    ['host:0/app', 'is not a registry host'],
    ['host:65536/app', 'is not a registry host'],
    ['host:1:2/app', 'is not a registry host'],
    ['1.2.3.456/app', 'is not a registry host'],
    ['::1/app', 'is not a registry host'],
    ['fd00::1:5000/app', 'is not a registry host'],
    ['[fe80::1%eth0]:5000/app', 'is not a registry host'],
    ['[fe80::1%@zone]:5000/app', 'is not a registry host'],
    ['[2001:db8::192.0.2.33]:5000/app', 'is not a registry host'],
    ['[fd001231231]:5000/app', 'is not a registry host'],
    ['[:::]/app', 'is not a registry host'],
    ['[::1]5000/app', 'is not a registry host'],
    ['[::1]::5000/app', 'is not a registry host'],
    ['[::1]', 'not a repository'],
    ['[::1]:5000', 'not a repository'],
    ['app:', 'is not a tag'],
    ['app:.1', 'is not a tag'],
    ['app:-1', 'is not a tag'],
    ['app:1~2', 'is not a tag'],
    ['app:1+2', 'is not a tag'],
    ['app:a:b', 'is not a tag'],
    [`app:${'t'.repeat(129)}`, 'is not a tag'],
    ['app@', 'is not a digest'],
    ['app@bad', 'is not a digest'],
    ['app@2bad', 'is not a digest'],
    ['app@sha256:', 'is not a digest'],
    ['app@sha256:badbadbad', 'is not a digest'],
    [`app@${SHA256}@${SHA256}`, 'is not a digest'],
    [`h:1/app@sha256:../${HEX.slice(3)}`, 'is not a digest'],
    [`app@sha256:${HEX.slice(1)}`, 'wrong digest length'],
    [`app@sha256:${HEX}0`, 'wrong digest length'],
    [`app@sha256:${HEX.toUpperCase()}`, 'wrong digest length'],
    [`app@md5:${HEX.slice(32)}`, 'unsupported digest algorithm'],
    [`app@what.ever:${HEX}`, 'unsupported digest algorithm'],
    [HEX, 'image ID'],
    [`${'a/'.repeat(128)}a:tag`, 'longer than 255'],
    ['http://example.com/app', 'no scheme'],
    ['https://example.com/app', 'no scheme'],
    ['HTTPS://example.com/app', 'no scheme'],
    ['docker://example.com/app', 'no scheme'],
    ['oci://example.com/app', 'no scheme'],
  ])('%j: %s', (text, reason) => {
    expect(refusal(() => parseReference(text))).toContain(reason);
  });

  test('a capital in the repository brings the right name as a hint', () => {
    const error = thrownBy(() => parseReference('A.io/A/B:C'));
    expect(isRegopsError(error) && error.hints).toEqual(['Did you mean the repository a/b?']);
  });

  test.each([
    'https://anna:hunter2@example.com/app',
    'https://anna:hunter2@example.com',
    'anna:hunter2@example.com/app',
    'anna:hunter2@example.com:5000/team/app:1',
  ])('a password pasted with it is not repeated: %s', (text) => {
    const error = thrownBy(() => parseReference(text));
    if (!isRegopsError(error)) throw error;
    expect(error.message).toContain('example.com');
    expect(`${error.message} ${error.hints}`).not.toContain('hunter2');
  });

  test('parseDomain does not repeat one either', () => {
    expect(refusal(() => parseDomain('anna:hunter2@example.com'))).not.toContain('hunter2');
  });
});

describe('the parts by themselves', () => {
  test.each([
    'a',
    'a.b',
    'ab.cd.com',
    'a-b.com',
    'ab.c-om',
    'xn--n3h.com',
    'localhost:8080',
    'A.b:443',
    '10.0.0.1:1',
    '[::1]:65535',
    '[2001:0db8:85a3:0000:0000:8a2e:0370:7334]',
  ])('host %s', (text) => {
    expect(parseDomain(text)).toBe(text);
  });

  test.each([
    '',
    ':',
    ':80',
    'a:',
    'a:b',
    '-a.com',
    'a-.com',
    'a.-com',
    'a.com-',
    'a..b',
    'a.',
    'a/b',
    'a b',
    'a:70000',
    'a@b',
    '[::1',
    '::1',
    '[]',
    'ab.com:12a',
    'ä.com',
  ])('no host: %j', (text) => {
    expect(refusal(() => parseDomain(text))).toContain('not a registry host');
  });

  test.each(['a', 'a/b', 'a.b_c__d-e---f', '0', `${'a'.repeat(255)}`])('repository %s', (text) => {
    expect(parseRepository(text)).toBe(text);
    expect(isRepository(text)).toBe(true);
  });

  test.each([
    ['', 'not a repository'],
    ['A', 'must be lowercase'],
    ['a:b', 'not a repository'],
    ['a___b', 'not a repository'],
    ['a'.repeat(256), 'longer than 255'],
  ])('no repository: %s', (text, reason) => {
    expect(isRepository(text)).toBe(false);
    expect(refusal(() => parseRepository(text))).toContain(reason);
  });

  test.each(['latest', '1', '_', 'A.b-C_d', 'x'.repeat(128)])('tag %s', (text) => {
    expect(parseTag(text)).toBe(text);
    expect(isTag(text)).toBe(true);
  });

  test.each(['', '.', '-a', 'a b', 'a/b', 'a:b', 'a\n', 'é', 'x'.repeat(129)])('no tag: %j', (text) => {
    expect(isTag(text)).toBe(false);
    expect(refusal(() => parseTag(text))).toContain('not a tag');
  });
});

describe('what a reference is used for', () => {
  const both: Reference = { domain: 'h:1', repository: 'a', tag: 't', digest: SHA256 as Digest };

  test('the default tag comes only where there is neither tag nor digest', () => {
    expect(withDefaultTag(parseReference('a')).tag).toBe('latest');
    expect(withDefaultTag(parseReference('a:1')).tag).toBe('1');
    expect(withDefaultTag(parseReference(`a@${SHA256}`)).tag).toBeUndefined();
  });

  test('a manifest is asked for by digest, else by tag, else latest', () => {
    expect(manifestSelector(both)).toBe(SHA256);
    expect(manifestSelector(parseReference('a:1'))).toBe('1');
    expect(manifestSelector(parseReference('a'))).toBe('latest');
  });

  test('formats with and without the registry', () => {
    expect(formatReference(both)).toBe(`h:1/a:t@${SHA256}`);
    expect(formatInRegistry(both)).toBe(`a:t@${SHA256}`);
  });

  test("Docker Hub's API has a host of its own", () => {
    expect(apiHost('docker.io')).toBe('registry-1.docker.io');
    expect(apiHost('example.com:5000')).toBe('example.com:5000');
  });

  test.each([
    ['alpine', 'alpine'],
    ['alpine:3', 'alpine:3'],
    [`docker.io/library/alpine:3@${SHA256}`, `alpine:3@${SHA256}`],
    ['docker.io/team/app', 'team/app'],
    ['library/a/b', 'library/a/b'],
    ['other/library', 'other/library'],
    ['library/library', 'library'],
    ['localhost/app', 'localhost/app'],
    ['Foo/bar', 'Foo/bar'],
    // Short forms that would be read as something else.
    ['docker.io/foo.bar/app', 'docker.io/foo.bar/app'],
    ['docker.io/localhost/app', 'docker.io/localhost/app'],
    ['docker.io/docker.io/app', 'docker.io/docker.io/app'],
    [`docker.io/${HEX}`, `docker.io/library/${HEX}`],
    [`docker.io/${HEX}:1`, `${HEX}:1`],
  ])('%s is shown as %s', (text, shown) => {
    expect(familiarReference(parseReference(text))).toBe(shown);
  });
});

describe('for all references', () => {
  const alphanumeric = fc.string({ unit: fc.constantFrom(...'abz059'), minLength: 1, maxLength: 6 });
  const separator = fc.constantFrom('.', '_', '__', '-', '---');
  const component = fc
    .tuple(alphanumeric, fc.array(fc.tuple(separator, alphanumeric), { maxLength: 3 }))
    .map(([first, more]) => first + more.flat().join(''));
  const repository = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc
      .ipV6()
      .filter((address) => !address.includes('.'))
      .map((address) => `[${address}]`),
    fc.constantFrom('localhost', 'Registry', 'docker.io', 'a.b'),
  );
  const domain = fc
    .tuple(host, fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }))
    .map(([name, port]) => (port === undefined ? name : `${name}:${port}`));
  const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/);
  const hex = (length: number) =>
    fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
  const digest = fc.oneof(
    hex(64).map((digits) => `sha256:${digits}` as Digest),
    hex(128).map((digits) => `sha512:${digits}` as Digest),
  );
  const reference: fc.Arbitrary<Reference> = fc
    .record({ domain, repository, tag, digest }, { requiredKeys: ['domain', 'repository'] })
    // docker.io/alpine is not a complete reference: Docker Hub has no repositories of one part.
    .filter((it) => it.domain !== 'docker.io' || it.repository.includes('/'));

  test('what is written in full is read back the same', () => {
    fc.assert(
      fc.property(reference, (it) => {
        expect(parseReference(formatReference(it))).toEqual(it);
      }),
      { numRuns: 500 },
    );
  });

  test('what is shown in short is read back the same', () => {
    fc.assert(
      fc.property(reference, fc.boolean(), (it, onHub) => {
        const hub = it.repository.includes('/') ? it.repository : `library/${it.repository}`;
        const whole = onHub ? { ...it, domain: 'docker.io', repository: hub } : it;
        expect(parseReference(familiarReference(whole))).toEqual(whole);
      }),
      { numRuns: 500 },
    );
  });

  test('a parsed reference is complete: reading it again changes nothing, and its host fits a URL', () => {
    const nearly = fc.string({
      unit: fc.constantFrom(...'aA0.:/@-_[]', 'sha256:', HEX, 'docker.io/'),
      maxLength: 24,
    });
    fc.assert(
      fc.property(nearly, (text) => {
        let parsed: Reference;
        try {
          parsed = parseReference(text);
        } catch (error) {
          if (!isRegopsError(error, 'REFERENCE_INVALID')) throw error;
          return;
        }
        expect(parseReference(formatReference(parsed))).toEqual(parsed);
        expect(URL.canParse(`https://${parsed.domain}/v2/${parsed.repository}/`)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('anything else is refused with REFERENCE_INVALID and a short message', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        for (const parse of [parseReference, parseDomain, parseRepository, parseTag]) {
          try {
            parse(text);
          } catch (error) {
            if (!isRegopsError(error, 'REFERENCE_INVALID')) throw error;
            expect(error.message.length).toBeLessThan(800);
          }
        }
      }),
    );
  });

  // A pattern that backtracks badly would not come back from these within the test's time.
  test.each([
    ['letters', 'a'],
    ['digits', '0'],
    ['parts', 'a/'],
    ['dots', 'a.'],
    ['dashes', '-'],
    ['labels', 'a-'],
    ['underscores', '_'],
    ['double underscores', 'a__'],
    ['colons', ':'],
    ['ports', 'a:1'],
    ['digests', `@${SHA256}`],
    ['brackets', '['],
    ['IPv6', '[a:'],
    ['schemes', 'a://'],
    ['user info', 'a:b@'],
    ['spaces', ' '],
  ])('a hundred thousand characters of %s end quickly', (_what, unit) => {
    const long = unit.repeat(Math.ceil(100_000 / unit.length));
    for (const text of [
      long,
      `${long}!`,
      `x.io/${long}!`,
      `${long}/a!`,
      `a:${long}!`,
      `a@${long}!`,
      `a@sha256:${long}!`,
    ]) {
      for (const parse of [parseReference, parseDomain, parseRepository, parseTag]) {
        try {
          parse(text);
        } catch (error) {
          if (!isRegopsError(error, 'REFERENCE_INVALID')) throw error;
          expect(error.message.length).toBeLessThan(800);
        }
      }
    }
  });
});
