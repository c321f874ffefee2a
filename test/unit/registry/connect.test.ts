import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import { loadTlsFiles } from '../../../src/http/index.ts';
import {
  collect,
  getManifest,
  headBlob,
  listTags,
  parseTarget,
  ping,
  uploadBlob,
} from '../../../src/registry/index.ts';
import { startTestbed, type TestbedOptions } from '../../../src/testbed/index.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { testClock } from '../../support/http-clock.ts';
import { startServer } from '../../support/http-server.ts';
import { blobOf, clientOf, errorOf, imageOf, recordingLog, store, testbedClient } from './support.ts';

// Which registry is meant, how it is reached, and what it is told about who asks.

const AUTH = { username: 'anna', password: 'hunter2-S3cr3t' };

/** A testbed under the name users write: host and port, no scheme. */
async function testbedAt(options: TestbedOptions = {}) {
  const testbed = await startTestbed(options);
  onTestFinished(() => testbed.close());
  return { ...testbed, name: `${testbed.host}:${testbed.port}` };
}

describe('what --registry-url means', () => {
  test.each<[string, string, string[]]>([
    ['registry.example.com', 'registry.example.com', ['https://registry.example.com']],
    ['registry.example.com/', 'registry.example.com', ['https://registry.example.com']],
    ['registry.example.com:5000', 'registry.example.com:5000', ['https://registry.example.com:5000']],
    ['https://registry.example.com', 'registry.example.com', ['https://registry.example.com']],
    ['https://registry.example.com:443/', 'registry.example.com', ['https://registry.example.com']],
    ['https://registry.example.com/v2/', 'registry.example.com', ['https://registry.example.com']],
    ['HTTP://Registry.example.com:80', 'registry.example.com', ['http://registry.example.com']],
    ['http://10.0.0.1:5000', '10.0.0.1:5000', ['http://10.0.0.1:5000']],
    ['10.0.0.1:5000', '10.0.0.1:5000', ['https://10.0.0.1:5000']],
    ['localhost:5000', 'localhost:5000', ['https://localhost:5000', 'http://localhost:5000']],
    ['LOCALHOST', 'LOCALHOST', ['https://localhost', 'http://localhost']],
    ['ci.localhost:5000', 'ci.localhost:5000', ['https://ci.localhost:5000', 'http://ci.localhost:5000']],
    ['127.0.0.1:5000', '127.0.0.1:5000', ['https://127.0.0.1:5000', 'http://127.0.0.1:5000']],
    ['[::1]:5000', '[::1]:5000', ['https://[::1]:5000', 'http://[::1]:5000']],
    ['https://localhost:5000', 'localhost:5000', ['https://localhost:5000']],
    ['http://localhost:5000', 'localhost:5000', ['http://localhost:5000']],
    ['docker.io', 'docker.io', ['https://registry-1.docker.io']],
    ['index.docker.io', 'docker.io', ['https://registry-1.docker.io']],
    ['https://registry-1.docker.io', 'docker.io', ['https://registry-1.docker.io']],
  ])('%s', (text, domain, origins) => {
    const target = parseTarget(text);
    expect(target.domain).toBe(domain);
    expect(target.origins.map(({ origin }) => origin)).toEqual(origins);
  });

  test('--plain-http is http, wherever no scheme says otherwise', () => {
    const at = (text: string) => parseTarget(text, { plainHttp: true }).origins.map(({ origin }) => origin);
    expect(at('registry.example.com:5000')).toEqual(['http://registry.example.com:5000']);
    expect(at('localhost:5000')).toEqual(['http://localhost:5000']);
    expect(at('http://registry.example.com')).toEqual(['http://registry.example.com']);
    expect(() => at('https://registry.example.com')).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test.each([
    ['ftp://registry.example.com', 'scheme'],
    ['oci://registry.example.com', 'scheme'],
    ['https://', 'not a URL'],
    ['https://anna:hunter2@registry.example.com', 'user name or password'],
    ['https://registry.example.com?x=1', 'query'],
    ['https://registry.example.com#x', 'fragment'],
    ['https://registry.example.com/team/app', 'path'],
    ['registry.example.com/team', 'not a registry host'],
    ['anna:hunter2@registry.example.com', 'not a registry host'],
    ['registry.example.com:99999', 'not a registry host'],
    ['registry_example', 'not a registry host'],
    ['https://registry_example', 'not a registry host'],
    ['', 'not a registry host'],
  ])('%j is refused, without its password: %s', (text, why) => {
    const error = (() => {
      try {
        return parseTarget(text);
      } catch (thrown) {
        return thrown as Error;
      }
    })();
    expect(error).toMatchObject({ kind: 'usage', message: expect.stringContaining(why) });
    expect((error as Error).message).not.toContain('hunter2');
  });

  test('of any text: bare origins, or an error for the user', () => {
    const text = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.domain(),
      fc.tuple(fc.domain(), fc.nat({ max: 70_000 })).map(([host, port]) => `${host}:${port}`),
      fc.ipV4(),
      fc.ipV6().map((address) => `[${address}]`),
    );
    fc.assert(
      fc.property(text, fc.boolean(), (written, plainHttp) => {
        try {
          const { domain, origins } = parseTarget(written, { plainHttp });
          expect(domain).not.toBe('');
          for (const url of origins) {
            expect(url.href).toBe(`${url.origin}/`);
            expect(url.protocol).toMatch(/^https?:$/);
          }
          // What was understood once is understood the same way again.
          expect(parseTarget(domain).domain).toBe(domain);
        } catch (error) {
          expect(isRegopsError(error) && error.kind).toBe('usage');
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a loopback host without a scheme', () => {
  test('is asked by https, and is http when nothing there speaks TLS', async () => {
    const { name, url } = await testbedAt();
    const client = await clientOf(name);
    expect(client.origin.origin).toBe(url);
    expect(client.domain).toBe(name);
    await ping(client);
  });

  test('stays https when TLS is spoken there', async () => {
    const { name, url, caFile } = await testbedAt({ tls: true });
    const client = await clientOf(name, { tls: await loadTlsFiles({ caFile }) });
    expect(client.origin.origin).toBe(url);
    await ping(client);
  });

  test('whose certificate is not trusted is not asked by http instead', async () => {
    const { name } = await testbedAt({ tls: true });
    const error = await errorOf(clientOf(name));
    expect(error.code).toBe('TLS_UNTRUSTED');
    expect(error.hints.join()).toContain('--ca-file');
  });

  test('that wants a client certificate speaks TLS: it is not asked by http either', async () => {
    const { name, caFile } = await testbedAt({ tls: true, clientCertificates: true });
    const error = await errorOf(clientOf(name, { tls: await loadTlsFiles({ caFile }) }));
    expect(error.code).toBe('TLS_FAILED');
    expect(error.hints.join()).toContain('--cert-file');
  });

  test('where the connection is just closed is http at once: nobody waits for repeats', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).destroy());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const clock = testClock();
    const client = await clientOf(`127.0.0.1:${(server.address() as AddressInfo).port}`, { clock });
    expect(client.origin.protocol).toBe('http:');
    expect(clock.slept).toEqual([]);
  });

  test('is asked without credentials, until it is known how to reach it', async () => {
    const authority = await makeAuthority();
    const server = await startServer(
      [
        {
          expect: { path: '/v2/', headers: { authorization: null } },
          reply: { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } },
        },
      ],
      { tls: await authority.issue(['127.0.0.1']) },
    );
    await clientOf(server.origin.host, { tls: { ca: [authority.cert] }, credential: AUTH });
    expect(server.requests).toHaveLength(1);
  });

  test('can be interrupted while it is asked', async () => {
    const server = createServer(() => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const abort = new AbortController();
    server.once('connection', (socket) => {
      onTestFinished(() => void socket.destroy());
      abort.abort();
    });
    const name = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await errorOf(clientOf(name, { signal: abort.signal }))).toMatchObject({ code: 'INTERRUPTED' });
  });

  test('with a scheme is not asked at all', async () => {
    const server = await startServer([]);
    await clientOf(server.origin.href);
    expect(server.connections).toBe(0);
  });
});

describe('TLS', () => {
  test('with its own authority', async () => {
    const { client } = await testbedClient({ tls: true });
    const blob = blobOf(1000);
    await uploadBlob(client, 'team/app', blob);
    expect(await headBlob(client, 'team/app', blob.digest)).toMatchObject({ state: 'present' });
  });

  test('without it, and with --insecure', async () => {
    const { url } = await testbedAt({ tls: true });
    expect(await errorOf(ping(await clientOf(url)))).toMatchObject({ code: 'TLS_UNTRUSTED' });
    await ping(await clientOf(url, { insecure: true }));
  });

  test('with a client certificate', async () => {
    const { url, caFile, clientCertFile, clientKeyFile } = await testbedAt({
      tls: true,
      clientCertificates: true,
    });
    const tls = await loadTlsFiles({ caFile, certFile: clientCertFile, keyFile: clientKeyFile });
    await ping(await clientOf(url, { tls }));
    const ca = [await readFile(caFile ?? '', 'utf8')];
    expect(await errorOf(ping(await clientOf(url, { tls: { ca } })))).toMatchObject({ code: 'TLS_FAILED' });
  });

  test('to a server that speaks none', async () => {
    const { port } = await testbedAt();
    const error = await errorOf(ping(await clientOf(`https://127.0.0.1:${port}`)));
    expect(error.code).toBe('TLS_FAILED');
    expect(error.hints.join()).toContain('--plain-http');
  });
});

describe('who asks', () => {
  test.each<[string, TestbedOptions]>([
    ['Basic', { auth: AUTH }],
    ['a token for a password', { auth: AUTH, tokenAuth: true }],
    ['an anonymous token', { tokenAuth: true }],
  ])('%s: push, list and pull', async (_what, options) => {
    const { client } = await testbedClient(options, options.auth ? { credential: AUTH } : {});
    await ping(client);
    await store(client, 'team/app', imageOf('one'), '1.0');
    expect(await collect(listTags(client, 'team/app'))).toEqual(['1.0']);
    expect((await getManifest(client, 'team/app', '1.0')).digest).toBe(imageOf('one').digest);
  });

  test.each<[string, TestbedOptions]>([
    ['Basic', { auth: AUTH }],
    ['token', { auth: AUTH, tokenAuth: true }],
  ])(
    'a wrong password (%s) is AUTHENTICATION_FAILED, and is not repeated anywhere',
    async (_what, options) => {
      const log = recordingLog();
      const credential = { username: 'anna', password: 'wr0ng-S3cr3t' };
      const { client } = await testbedClient(options, { credential, log });
      const error = await errorOf(uploadBlob(client, 'team/app', blobOf(5)));
      expect(error.code).toBe('AUTHENTICATION_FAILED');
      const all = [error.message, ...error.hints, ...log.traces, ...log.warnings].join('\n');
      expect(all).not.toContain('S3cr3t');
      expect(all).not.toContain(Buffer.from('anna:wr0ng-S3cr3t').toString('base64'));
    },
  );

  test('nobody, where somebody is wanted', async () => {
    const { client } = await testbedClient({ auth: AUTH });
    expect(await errorOf(ping(client))).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  });

  test('the token from --token goes as it is', async () => {
    const server = await startServer([
      {
        expect: { path: '/v2/', headers: { authorization: 'Bearer t0ken', 'user-agent': 'regops/test' } },
        reply: {},
      },
    ]);
    await ping(await clientOf(server.origin.href, { credential: { bearerToken: 't0ken' } }));
  });

  test('a token service at another inner address is refused, unless the user vouches for it', async () => {
    const service = await startServer([
      { expect: { path: /^\/token/ }, reply: { body: '{"token":"t0ken"}' } },
    ]);
    const challenge = { 'www-authenticate': `Bearer realm="${service.origin.origin}/token",service="s"` };
    const server = await startServer([
      {
        expect: { path: '/v2/', headers: { authorization: null } },
        reply: { status: 401, headers: challenge },
        times: 2,
      },
      { expect: { path: '/v2/', headers: { authorization: 'Bearer t0ken' } }, reply: {} },
    ]);
    expect(await errorOf(ping(await clientOf(server.origin.href, { credential: AUTH })))).toMatchObject({
      code: 'REQUEST_REFUSED',
    });
    await ping(
      await clientOf(server.origin.href, { credential: AUTH, allowedRealms: [service.origin.host] }),
    );
  });

  test.each([16, 1])(
    '401 without a word (Google) is explained by a ping, over %i connections',
    async (connections) => {
      const server = await startServer([
        {
          expect: { path: /tags/, headers: { authorization: null } },
          reply: { status: 401, body: 'no'.repeat(50) },
        },
        {
          expect: { path: '/v2/' },
          reply: { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } },
        },
        {
          expect: { path: /tags/, headers: { authorization: /^Basic / } },
          reply: { body: '{"tags":["1"]}' },
        },
      ]);
      const client = await clientOf(server.origin.href, { credential: AUTH, connections });
      expect(await collect(listTags(client, 'team/app'))).toEqual(['1']);
    },
  );
});

test('no more requests are under way than there are connections', async () => {
  let open = 0;
  let most = 0;
  const server = await startServer(
    [{ expect: { method: 'HEAD', path: /./ }, reply: { status: 404 }, times: 30 }],
    {
      onRequest(request) {
        most = Math.max(most, ++open);
        request.once('close', () => open--);
      },
    },
  );
  const client = await clientOf(server.origin.href, { connections: 3 });
  await Promise.all(Array.from({ length: 30 }, () => headBlob(client, 'team/app', blobOf(5).digest)));
  expect(most).toBeLessThanOrEqual(3);
  expect(server.connections).toBeLessThanOrEqual(3);
});

test('a closed client says so and does nothing', async () => {
  const server = await startServer([]);
  const client = await clientOf(server.origin.href, { retries: 0 });
  await client.close();
  expect(await errorOf(ping(client))).toMatchObject({ code: 'CONNECTION_FAILED' });
});
