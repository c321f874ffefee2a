import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classifyHost, isLoopbackHost } from '../../../src/http/index.ts';

describe('classifyHost', () => {
  test.each([
    ['registry.example.com', 'public'],
    ['localhost.example.com', 'public'],
    ['8.8.8.8', 'public'],
    ['[2001:4860:4860::8888]', 'public'],
    ['172.32.0.1', 'public'],
    ['localhost', 'loopback'],
    ['LOCALHOST', 'loopback'],
    ['localhost.', 'loopback'],
    ['registry.localhost', 'loopback'],
    ['127.0.0.1', 'loopback'],
    ['127.255.0.9', 'loopback'],
    ['127.0.0.1.', 'loopback'],
    ['[::1]', 'loopback'],
    ['::1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['100.100.100.200', 'private'],
    ['[fd00:ec2::254]', 'private'],
    ['169.254.169.254', 'link-local'],
    ['[fe80::1]', 'link-local'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['[::]', 'unspecified'],
  ])('%s is %s', (host, expected) => {
    expect(classifyHost(host)).toBe(expected);
  });

  test.each([
    ['2130706433', 'loopback'],
    ['0x7f.1', 'loopback'],
    ['0177.0.0.1', 'loopback'],
    ['127.1', 'loopback'],
    ['0', 'unspecified'],
    ['0xa9fea9fe', 'link-local'],
    ['[::ffff:127.0.0.1]', 'loopback'],
    ['[::ffff:7f00:1]', 'loopback'],
    ['[::ffff:0a00:0001]', 'private'],
    ['[0:0:0:0:0:ffff:a9fe:a9fe]', 'link-local'],
    ['[::127.0.0.1]', 'loopback'],
    ['[64:ff9b::10.0.0.1]', 'private'],
  ])('sees through the spelling %s (%s)', (host, expected) => {
    expect(classifyHost(host)).toBe(expected);
  });

  test('never throws, and every address of 10/8 is private in every spelling', () => {
    fc.assert(fc.property(fc.string(), (host) => typeof classifyHost(host) === 'string'));
    fc.assert(
      fc.property(fc.nat(0xff_ffff), (low) => {
        const address = 0x0a00_0000 + low;
        const dotted = [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
        for (const spelling of [dotted, String(address), `0x${address.toString(16)}`, `[::ffff:${dotted}]`]) {
          expect(classifyHost(spelling)).toBe('private');
        }
      }),
    );
  });
});

test('isLoopbackHost is about this machine only', () => {
  expect(['localhost', 'a.localhost', '127.0.0.1', '::1'].every(isLoopbackHost)).toBe(true);
  expect(['10.0.0.1', 'example.com', '0.0.0.0', ''].some(isLoopbackHost)).toBe(false);
});
