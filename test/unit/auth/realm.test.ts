import { describe, expect, test } from 'vitest';
import { checkRealm } from '../../../src/auth/realm.ts';

describe('GHSA-xf85-363p-868w: checkRealm', () => {
  const accepts = (realm: string, origin: string, allowedHosts?: string[]): boolean => {
    try {
      checkRealm(realm, { origin: new URL(origin), allowedHosts });
      return true;
    } catch (error) {
      expect(error).toMatchObject({
        code: 'REQUEST_REFUSED',
        message: expect.stringContaining(new URL(origin).host),
      });
      return false;
    }
  };

  test.each([
    // realm, registry, accepted
    ['https://auth.example.com/token', 'https://registry.example.com', true],
    ['https://auth.docker.io/token', 'https://registry-1.docker.io', true],
    ['https://registry.example.com/token', 'https://registry.example.com', true],
    ['http://auth.example.com/token', 'http://registry.example.com', true],
    ['https://auth.example.com/token', 'http://registry.example.com', true],
    ['http://auth.example.com/token', 'https://registry.example.com', false],
    ['http://registry.example.com/token', 'https://registry.example.com', false],
    ['/token', 'https://registry.example.com', false],
    ['', 'https://registry.example.com', false],
    ['https://', 'https://registry.example.com', false],
    ['ftp://auth.example.com/', 'https://registry.example.com', false],
    ['file:///etc/passwd', 'https://registry.example.com', false],
    ['https://user:pass@auth.example.com/', 'https://registry.example.com', false],
    ['https://127.0.0.1/token', 'https://registry.example.com', false],
    ['https://localhost/token', 'https://registry.example.com', false],
    ['https://10.0.0.1/token', 'https://registry.example.com', false],
    ['https://169.254.169.254/latest/', 'https://registry.example.com', false],
    ['https://[fe80::1]/', 'https://registry.example.com', false],
    ['https://[::ffff:10.0.0.1]/', 'https://registry.example.com', false],
    ['https://0xa9fea9fe/', 'https://registry.example.com', false],
    // go-containerregistry #2285
    ['https://0.0.0.0:9999/token', 'https://registry.example.com', false],
    ['https://[::]/token', 'https://registry.example.com', false],
    // #2302: the registry's own host and port, not another port of the same host
    ['https://10.0.0.1:5000/token', 'https://10.0.0.1:5000', true],
    ['http://127.0.0.1:5000/token', 'http://127.0.0.1:5000', true],
    ['http://127.0.0.1:5001/token', 'http://127.0.0.1:5000', false],
    ['http://localhost:5000/token', 'http://127.0.0.1:5000', false],
  ])('%s for %s: %s', (realm, origin, accepted) => {
    expect(accepts(realm, origin)).toBe(accepted);
  });

  test('an inner token service may be vouched for, by exact host and port, but never over http for https', () => {
    expect(accepts('https://10.0.0.1:5001/token', 'https://10.0.0.1:5000', ['10.0.0.1:5001'])).toBe(true);
    expect(accepts('https://10.0.0.1:5002/token', 'https://10.0.0.1:5000', ['10.0.0.1:5001'])).toBe(false);
    expect(accepts('http://10.0.0.1:5001/token', 'https://10.0.0.1:5000', ['10.0.0.1:5001'])).toBe(false);
  });
});
