import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { chooseProxy, createAgent } from '../../../src/http/index.ts';
import { makeAuthority, type Pair } from '../../support/http-certificates.ts';
import { startServer } from '../../support/http-server.ts';

describe('chooseProxy', () => {
  const proxies = { httpProxy: 'http://plain:1', httpsProxy: 'secure:2' };
  const chosen = (url: string, noProxy = ''): string | undefined =>
    chooseProxy(new URL(url), { ...proxies, noProxy })?.href;

  test('goes by the scheme of the URL, and reads a proxy without a scheme as http', () => {
    expect(chosen('http://registry.example.com')).toBe('http://plain:1/');
    expect(chosen('https://registry.example.com')).toBe('http://secure:2/');
    expect(chooseProxy(new URL('https://a.example.com'), {})).toBeUndefined();
    expect(chooseProxy(new URL('https://a.example.com'), { httpsProxy: ' ' })).toBeUndefined();
  });

  test.each(['localhost', 'x.localhost', '127.0.0.1', '[::1]'])('%s is never proxied', (host) => {
    expect(chosen(`http://${host}:5000/`)).toBeUndefined();
  });

  test.each([
    ['example.com', 'https://example.com', true],
    ['example.com', 'https://registry.example.com', true],
    ['EXAMPLE.com', 'https://registry.Example.COM', true],
    ['example.com', 'https://badexample.com', false],
    ['.example.com', 'https://registry.example.com', true],
    ['.example.com', 'https://example.com', false],
    ['*.example.com', 'https://registry.example.com', true],
    ['*.example.com', 'https://example.com', false],
    ['a.org, example.com', 'https://example.com', true],
    ['a.org example.com', 'https://example.com', true],
    ['*', 'https://anything.example.com', true],
    ['example.com:5000', 'https://example.com:5000', true],
    ['example.com:5000', 'https://example.com', false],
    ['example.com:443', 'https://example.com', true],
    ['example.com:80', 'http://example.com', true],
    ['10.0.0.1', 'https://10.0.0.1', true],
    ['10.0.0.1', 'https://10.0.0.10', false],
    ['0.0.0.1', 'https://10.0.0.0.1.example.com', false],
    ['10.0.0.0/8', 'https://10.9.8.7', true],
    ['10.0.0.0/8', 'https://11.0.0.1', false],
    ['10.0.0.0/8', 'https://example.com', false],
    ['fd00::/8', 'https://[fd12::1]', true],
    ['[fd12::1]:5000', 'https://[fd12::1]:5000', true],
    ['fd12::1', 'https://[fd12::1]', true],
    ['10.0.0.0/99', 'https://10.0.0.1', false],
    ['/', 'https://10.0.0.1', false],
    [',, ', 'https://example.com', false],
  ])('NO_PROXY=%s and %s: direct is %s', (noProxy, url, direct) => {
    expect(chosen(url, noProxy) === undefined).toBe(direct);
  });

  test.each(['socks5://proxy:1080', 'http://', 'ftp://x', 'http://u:100%@proxy'])(
    '%s is CONFIG_INVALID',
    (httpsProxy) => {
      expect(() => chooseProxy(new URL('https://example.com'), { httpsProxy })).toThrow(
        expect.objectContaining({ code: 'CONFIG_INVALID' }),
      );
    },
  );
});

interface Proxy {
  readonly url: string;
  readonly seen: { method: string; target: string; headers: IncomingHttpHeaders; certificate: boolean }[];
}

/** A proxy that takes every CONNECT to one port of loopback, and answers plain requests itself. */
async function startProxy(
  options: { port?: number; status?: number; tls?: Pair; ca?: string } = {},
): Promise<Proxy> {
  const { status = 200 } = options;
  const server = options.tls
    ? createTlsServer({
        ...options.tls,
        ...(options.ca ? { ca: options.ca } : {}),
        requestCert: true,
        rejectUnauthorized: false,
      })
    : createServer();
  const seen: Proxy['seen'] = [];
  const note = (request: import('node:http').IncomingMessage): void => {
    seen.push({
      method: request.method ?? '',
      target: request.url ?? '',
      headers: request.headers,
      certificate: (request.socket as { authorized?: boolean }).authorized === true,
    });
  };
  server.on('request', (request, response) => {
    note(request);
    response.writeHead(status).end('by proxy');
  });
  server.on('connect', (request, socket) => {
    note(request);
    socket.on('error', () => {});
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
      return;
    }
    const onward = connect(options.port ?? 0, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    seen,
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
}

function agentFor(...args: Parameters<typeof createAgent>): ReturnType<typeof createAgent>['send'] {
  const agent = createAgent(...args);
  onTestFinished(() => agent.close());
  return agent.send;
}

describe('an agent behind a proxy', () => {
  test('sends http requests to it with their whole URL and its own credentials', async () => {
    const proxy = await startProxy();
    const url = new URL('http://registry.example.com:5000/v2/?n=1');
    const httpProxy = proxy.url.replace('//', '//user:p%40ss@');
    const send = agentFor({ boundOrigin: url, timeoutMs: 5000, proxy: { httpProxy } });
    const response = await send({ method: 'GET', url });
    expect(await text(response.body)).toBe('by proxy');
    expect(proxy.seen).toMatchObject([
      {
        method: 'GET',
        target: 'http://registry.example.com:5000/v2/?n=1',
        headers: {
          host: 'registry.example.com:5000',
          'proxy-authorization': `Basic ${Buffer.from('user:p@ss').toString('base64')}`,
        },
      },
    ]);
  });

  test('reaches https through a tunnel; the proxy learns host and port alone', async () => {
    const authority = await makeAuthority();
    const registry = await startServer(
      [{ expect: { path: '/v2/', headers: { 'proxy-authorization': null } }, reply: { body: 'ok' } }],
      {
        tls: await authority.issue(['registry.example.com']),
      },
    );
    const proxy = await startProxy({ port: registry.port });
    const url = new URL('https://registry.example.com/v2/');
    const send = agentFor({
      boundOrigin: url,
      timeoutMs: 5000,
      tls: { ca: [authority.cert] },
      proxy: { httpsProxy: proxy.url.replace('//', '//user@') },
    });
    const response = await send({ method: 'GET', url, headers: { authorization: 'Basic secret' } });
    expect(await text(response.body)).toBe('ok');
    expect(proxy.seen).toMatchObject([{ method: 'CONNECT', target: 'registry.example.com:443' }]);
    expect(proxy.seen[0]?.headers).not.toHaveProperty('authorization');
    expect(proxy.seen[0]?.headers).toHaveProperty('proxy-authorization');
  });

  test('GHSA-h3wm-jjqf-8jm2: an https proxy sees no client certificate and is not covered by insecure', async () => {
    const authority = await makeAuthority();
    const clientCertificate = await authority.issue(['client']);
    const registry = await startServer([{ expect: { path: '/' }, reply: {} }], {
      tls: {
        ...(await authority.issue(['registry.example.com'])),
        ca: authority.cert,
        requestCert: true,
        rejectUnauthorized: false,
      },
    });
    const proxy = await startProxy({
      port: registry.port,
      tls: await authority.issue(['127.0.0.1']),
      ca: authority.cert,
    });
    const url = new URL('https://registry.example.com/');
    const common = { boundOrigin: url, timeoutMs: 5000, insecure: true, proxy: { httpsProxy: proxy.url } };
    const send = agentFor({ ...common, tls: { ca: [authority.cert], clientCertificate } });
    await send({ method: 'GET', url });
    expect(proxy.seen.map(({ certificate }) => certificate)).toEqual([false]);
    expect(registry.requests.map((request) => request.clientCertificate)).toEqual([true]);

    const untrusting = agentFor(common);
    await expect(untrusting({ method: 'GET', url })).rejects.toMatchObject({
      code: 'PROXY_FAILED',
      message: expect.stringContaining('unknown certificate authority'),
    });
  });

  test.each([
    ['https', 407, 'user name'],
    ['https', 503, 'NO_PROXY'],
    ['http', 407, 'user name'],
  ])('a proxy that refuses %s with %i is PROXY_FAILED', async (scheme, status, hint) => {
    const proxy = await startProxy({ status });
    const url = new URL(`${scheme}://registry.example.com/`);
    const send = agentFor({
      boundOrigin: url,
      timeoutMs: 5000,
      proxy: { httpProxy: proxy.url, httpsProxy: proxy.url },
    });
    await expect(send({ method: 'GET', url })).rejects.toMatchObject({
      code: 'PROXY_FAILED',
      message: expect.stringContaining(String(status)),
      hints: [expect.stringContaining(hint)],
      details: { status },
    });
  });

  test.each(['http', 'https'])(
    'a proxy that is not there (%s) is PROXY_FAILED, without its password',
    async (scheme) => {
      const closed = createServer().listen(0, '127.0.0.1');
      await once(closed, 'listening');
      const proxy = `http://user:secret@127.0.0.1:${(closed.address() as AddressInfo).port}`;
      closed.close();
      await once(closed, 'close');
      const url = new URL(`${scheme}://registry.example.com/`);
      const send = agentFor({
        boundOrigin: url,
        timeoutMs: 5000,
        proxy: { httpProxy: proxy, httpsProxy: proxy },
      });
      const error = await send({ method: 'GET', url }).catch((thrown: Error) => thrown);
      expect(error).toMatchObject({ code: 'PROXY_FAILED', details: { sent: false, errno: 'ECONNREFUSED' } });
      expect((error as Error).message).toContain('connection refused');
      expect((error as Error).message).not.toContain('secret');
    },
  );

  test('a proxy that never answers is PROXY_FAILED in time, and an abort does not wait for it', async () => {
    const silent = createServer().on('connect', (_, socket) => socket.on('error', () => {}));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => {
      silent.close();
    });
    const proxy = { httpsProxy: `127.0.0.1:${(silent.address() as AddressInfo).port}` };
    const url = new URL('https://registry.example.com/');
    const hasty = agentFor({ boundOrigin: url, timeoutMs: 50, proxy });
    await expect(hasty({ method: 'GET', url })).rejects.toMatchObject({ code: 'PROXY_FAILED' });
    const patient = agentFor({ boundOrigin: url, timeoutMs: 60_000, proxy });
    const signal = AbortSignal.timeout(20);
    await expect(patient({ method: 'GET', url, signal })).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});
