import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type AgentOptions,
  createAgent,
  discardBody,
  type HttpRequest,
  type HttpResponse,
  readBody,
} from '../../../src/http/index.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { startServer } from '../../support/http-server.ts';

/** Sends one request through an agent of its own, which is closed when the test ends. */
async function send(
  request: Partial<HttpRequest> & { url: URL },
  options: Partial<AgentOptions> = {},
): Promise<HttpResponse> {
  return agentFor(request.url, options)({ method: 'GET', ...request });
}

function agentFor(
  origin: URL,
  options: Partial<AgentOptions> = {},
): (request: HttpRequest) => Promise<HttpResponse> {
  const agent = createAgent({ boundOrigin: origin, timeoutMs: 10_000, ...options });
  onTestFinished(() => agent.close());
  return agent.send;
}

/** A TCP server that is no HTTP server. */
async function startRawServer(onConnection: Parameters<typeof createServer>[1]): Promise<URL> {
  const server = createServer(onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

describe('requests and answers', () => {
  test('method, path, query, headers and bytes arrive; status, headers and body come back', async () => {
    const server = await startServer([
      {
        expect: {
          method: 'PUT',
          path: '/v2/a/manifests/1?x=%2F&y',
          headers: { 'x-own': 'yes', 'content-length': '5', 'transfer-encoding': null },
          body: 'hello',
        },
        reply: {
          status: 201,
          headers: { 'docker-content-digest': 'd', 'set-cookie': ['a=1', 'b=2'] },
          body: 'made',
        },
      },
    ]);
    const response = await send({
      method: 'PUT',
      url: server.url('/v2/a/manifests/1?x=%2F&y'),
      headers: { 'x-own': 'yes' },
      body: Buffer.from('hello'),
    });
    expect(response.status).toBe(201);
    expect(response.headers['docker-content-digest']).toBe('d');
    expect(response.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(response.url.href).toBe(server.url('/v2/a/manifests/1?x=%2F&y').href);
    expect(response.foreign).toBe(false);
    expect(await text(response.body)).toBe('made');
  });

  test('user info in a URL is not sent', async () => {
    const server = await startServer([
      { expect: { path: '/', headers: { authorization: null } }, reply: {} },
    ]);
    const url = server.url('/');
    url.username = 'user';
    url.password = 'secret';
    expect((await send({ url })).status).toBe(200);
  });

  test('a recipe of known size has a Content-Length, one of unknown size goes chunked', async () => {
    const server = await startServer([
      {
        expect: {
          method: 'PATCH',
          path: '/sized',
          headers: { 'content-length': '6', 'transfer-encoding': null },
          body: 'abcdef',
        },
        reply: { status: 202 },
      },
      {
        expect: {
          method: 'PATCH',
          path: '/open',
          headers: { 'transfer-encoding': 'chunked' },
          body: 'abcdef',
        },
        reply: { status: 202 },
      },
    ]);
    const send = agentFor(server.origin);
    const open = (): Readable => Readable.from([Buffer.from('abc'), Buffer.from('def')]);
    for (const [path, body] of [
      ['/sized', { size: 6, open }],
      ['/open', { open }],
    ] as const) {
      const response = await send({ method: 'PATCH', url: server.url(path), body });
      expect(response.status).toBe(202);
      await discardBody(response);
    }
  });

  test.each([
    ['fewer', 10, 'SIZE_MISMATCH'],
    ['more', 3, 'SIZE_MISMATCH'],
  ])('a recipe that gives %s bytes than promised fails the request', async (_, size, code) => {
    const origin = await startRawServer((socket) => socket.on('error', () => {}).resume());
    const body = { size, open: () => Readable.from([Buffer.from('abc'), Buffer.from('def')]) };
    await expect(send({ method: 'PUT', url: origin, body })).rejects.toMatchObject({ code });
  });

  test('a recipe that cannot be read is IO_FAILED, with the reason', async () => {
    const origin = await startRawServer((socket) => socket.on('error', () => {}).resume());
    const broken = (): Readable =>
      new Readable({
        read() {
          this.destroy(new Error('disk on fire'));
        },
      });
    const expected = { code: 'IO_FAILED', message: expect.stringContaining('disk on fire') };
    await expect(send({ method: 'PUT', url: origin, body: { size: 3, open: broken } })).rejects.toMatchObject(
      expected,
    );
    const unopened = { open: () => Promise.reject(new Error('disk on fire')) };
    await expect(send({ method: 'PUT', url: origin, body: unopened })).rejects.toMatchObject(expected);
  });

  test('a redirect is given back as it is', async () => {
    const server = await startServer([
      { expect: { path: '/' }, reply: { status: 307, headers: { location: '/elsewhere' } } },
    ]);
    expect((await send({ url: server.url('/') })).status).toBe(307);
  });

  test('connections are kept, also after HEAD', async () => {
    const server = await startServer([
      { expect: { method: 'HEAD', path: '/a' }, reply: { headers: { 'content-length': '1000' } }, times: 3 },
      { expect: { path: '/b' }, reply: { body: 'b' } },
    ]);
    const send = agentFor(server.origin, { connections: 1 });
    for (let i = 0; i < 3; i++) await discardBody(await send({ method: 'HEAD', url: server.url('/a') }));
    await discardBody(await send({ method: 'GET', url: server.url('/b') }));
    expect(new Set(server.requests.map(({ connection }) => connection)).size).toBe(1);
  });

  test('an origin gets no more connections than allowed', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { body: 'x' }, times: 12 }]);
    const send = agentFor(server.origin, { connections: 2 });
    await Promise.all(
      Array.from({ length: 12 }, async () =>
        discardBody(await send({ method: 'GET', url: server.url('/') })),
      ),
    );
    expect(Math.max(...server.requests.map(({ connection }) => connection))).toBeLessThanOrEqual(2);
  });

  test('an answer from another origin than the bound one is marked foreign', async () => {
    const [registry, storage] = [
      await startServer([]),
      await startServer([{ expect: { path: '/' }, reply: {} }]),
    ];
    const response = await agentFor(registry.origin)({ method: 'GET', url: storage.url('/') });
    expect(response.foreign).toBe(true);
  });
});

describe('failures of the network', () => {
  test('a closed port is CONNECTION_FAILED, and nothing was sent', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const url = new URL(`http://127.0.0.1:${(closed.address() as AddressInfo).port}`);
    closed.close();
    await once(closed, 'close');
    await expect(send({ url })).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: `${url.host}: connection refused`,
      details: { sent: false, errno: 'ECONNREFUSED' },
    });
  });

  test('an unknown name is NAME_NOT_RESOLVED', async () => {
    await expect(send({ url: new URL('http://no-such-host.invalid/') })).rejects.toMatchObject({
      code: 'NAME_NOT_RESOLVED',
      details: { sent: false },
    });
  });

  test('a connection cut before the head is CONNECTION_FAILED, and the request may have arrived', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { fault: 'cut' } }]);
    await expect(send({ url: server.url('/') })).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      details: { sent: true },
    });
  });

  test('a connection cut inside the body fails the body', async () => {
    const server = await startServer([
      { expect: { path: '/' }, reply: { body: 'x'.repeat(1000), fault: 'cut-body' } },
    ]);
    const response = await send({ url: server.url('/') });
    await expect(readBody(response, 5000, 'document')).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  test('no answer, and an answer that stops, are TIMED_OUT', async () => {
    const server = await startServer([
      { expect: { path: '/silent' }, reply: { fault: 'silence' } },
      { expect: { path: '/stalled' }, reply: { body: 'x'.repeat(1000), fault: 'stall-body' } },
    ]);
    const send = agentFor(server.origin, { timeoutMs: 50 });
    await expect(send({ method: 'GET', url: server.url('/silent') })).rejects.toMatchObject({
      code: 'TIMED_OUT',
    });
    const response = await send({ method: 'GET', url: server.url('/stalled') });
    await expect(readBody(response, 5000, 'document')).rejects.toMatchObject({ code: 'TIMED_OUT' });
  });

  test('a request may be given more time for its answer', async () => {
    const origin = await startRawServer((socket) => {
      socket.once('data', () => setTimeout(() => socket.end('HTTP/1.1 204 No Content\r\n\r\n'), 300));
    });
    const send = agentFor(origin, { timeoutMs: 100 });
    expect((await send({ method: 'GET', url: origin, timeoutMs: 10_000 })).status).toBe(204);
  });

  test('a server that never finishes TLS is TIMED_OUT', async () => {
    const origin = await startRawServer((socket) => socket.on('error', () => {}).resume());
    await expect(send({ url: new URL(`https://${origin.host}/`) }, { timeoutMs: 100 })).rejects.toMatchObject(
      {
        code: 'TIMED_OUT',
        details: { sent: false },
      },
    );
  });

  test('an answer that is not HTTP is PROTOCOL_VIOLATION', async () => {
    const origin = await startRawServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
    await expect(send({ url: origin })).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
  });

  test('a header larger than 32 KiB is RESPONSE_TOO_LARGE', async () => {
    const origin = await startRawServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`));
    });
    await expect(send({ url: origin })).rejects.toMatchObject({ code: 'RESPONSE_TOO_LARGE' });
  });

  test('interim answers without end are PROTOCOL_VIOLATION, a few are passed over', async () => {
    const hint = 'HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n';
    const answer = (interim: number) =>
      startRawServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () =>
          socket.end(`${hint.repeat(interim)}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`),
        );
      });
    expect((await send({ url: await answer(20) })).status).toBe(200);
    await expect(send({ url: await answer(21) })).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
  });

  test('a status of zero is PROTOCOL_VIOLATION', async () => {
    const origin = await startRawServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end('HTTP/1.1 000 X\r\ncontent-length: 0\r\n\r\n'));
    });
    await expect(send({ url: origin })).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
  });

  test('a header that would smuggle a line is REQUEST_REFUSED', async () => {
    const server = await startServer([]);
    const headers = { 'x-own': 'a\r\nx-other: b' };
    await expect(send({ url: server.url('/'), headers })).rejects.toMatchObject({ code: 'REQUEST_REFUSED' });
  });
});

describe('abort', () => {
  test('ends a request that waits for its answer, at once and with INTERRUPTED', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { fault: 'silence' } }]);
    const controller = new AbortController();
    const sending = expect(send({ url: server.url('/'), signal: controller.signal }));
    await expect.poll(() => server.requests.length).toBe(1);
    controller.abort();
    await sending.rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  test('ends a request whose connection does not come about', async () => {
    const origin = await startRawServer((socket) => socket.on('error', () => {}).resume());
    const controller = new AbortController();
    const sending = send({ url: new URL(`https://${origin.host}/`), signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(sending).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  test('before there is a connection closes what was opened to be sent', async () => {
    const origin = await startRawServer((socket) => socket.on('error', () => {}).resume());
    const source = Readable.from([Buffer.from('x')]);
    const sending = send({
      method: 'PUT',
      url: new URL(`https://${origin.host}/`),
      body: { open: () => source },
      signal: AbortSignal.timeout(20),
    });
    await expect(sending).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await expect.poll(() => source.destroyed).toBe(true);
  });

  test('ends a body, and its connection', async () => {
    const server = await startServer([
      { expect: { path: '/' }, reply: { body: 'x'.repeat(1000), fault: 'stall-body' } },
    ]);
    const controller = new AbortController();
    const response = await send({ url: server.url('/'), signal: controller.signal });
    const reading = readBody(response, 5000, 'document');
    controller.abort();
    await expect(reading).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await expect.poll(() => server.connections).toBe(0);
  });

  test('ends an upload and closes its source', async () => {
    const origin = await startRawServer((socket) => socket.on('error', () => {}));
    const controller = new AbortController();
    const source = new Readable({
      read() {
        this.push(Buffer.alloc(64 * 1024));
      },
    });
    const sending = send({
      method: 'PUT',
      url: origin,
      body: { open: () => source },
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 20);
    await expect(sending).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await expect.poll(() => source.destroyed).toBe(true);
  });

  test('before the request is INTERRUPTED too', async () => {
    const server = await startServer([]);
    await expect(send({ url: server.url('/'), signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
  });
});

describe('TLS', () => {
  test('a server signed by the given authority is trusted, also on a second connection', async () => {
    const authority = await makeAuthority();
    const server = await startServer([{ expect: { path: '/' }, reply: { body: 'ok' }, times: 2 }], {
      tls: await authority.issue(['127.0.0.1', 'localhost']),
    });
    const send = agentFor(server.origin, { tls: { ca: [authority.cert] } });
    expect((await send({ method: 'GET', url: server.url('/') })).status).toBe(200);
    const byName = new URL(`https://localhost:${server.port}/`);
    expect((await send({ method: 'GET', url: byName })).status).toBe(200);
  });

  test.each([
    ['unknown authority', ['127.0.0.1'], {}, /unknown certificate authority/, '--ca-file'],
    ['expired', ['127.0.0.1'], { expired: true }, /has expired/, 'clock'],
    ['another host', ['registry.example.com'], {}, /another host name .*registry\.example\.com/, 'name'],
  ])(
    'a certificate that is not good (%s) is TLS_UNTRUSTED and says why',
    async (name, names, options, message, hint) => {
      const authority = await makeAuthority();
      const server = await startServer([], { tls: await authority.issue(names, options) });
      const tls = name === 'unknown authority' ? {} : { ca: [authority.cert] };
      await expect(send({ url: server.url('/') }, { tls })).rejects.toMatchObject({
        code: 'TLS_UNTRUSTED',
        message: expect.stringMatching(message),
        hints: expect.arrayContaining([expect.stringContaining(hint)]),
        details: { sent: false },
      });
    },
  );

  test('a self-signed certificate is TLS_UNTRUSTED and called that', async () => {
    const authority = await makeAuthority();
    const server = await startServer([], { tls: authority });
    await expect(send({ url: server.url('/') })).rejects.toMatchObject({
      code: 'TLS_UNTRUSTED',
      message: expect.stringContaining('self-signed'),
    });
  });

  test('a plain http server behind an https URL is TLS_FAILED and hints at --plain-http', async () => {
    const server = await startServer([]);
    await expect(send({ url: new URL(`https://127.0.0.1:${server.port}/`) })).rejects.toMatchObject({
      code: 'TLS_FAILED',
      hints: [expect.stringContaining('--plain-http')],
    });
  });

  test('insecure is about the bound origin alone', async () => {
    const authority = await makeAuthority();
    const tls = await authority.issue(['127.0.0.1']);
    const registry = await startServer([{ expect: { path: '/' }, reply: {} }], { tls });
    const other = await startServer([], { tls });
    const send = agentFor(registry.origin, { insecure: true });
    expect((await send({ method: 'GET', url: registry.url('/') })).status).toBe(200);
    await expect(send({ method: 'GET', url: other.url('/') })).rejects.toMatchObject({
      code: 'TLS_UNTRUSTED',
    });
  });

  test('GHSA-h3wm-jjqf-8jm2: the client certificate is shown to the bound origin alone', async () => {
    const authority = await makeAuthority();
    const tls = {
      ...(await authority.issue(['127.0.0.1'])),
      ca: authority.cert,
      requestCert: true,
      rejectUnauthorized: false,
    };
    const registry = await startServer([{ expect: { path: '/' }, reply: {}, times: 2 }], { tls });
    const other = await startServer([{ expect: { path: '/' }, reply: {} }], { tls });
    const send = agentFor(registry.origin, {
      tls: { ca: [authority.cert], clientCertificate: await authority.issue(['client']) },
    });
    await send({ method: 'GET', url: registry.url('/') });
    await send({ method: 'GET', url: other.url('/') });
    // a path that left the registry and came back
    await send({ method: 'GET', url: registry.url('/'), foreign: true });
    expect(registry.requests.map((request) => request.clientCertificate)).toEqual([true, false]);
    expect(other.requests.map((request) => request.clientCertificate)).toEqual([false]);
  });

  test('a server that requires a client certificate is TLS_FAILED and says so', async () => {
    const authority = await makeAuthority();
    const server = await startServer([], {
      tls: {
        ...(await authority.issue(['127.0.0.1'])),
        ca: authority.cert,
        requestCert: true,
        rejectUnauthorized: true,
        // Under 1.3 node's own server closes the connection without a word.
        maxVersion: 'TLSv1.2',
      },
    });
    await expect(send({ url: server.url('/') }, { tls: { ca: [authority.cert] } })).rejects.toMatchObject({
      code: 'TLS_FAILED',
      hints: [expect.stringContaining('--cert-file')],
    });
  });
});

test('closing ends what is under way and refuses more', async () => {
  const server = await startServer([{ expect: { path: '/' }, reply: { fault: 'silence' } }]);
  const agent = createAgent({ boundOrigin: server.origin, timeoutMs: 10_000 });
  const sending = agent.send({ method: 'GET', url: server.url('/') });
  const outcome = expect(sending).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  await expect.poll(() => server.requests.length).toBe(1);
  await agent.close();
  await outcome;
  await expect(agent.send({ method: 'GET', url: server.url('/') })).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
  });
});

test('closing ends a connection that is still being made', async () => {
  let closed = false;
  const origin = await startRawServer((socket) => {
    socket.on('error', () => {}).resume();
    socket.once('close', () => {
      closed = true;
    });
  });
  const agent = createAgent({ boundOrigin: origin, timeoutMs: 60_000 });
  const sending = agent.send({ method: 'GET', url: new URL(`https://${origin.host}/`) });
  const outcome = expect(sending).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await agent.close();
  await outcome;
  await expect.poll(() => closed).toBe(true);
});
