import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import {
  formatPlatform,
  hostPlatform,
  type Platform,
  parsePlatform,
  platformMatches,
  platformSchema,
} from '../../../src/oci/index.ts';

describe('a platform', () => {
  test.each([
    ['linux/amd64', 'linux/amd64'],
    ['Linux/AMD64', 'linux/amd64'],
    [' linux/arm/v7 ', 'linux/arm/v7'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/x86-64', 'linux/amd64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/i686', 'linux/386'],
    ['linux/armhf', 'linux/arm'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/arm64/v9', 'linux/arm64/v9'],
    ['linux/ppc64le', 'linux/ppc64le'],
    ['linux/s390x', 'linux/s390x'],
    ['windows/amd64', 'windows/amd64'],
    ['unknown/unknown', 'unknown/unknown'],
    ['linux/constructor', 'linux/constructor'],
    ['linux/__proto__', 'linux/__proto__'],
  ])('%s is %s', (text, shown) => {
    expect(formatPlatform(parsePlatform(text))).toBe(shown);
  });

  test.each([
    '',
    'linux',
    '/',
    'linux/',
    '/amd64',
    'linux/amd64/',
    'linux/arm/v7/x',
    'linux//v7',
    'li nux/amd64',
    'linux/amd64;x',
    'linux/ämd64',
    'linux/arm/v7\nx',
  ])('not %j', (text) => {
    expect(() => parsePlatform(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('a Windows version is shown', () => {
    expect(formatPlatform({ os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763.1' })).toBe(
      'windows/amd64 (10.0.17763.1)',
    );
  });

  test("this machine's is Linux, in the words images use", () => {
    expect(parsePlatform(formatPlatform(hostPlatform()))).toEqual(hostPlatform());
    expect(hostPlatform().os).toBe('linux');
    expect(['x64', 'ia32']).not.toContain(hostPlatform().architecture);
  });
});

describe('what was asked for matches', () => {
  test.each([
    ['linux/amd64', { os: 'linux', architecture: 'amd64' }, true],
    ['linux/amd64', { os: 'linux', architecture: 'x86_64' }, true],
    ['linux/arm64', { os: 'linux', architecture: 'arm64', variant: 'v8' }, true],
    ['linux/arm64/v8', { os: 'linux', architecture: 'arm64' }, true],
    ['linux/arm', { os: 'linux', architecture: 'arm', variant: 'v6' }, true],
    ['linux/arm/v7', { os: 'linux', architecture: 'arm', variant: 'v6' }, false],
    ['linux/arm/v7', { os: 'linux', architecture: 'arm' }, false],
    ['linux/amd64', { os: 'windows', architecture: 'amd64' }, false],
    ['linux/amd64', { os: 'linux', architecture: 'arm64' }, false],
    ['linux/amd64', { os: 'unknown', architecture: 'unknown' }, false],
    ['windows/amd64', { os: 'windows', architecture: 'amd64', 'os.version': '10' }, true],
    ['linux/constructor', { os: 'linux', architecture: 'toString' }, false],
  ] as [string, Platform, boolean][])('%s and %j: %s', (wanted, candidate, matches) => {
    expect(platformMatches(parsePlatform(wanted), candidate)).toBe(matches);
  });

  test('an OS version counts when it was asked for', () => {
    const candidate = { os: 'windows', architecture: 'amd64', 'os.version': '10.0.1' };
    expect(platformMatches({ ...candidate, 'os.version': '10.0.2' }, candidate)).toBe(false);
    expect(platformMatches(candidate, candidate)).toBe(true);
  });
});

describe('for all input', () => {
  const part = fc.stringMatching(/^[a-z0-9_.-]{1,12}$/);

  test('what is shown is read back the same, and matches itself', () => {
    fc.assert(
      fc.property(part, part, fc.option(part), (os, architecture, variant) => {
        const platform = parsePlatform([os, architecture, ...(variant ? [variant] : [])].join('/'));
        expect(parsePlatform(formatPlatform(platform))).toEqual(platform);
        expect(platformMatches(platform, platform)).toBe(true);
        expect(platformSchema.parse(platform)).toEqual(platform);
      }),
    );
  });

  test('any text is a platform or a USAGE error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parsePlatform(text);
        } catch (error) {
          if (!isRegopsError(error, 'USAGE')) throw error;
        }
      }),
    );
  });
});
