import { describe, expect, test } from 'vitest';
import { bestKey, canonicalHost, dockerKey } from '../../../src/auth/registry-host.ts';

describe('canonicalHost', () => {
  test.each([
    ['registry.example.com', 'registry.example.com'],
    ['Registry.Example.COM:5000', 'registry.example.com:5000'],
    ['registry.example.com:443', 'registry.example.com'],
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['notdocker.io', 'notdocker.io'],
    ['auth.docker.io', 'auth.docker.io'],
  ])('%s is %s', (host, expected) => {
    expect(canonicalHost(host)).toBe(expected);
  });
});

describe('sigstore-js 85c58380: bestKey matches exactly', () => {
  const best = (keys: string[], host: string, repository?: string): string | undefined =>
    bestKey(keys, host, repository);

  test.each<[string[], string, string | undefined]>([
    [['registry.example.com'], 'registry.example.com', 'registry.example.com'],
    [['https://registry.example.com/v1/'], 'registry.example.com', 'https://registry.example.com/v1/'],
    [['http://registry.example.com'], 'registry.example.com', 'http://registry.example.com'],
    [['registry.example.com/v2/'], 'registry.example.com', 'registry.example.com/v2/'],
    [
      ['https://registry.example.com/v1/', 'registry.example.com'],
      'registry.example.com',
      'registry.example.com',
    ],
    [['https://index.docker.io/v1/'], 'docker.io', 'https://index.docker.io/v1/'],
    [['docker.io'], 'registry-1.docker.io', 'docker.io'],
    [['example.com'], 'registry.example.com', undefined],
    [['registry.example.com.evil.org'], 'registry.example.com', undefined],
    [['evil-registry.example.com'], 'registry.example.com', undefined],
    [['registry.example.com'], 'registry.example.com:5000', undefined],
    [['registry.example.com:5000'], 'registry.example.com', undefined],
    [['https://evil.org/registry.example.com'], 'registry.example.com', undefined],
    [['https://registry.example.com@evil.org/'], 'registry.example.com', undefined],
    [['https://'], 'registry.example.com', undefined],
    [['', '/', '*', '.*'], 'registry.example.com', undefined],
  ])('%j for %s: %s', (keys, host, expected) => {
    expect(best(keys, host)).toBe(expected);
  });

  test("podman's namespaces: the longest that holds the repository", () => {
    const keys = ['r.example.com', 'r.example.com/team', 'r.example.com/team/app', 'other.example.com/team'];
    expect(best(keys, 'r.example.com', 'team/app')).toBe('r.example.com/team/app');
    expect(best(keys, 'r.example.com', 'team/app/sub')).toBe('r.example.com/team/app');
    expect(best(keys, 'r.example.com', 'team/apple')).toBe('r.example.com/team');
    expect(best(keys, 'r.example.com', 'teams')).toBe('r.example.com');
    expect(best(keys, 'r.example.com')).toBe('r.example.com');
    expect(best(['r.example.com/team'], 'r.example.com')).toBeUndefined();
    expect(best(['docker.io/library'], 'registry-1.docker.io', 'library/alpine')).toBe('docker.io/library');
  });
});

test('dockerKey is what docker calls a registry', () => {
  expect(dockerKey('docker.io')).toBe('https://index.docker.io/v1/');
  expect(dockerKey('registry.example.com:5000')).toBe('registry.example.com:5000');
});
