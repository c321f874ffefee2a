import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type FastLane,
  type FastLaneOptions,
  type LaneRequest,
  type LaneResult,
  openFastLane,
} from '../../../src/http/index.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { startServer } from '../../support/http-server.ts';

async function laneTo(origin: URL, options: Partial<FastLaneOptions> = {}): Promise<FastLane> {
  const lane = await openFastLane({ origin, connections: 4, timeoutMs: 5000, ...options });
  onTestFinished(() => lane.close());
  return lane;
}

function ask(lane: FastLane, request: Partial<LaneRequest> = {}): Promise<LaneResult> {
  return new Promise((resolve) => {
    lane.send({ method: 'GET', path: '/', headers: [], ...request, onDone: resolve });
  });
}

const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('what is sent and what comes back', () => {
  test('method, path, headers and body go out as they are', async () => {
    const server = await startServer([
      {
        expect: {
          method: 'PUT',
          path: '/v2/app/blobs/uploads/1?digest=sha256%3Aabc',
          headers: { authorization: 'Bearer t', 'content-length': '5', connection: 'keep-alive' },
          body: 'hello',
        },
        reply: { status: 201, headers: { location: '/v2/app/blobs/x' } },
      },
    ]);
    const lane = await laneTo(server.origin);
    const result = await ask(lane, {
      method: 'PUT',
      path: '/v2/app/blobs/uploads/1?digest=sha256%3Aabc',
      headers: ['authorization', 'Bearer t'],
      body: Buffer.from('hello'),
    });
    expect(result).toMatchObject({ status: 201, bytes: 0, error: undefined });
    expect(result.headers['location']).toBe('/v2/app/blobs/x');
    expect(lane.active).toBe(0);
  });

  test('a body in parts goes out with the length it was given', async () => {
    const server = await startServer([
      {
        expect: { method: 'PATCH', path: '/', headers: { 'content-length': '6' }, body: 'abcdef' },
        reply: {},
      },
    ]);
    const parts = ['ab', 'c', 'def'].map((part) => Buffer.from(part));
    const result = await ask(await laneTo(server.origin), {
      method: 'PATCH',
      headers: ['content-length', '6'],
      body: parts,
    });
    expect(result).toMatchObject({ status: 200, error: undefined });
  });

  test('a POST without a body says so', async () => {
    const server = await startServer([
      { expect: { method: 'POST', path: '/', headers: { 'content-length': '0' } }, reply: { status: 202 } },
    ]);
    expect(await ask(await laneTo(server.origin), { method: 'POST' })).toMatchObject({ status: 202 });
  });

  test('the body is counted, hashed and kept on request only', async () => {
    const body = randomBytes(200_000);
    const server = await startServer([{ expect: { path: '/' }, reply: { body }, times: 3 }]);
    const lane = await laneTo(server.origin);
    const plain = await ask(lane);
    expect(plain).toMatchObject({ status: 200, bytes: body.length, digest: undefined, body: undefined });
    expect(plain.firstByteMs).toBeGreaterThanOrEqual(0);
    expect((await ask(lane, { hash: 'sha256' })).digest).toBe(sha256(body));
    const kept = await ask(lane, { hash: 'sha512', keep: true, maxBytes: body.length });
    expect(kept.digest).toBe(createHash('sha512').update(body).digest('hex'));
    expect(kept.body?.equals(body)).toBe(true);
  });

  test('an empty body has the digest of nothing', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: {} }]);
    const result = await ask(await laneTo(server.origin), { hash: 'sha256', keep: true });
    expect(result.digest).toBe(sha256(''));
    expect(result.body?.length).toBe(0);
  });

  test('HEAD leaves the connection open', async () => {
    const server = await startServer([
      { expect: { method: 'HEAD', path: '/' }, reply: { body: 'x' }, times: 3 },
    ]);
    const lane = await laneTo(server.origin, { connections: 1 });
    for (let i = 0; i < 3; i++)
      expect(await ask(lane, { method: 'HEAD' })).toMatchObject({ status: 200, bytes: 0 });
    expect(new Set(server.requests.map(({ connection }) => connection))).toEqual(new Set([1]));
  });

  test('redirects are given back', async () => {
    const server = await startServer([
      {
        expect: { path: '/' },
        reply: { status: 307, headers: { location: 'http://elsewhere.example.com/' } },
      },
    ]);
    const result = await ask(await laneTo(server.origin));
    expect(result).toMatchObject({ status: 307, error: undefined });
    expect(result.headers['location']).toBe('http://elsewhere.example.com/');
  });

  test('an informational answer is not the answer', async () => {
    const server = await startServer([
      {
        expect: { path: '/' },
        reply: {
          fault: {
            raw: 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\nno',
          },
        },
      },
    ]);
    expect(await ask(await laneTo(server.origin))).toMatchObject({ status: 404, bytes: 2, error: undefined });
  });
});

describe('connections', () => {
  test('no more than were asked for, and they are used again', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { body: 'x' }, times: 40 }]);
    const lane = await laneTo(server.origin, { connections: 2 });
    const results = await Promise.all(Array.from({ length: 40 }, () => ask(lane)));
    expect(results.filter(({ status }) => status === 200)).toHaveLength(40);
    expect(new Set(server.requests.map(({ connection }) => connection)).size).toBe(2);
  });

  test('the next request may be sent from the end of the last', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { body: 'xy' }, times: 200 }]);
    const lane = await laneTo(server.origin, { connections: 1 });
    const bytes = await new Promise<number>((resolve) => {
      let left = 200;
      let sum = 0;
      const next = (): void =>
        lane.send({
          method: 'GET',
          path: '/',
          headers: [],
          onDone(result) {
            sum += result.bytes;
            if (--left === 0) resolve(sum);
            else next();
          },
        });
      next();
    });
    expect(bytes).toBe(400);
    expect(new Set(server.requests.map(({ connection }) => connection)).size).toBe(1);
  });

  test('a forwarding proxy gets whole URLs and its own credentials; the server behind it gets none of them', async () => {
    const proxy = await startServer([
      {
        expect: {
          path: 'http://registry.example.com/v2/',
          headers: { host: 'registry.example.com', 'proxy-authorization': `Basic ${btoa('u:p')}` },
        },
        reply: { status: 200 },
      },
    ]);
    const lane = await laneTo(new URL('http://registry.example.com'), {
      proxy: { httpProxy: `http://u:p@127.0.0.1:${proxy.port}` },
    });
    expect(await ask(lane, { path: '/v2/' })).toMatchObject({ status: 200 });
  });
});

describe('TLS', async () => {
  const authority = await makeAuthority();
  const tls = await authority.issue(['127.0.0.1']);

  test('an unknown authority is refused, a given one trusted, and none needed on request', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: {}, times: 2 }], { tls });
    expect(await ask(await laneTo(server.origin))).toMatchObject({ status: 0, error: 'tls' });
    const ca = { tls: { ca: [authority.cert] } };
    expect(await ask(await laneTo(server.origin, ca))).toMatchObject({ status: 200, error: undefined });
    expect(await ask(await laneTo(server.origin, { insecure: true }))).toMatchObject({ status: 200 });
  });

  test('a client certificate is shown', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: {} }], {
      tls: { ...tls, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
    });
    const client = await authority.issue(['client']);
    const without = await laneTo(server.origin, { tls: { ca: [authority.cert] } });
    expect((await ask(without)).error).toBe('tls');
    const lane = await laneTo(server.origin, { tls: { ca: [authority.cert], clientCertificate: client } });
    expect(await ask(lane)).toMatchObject({ status: 200 });
    expect(server.requests[0]?.clientCertificate).toBe(true);
  });
});

describe('failures are classes', () => {
  test.each([
    ['cut before the head', { fault: 'cut' }, { status: 0, error: 'reset' }],
    ['cut in the body', { body: 'abcdef', fault: 'cut-body' }, { status: 200, error: 'truncated' }],
    ['silence', { fault: 'silence' }, { status: 0, error: 'timeout' }],
    ['silence in the body', { body: 'abcdef', fault: 'stall-body' }, { status: 200, error: 'timeout' }],
    ['not HTTP', { fault: { raw: 'SSH-2.0-OpenSSH_9.2\r\n' } }, { status: 0, error: 'protocol' }],
    ['a longer body than allowed', { body: 'x'.repeat(101) }, { status: 200, error: 'too-large' }],
  ] as const)('%s', async (_, reply, expected) => {
    const server = await startServer([
      { expect: { path: '/bad' }, reply },
      { expect: { path: '/good' }, reply: { body: 'fine' } },
    ]);
    const timeoutMs = 'error' in expected && expected.error === 'timeout' ? 200 : 10_000;
    const lane = await laneTo(server.origin, { connections: 1, timeoutMs });
    const result = await ask(lane, { path: '/bad', hash: 'sha256', keep: true, maxBytes: 100 });
    expect(result).toMatchObject({ ...expected, digest: undefined, body: undefined });
    // The lane goes on.
    expect(await ask(lane, { path: '/good', timeoutMs: 10_000 })).toMatchObject({
      ...{ status: 200, bytes: 4, error: undefined },
    });
    expect(lane.active).toBe(0);
  });

  test('a body of exactly the allowed length is whole', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { body: 'x'.repeat(100) } }]);
    expect(await ask(await laneTo(server.origin), { maxBytes: 100 })).toMatchObject({
      bytes: 100,
      error: undefined,
    });
  });

  test('nobody listens', async () => {
    const free = createTcpServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const { port } = free.address() as AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    const lane = await laneTo(new URL(`http://127.0.0.1:${port}`));
    expect(await ask(lane)).toMatchObject({ status: 0, error: 'refused', firstByteMs: undefined });
  });

  test('who answers every failure by sending again is answered every time', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { fault: 'cut' }, times: 20 }]);
    const refused = await laneTo(new URL('http://127.0.0.1:1'), { connections: 2 });
    const cut = await laneTo(server.origin, { connections: 2 });
    for (const [lane, error] of [
      [refused, 'refused'],
      [cut, 'reset'],
    ] as const) {
      const errors = await new Promise<unknown[]>((resolve) => {
        const seen: unknown[] = [];
        let left = 20;
        const send = (): void => {
          if (left-- > 0) lane.send({ method: 'GET', path: '/', headers: [], onDone });
        };
        const onDone = (result: LaneResult): void => {
          if (seen.push(result.error) === 20) resolve(seen);
          send();
        };
        for (let waiting = 0; waiting < 5; waiting++) send();
      });
      expect(errors).toEqual(Array(20).fill(error));
      expect(lane.active).toBe(0);
    }
  });

  test('what waits for a connection when the lane is closed is told so', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { fault: 'silence' } }]);
    const lane = await laneTo(server.origin, { connections: 1 });
    const pending = Promise.all([ask(lane), ask(lane), ask(lane)]);
    await expect.poll(() => server.requests.length).toBe(1);
    await lane.close();
    expect((await pending).map(({ error }) => error)).toEqual(['closed', 'closed', 'closed']);
    expect(lane.active).toBe(0);
  });

  test('a request that cannot be is told later, not at once', async () => {
    const lane = await laneTo(new URL('http://127.0.0.1:9'));
    let told: LaneResult | undefined;
    lane.send({
      method: 'GET',
      path: 'no-slash',
      headers: [],
      onDone: (result) => {
        told = result;
      },
    });
    expect(told).toBeUndefined();
    await expect.poll(() => told?.error).toBe('invalid');
  });

  test('the time runs while a request waits for a connection, and it is never sent then', async () => {
    const server = await startServer([
      { expect: { path: '/slow' }, reply: { fault: 'silence' } },
      { expect: { path: '/after' }, reply: { body: 'ok' } },
    ]);
    const lane = await laneTo(server.origin, { connections: 1, timeoutMs: 150 });
    const slow = ask(lane, { path: '/slow', timeoutMs: 3000 });
    const waiting = await ask(lane, { path: '/never' });
    expect(waiting).toMatchObject({ status: 0, error: 'timeout' });
    expect(lane.active).toBe(1);
    expect((await slow).error).toBe('timeout');
    expect(await ask(lane, { path: '/after', timeoutMs: 5000 })).toMatchObject({ status: 200 });
    expect(server.requests.map(({ path }) => path)).toEqual(['/slow', '/after']);
  });

  test('a slow answer that goes on is no silence', async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': 10 });
      let left = 10;
      const drip = setInterval(() => {
        response.write('x');
        if (--left === 0) clearInterval(drip);
      }, 300);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const lane = await laneTo(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), {
      timeoutMs: 2500,
    });
    expect(await ask(lane)).toMatchObject({ status: 200, bytes: 10, error: undefined });
  });

  test('closing ends what is under way, and what comes after', async () => {
    const server = await startServer([{ expect: { path: '/' }, reply: { fault: 'silence' }, times: 3 }]);
    const lane = await laneTo(server.origin, { connections: 3 });
    const pending = Promise.all([ask(lane), ask(lane), ask(lane)]);
    await expect.poll(() => server.requests.length).toBe(3);
    await lane.close();
    expect((await pending).map(({ error }) => error)).toEqual(['closed', 'closed', 'closed']);
    expect((await ask(lane)).error).toBe('closed');
    expect(lane.active).toBe(0);
  });
});

test('every request is told exactly once, with its own answer', async () => {
  const server = createServer((request, response) => {
    const [, status, size, fault] = (request.url ?? '').split('/');
    const body = Buffer.alloc(Number(size), 'b');
    if (fault === 'cut') {
      request.socket.destroy();
      return;
    }
    response.writeHead(Number(status), { 'content-length': body.length }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const wanted = fc.record({
    status: fc.constantFrom(200, 201, 404, 429, 500),
    size: fc.nat(70_000),
    fault: fc.constantFrom('none', 'none', 'none', 'cut', 'invalid'),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(wanted, { maxLength: 30 }),
      fc.integer({ min: 1, max: 5 }),
      async (list, connections) => {
        const lane = await openFastLane({ origin, connections, timeoutMs: 5000 });
        const told = list.map(() => 0);
        const results = await Promise.all(
          list.map(
            ({ status, size, fault }, index) =>
              new Promise<LaneResult>((resolve) => {
                lane.send({
                  method: 'GET',
                  path: fault === 'invalid' ? 'no-slash' : `/${status}/${size}/${fault}`,
                  headers: [],
                  hash: 'sha256',
                  onDone(result) {
                    told[index] = (told[index] ?? 0) + 1;
                    resolve(result);
                  },
                });
              }),
          ),
        );
        await lane.close();
        expect(told.every((times) => times === 1)).toBe(true);
        results.forEach((result, index) => {
          const { status, size, fault } = list[index] as (typeof list)[number];
          if (fault === 'invalid') expect(result).toMatchObject({ status: 0, error: 'invalid' });
          else if (fault === 'cut') expect(result).toMatchObject({ status: 0, error: 'reset' });
          else {
            expect(result).toMatchObject({ status, bytes: size, error: undefined });
            expect(result.digest).toBe(sha256(Buffer.alloc(size, 'b')));
          }
        });
        expect(lane.active).toBe(0);
      },
    ),
    { numRuns: 25 },
  );
});
