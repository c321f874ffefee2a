import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../src/oci/index.ts';
import { uploadBlob } from '../../../src/registry/index.ts';
import { commitUrl, resolveLocation } from '../../../src/registry/upload/location.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { startServer } from '../../support/http-server.ts';
import { blobOf, clientOf, errorOf, recordingLog } from './support.ts';
import { cancel, patch, put, start, UPLOADS } from './upload-script.ts';

// Where an upload goes on: a URL that the other side chose (facts §2b.5; GHSA-jxpm-75mh-9fp7).

const REGISTRY = new URL('https://registry.example.com');
const BASE = new URL(`https://registry.example.com${UPLOADS}`);
const DIGEST = digestOf('x');

function resolve(location: string | undefined, origin = REGISTRY, base = new URL(UPLOADS, origin)) {
  const log = recordingLog();
  const { url, foreign } = resolveLocation(location, base, origin, log);
  return { href: url.href, foreign, warnings: log.warnings };
}

describe('a Location of the registry itself', () => {
  test.each([
    ['a path', `${UPLOADS}1?_state=x`, `https://registry.example.com${UPLOADS}1?_state=x`],
    ['a relative path', '1?_state=x', `https://registry.example.com${UPLOADS}1?_state=x`],
    ['a query alone', '?_state=x', `https://registry.example.com${UPLOADS}?_state=x`],
    ['absolute', 'https://registry.example.com/up/1', 'https://registry.example.com/up/1'],
    [
      'with the port it need not name',
      'https://registry.example.com:443/up/1',
      'https://registry.example.com/up/1',
    ],
    ['in other letters', 'HTTPS://Registry.Example.COM/up/1', 'https://registry.example.com/up/1'],
    ['without a scheme', '//registry.example.com/up/1', 'https://registry.example.com/up/1'],
    ['with a fragment', '/up/1#part', 'https://registry.example.com/up/1'],
  ])('%s', (_what, location, href) => {
    expect(resolve(location)).toEqual({ href, foreign: false, warnings: [] });
  });

  test('is resolved against the URL that answered, which a redirect may have moved', () => {
    const moved = new URL('https://registry.example.com/prefix/v2/team/app/blobs/uploads/');
    expect(resolve('1', REGISTRY, moved).href).toBe(`${moved.href}1`);
  });

  test('that names a dropped :443 belongs to a registry that was given with it', () => {
    const origin = new URL('https://registry.example.com:443');
    expect(resolve('https://registry.example.com/up/1', origin).foreign).toBe(false);
  });
});

describe('http from an https registry: the proxy that ends TLS did not tell (distribution #2225)', () => {
  test.each([
    ['the same host', 'http://registry.example.com/up/1?s=a%2Fb'],
    ['and the port of http', 'http://registry.example.com:80/up/1?s=a%2Fb'],
    ['and a port behind the proxy', 'http://registry.example.com:5000/up/1?s=a%2Fb'],
  ])('%s: https at the registry, with a warning', (_what, location) => {
    const { href, foreign, warnings } = resolve(location);
    expect(href).toBe('https://registry.example.com/up/1?s=a%2Fb');
    expect(foreign).toBe(false);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('X-Forwarded-Proto');
  });

  test('a registry at a port of its own keeps it', () => {
    const origin = new URL('https://registry.example.com:8443');
    expect(resolve('http://registry.example.com/up/1', origin).href).toBe(
      'https://registry.example.com:8443/up/1',
    );
    expect(resolve('http://registry.example.com:5000//up', origin).href).toBe(
      'https://registry.example.com:8443//up',
    );
  });

  test('the bytes and the credentials go over TLS', async () => {
    const blob = blobOf('hello');
    const authority = await makeAuthority();
    const pair = await authority.issue(['127.0.0.1']);
    const challenge = { 'www-authenticate': 'Basic realm="r"' };
    const server = await startServer(
      (origin) => [
        {
          expect: { method: 'POST', path: UPLOADS, headers: { authorization: null } },
          reply: { status: 401, headers: challenge },
        },
        start(`${origin.replace('https:', 'http:')}${UPLOADS}1`),
        {
          expect: { method: 'PUT', path: /uploads\/1/, headers: { authorization: /^Basic / }, body: 'hello' },
          reply: { status: 201 },
        },
      ],
      { tls: pair },
    );
    const log = recordingLog();
    const client = await clientOf(server.origin.href, {
      tls: { ca: [authority.cert] },
      credential: { username: 'u', password: 'p' },
      log,
    });
    await uploadBlob(client, 'team/app', blob);
    expect(log.warnings).toHaveLength(1);
  });
});

describe('a Location elsewhere', () => {
  test.each([
    ['another host', 'https://storage.example.net/bucket?X-Sig=a%2Fb'],
    ['a host that begins alike', 'https://registry.example.com.evil.example/up'],
    ['another port of the host', 'https://registry.example.com:8443/up'],
    ['a public address', 'https://93.184.216.34/up'],
  ])('%s is foreign', (_what, location) => {
    expect(resolve(location)).toEqual({ href: location, foreign: true, warnings: [] });
  });

  test.each([
    ['loopback', 'https://127.0.0.1/up', 'loopback'],
    ['loopback by name', 'https://localhost:8443/up', 'loopback'],
    ['loopback in IPv6', 'https://[::1]/up', 'loopback'],
    ['loopback, spelled otherwise', 'https://2130706433/up', 'loopback'],
    ['loopback, mapped', 'https://[::ffff:127.0.0.1]/up', 'loopback'],
    ['a private network', 'https://10.1.2.3/up', 'private'],
    ['a private network in IPv6', 'https://[fd00::1]/up', 'private'],
    ["a cloud's metadata", 'https://169.254.169.254/latest', 'link-local'],
    ['no address', 'https://0.0.0.0/up', 'unspecified'],
    ['http at another host', 'http://storage.example.net/up', 'https to http'],
    ['http at a private one', 'http://10.1.2.3/up', 'https to http'],
    ['a file', 'file:///etc/passwd', 'scheme'],
    ['data', 'data:text/plain,x', 'scheme'],
    ['ftp', 'ftp://registry.example.com/up', 'scheme'],
  ])('%s is refused', (_what, location, why) => {
    expect(() => resolve(location)).toThrow(expect.objectContaining({ code: 'REDIRECT_REFUSED' }));
    expect(() => resolve(location)).toThrow(why);
  });

  test.each([undefined, '', 'https://', 'http://[::1', 'https://registry.example.com:99999/up'])(
    '%j is none',
    (location) => {
      expect(() => resolve(location)).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
    },
  );

  test('a registry at a private address may name its own address and nobody else near it', () => {
    const origin = new URL('http://10.0.0.5:5000');
    expect(resolve('http://10.0.0.5:5000/up', origin).foreign).toBe(false);
    expect(resolve('http://10.0.0.5:9000/up', origin).foreign).toBe(true);
    expect(() => resolve('http://10.0.0.6:5000/up', origin)).toThrow(/private/);
    expect(() => resolve('http://127.0.0.1:5000/up', origin)).toThrow(/loopback/);
  });

  test('whatever it is, it is resolved or refused by a RegopsError, and never trusted at another origin', () => {
    const location = fc.oneof(
      fc.string(),
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
      fc.webPath(),
      fc
        .tuple(fc.constantFrom('http://', 'https://', '//', 'ws://'), fc.ipV4(), fc.webPath())
        .map((p) => p.join('')),
    );
    fc.assert(
      fc.property(
        location,
        fc.constantFrom('https://registry.example.com', 'http://127.0.0.1:5000'),
        (text, at) => {
          const origin = new URL(at);
          try {
            const { href, foreign } = resolve(text, origin);
            expect(foreign).toBe(new URL(href).origin !== origin.origin);
            if (origin.protocol === 'https:') expect(href).toMatch(/^https:/);
          } catch (error) {
            expect(['REDIRECT_REFUSED', 'PROTOCOL_VIOLATION']).toContain((error as { code?: string }).code);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('a session that has left the registry', () => {
  const credential = { username: 'u', password: 'p' };
  const opening = (location: string) => [
    {
      expect: { method: 'POST', path: UPLOADS, headers: { authorization: null } },
      reply: { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } },
    },
    { ...start(location), expect: { method: 'POST', path: UPLOADS, headers: { authorization: /^Basic / } } },
  ];
  const plain = { headers: { authorization: null, cookie: null } } as const;

  test('takes no credentials along, with chunks, commit or cancel', async () => {
    const storage = await startServer([
      { expect: { method: 'PATCH', path: '/store?sig=x', ...plain }, reply: { status: 202 } },
      { expect: { method: 'PATCH', path: '/store?sig=x', ...plain }, reply: { status: 403 } },
      { expect: { method: 'DELETE', path: '/store?sig=x', ...plain }, reply: { status: 204 } },
    ]);
    const server = await startServer(opening(`${storage.origin.origin}/store?sig=x`));
    const client = await clientOf(server.origin.href, { credential });
    const error = await errorOf(uploadBlob(client, 'team/app', blobOf(15), { chunkSize: 10 }));
    expect(error.code).toBe('PERMISSION_DENIED');
  });

  test('does not answer a challenge from there (go-containerregistry #2349)', async () => {
    const storage = await startServer([
      {
        expect: { method: 'PUT', path: /store/, ...plain },
        reply: { status: 401, headers: { 'www-authenticate': 'Basic realm="give"' } },
      },
      { expect: { method: 'DELETE', path: /store/, ...plain }, reply: { status: 204 } },
    ]);
    const server = await startServer(opening(`${storage.origin.origin}/store`));
    const client = await clientOf(server.origin.href, { credential });
    expect(await errorOf(uploadBlob(client, 'team/app', blobOf(5)))).toMatchObject({
      code: 'AUTHENTICATION_FAILED',
    });
  });

  test('stays without them when it is led back: another server must not choose what is done at the registry', async () => {
    const back = { location: '' };
    const storage = await startServer([
      { expect: { method: 'PATCH', path: '/store', ...plain }, reply: { status: 202, headers: back } },
    ]);
    const server = await startServer([
      ...opening(`${storage.origin.origin}/store`),
      { expect: { method: 'PATCH', path: /manifests\/latest/, ...plain }, reply: { status: 401 } },
      { expect: { method: 'DELETE', path: /manifests\/latest/, ...plain }, reply: { status: 401 } },
    ]);
    back.location = `${server.origin.origin}/v2/team/app/manifests/latest`;
    const client = await clientOf(server.origin.href, { credential });
    expect(await errorOf(uploadBlob(client, 'team/app', blobOf(15), { chunkSize: 10 }))).toMatchObject({
      code: 'AUTHENTICATION_FAILED',
    });
  });

  test('shows no client certificate', async () => {
    const authority = await makeAuthority();
    const pair = await authority.issue(['127.0.0.1']);
    const tls = { ...pair, ca: authority.cert, requestCert: true, rejectUnauthorized: false };
    const storage = await startServer([put({ status: 201 }, /store\?digest=/)], { tls });
    const server = await startServer([start(`${storage.origin.origin}/store`)], { tls });
    const client = await clientOf(server.origin.href, {
      tls: { ca: [authority.cert], clientCertificate: await authority.issue(['client']) },
    });
    await uploadBlob(client, 'team/app', blobOf(5));
    expect(server.requests.map(({ clientCertificate }) => clientCertificate)).toEqual([true]);
    expect(storage.requests.map(({ clientCertificate }) => clientCertificate)).toEqual([false]);
  });
});

test('the newest Location counts, and a bad one ends the upload', async () => {
  const server = await startServer([
    start(),
    patch({ status: 202, headers: { location: 'https://10.0.0.1/up' } }, '0-9'),
    cancel(),
  ]);
  const client = await clientOf(server.origin.href);
  expect(await errorOf(uploadBlob(client, 'team/app', blobOf(15), { chunkSize: 10 }))).toMatchObject({
    code: 'REDIRECT_REFUSED',
  });
});

describe('the URL of the commit', () => {
  const ending = `digest=${encodeURIComponent(DIGEST)}`;

  test.each([
    ['/up/1', `/up/1?${ending}`],
    ['/up/1?', `/up/1?${ending}`],
    ['/up/1?_state=a%2Bb+c==&b&a=2', `/up/1?_state=a%2Bb+c==&b&a=2&${ending}`],
    ['/up/1?a=1&', `/up/1?a=1&&${ending}`],
    ['/up/1?sig=%e4%E4', `/up/1?sig=%e4%E4&${ending}`],
  ])('%s', (location, expected) => {
    expect(commitUrl(new URL(location, REGISTRY), DIGEST).href).toBe(`${REGISTRY.origin}${expected}`);
  });

  test('keeps every query byte for byte, sorted or not, escaped or not', () => {
    // RFC 3986 3.4; without the apostrophe, which the URL standard writes as %27.
    const letters = [...'abzAZ09-._~!$&()*+,;=:@/?'];
    const part = fc.oneof(
      fc.constantFrom(...letters),
      fc.constantFrom('%2B', '%2f', '%E4', '%e4', '%25', '%00'),
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 60 }), (parts) => {
        const query = parts.join('');
        const { url } = resolveLocation(`/up/1?${query}`, BASE, REGISTRY, recordingLog());
        const commit = commitUrl(url, DIGEST);
        expect(commit.href).toBe(`${REGISTRY.origin}/up/1?${query}&${ending}`);
        expect(commit.searchParams.getAll('digest').at(-1)).toBe(DIGEST);
      }),
      { numRuns: 500 },
    );
  });
});
