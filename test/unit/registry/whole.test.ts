import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { silentLog } from '../../../src/base/index.ts';
import { createAgent } from '../../../src/http/index.ts';
import { digestOf } from '../../../src/oci/index.ts';
import {
  createRegistryClient,
  openBlob,
  pushBlob,
  type UploadSource,
  uploadBlob,
} from '../../../src/registry/index.ts';
import { unknownTraits } from '../../../src/registry/traits.ts';
import { testClock } from '../../support/http-clock.ts';
import { type Exchange, startServer } from '../../support/http-server.ts';
import {
  blobOf,
  byteCounts,
  clientOf,
  errorOf,
  MIB,
  recordingLog,
  streamOf,
  testbedClient,
} from './support.ts';
import { cancel, errors, head, patch, put, start, UPLOADS } from './upload-script.ts';

// Blobs in one request: a PUT of the whole, or a PATCH as a stream. What goes wrong in passing, and what does not.

/** A source that tells its digest only at its end. */
function streamed(blob: ReturnType<typeof blobOf>): UploadSource & { readonly opened: Readable[] } {
  const opened: Readable[] = [];
  return {
    kind: 'streamed',
    opened,
    open() {
      const stream = streamOf(blob.bytes);
      opened.push(stream);
      return {
        stream,
        result() {
          if (!stream.readableEnded) throw new Error('asked before its end');
          return { digest: blob.digest, size: blob.size };
        },
      };
    },
  };
}

describe('a testbed', () => {
  test.each([0, 1, 9_999, 10_000, 300_000])('gets %i bytes in one PUT and gives them back', async (size) => {
    const requests: string[] = [];
    const { client } = await testbedClient({ onRequest: ({ method }) => requests.push(method) });
    const blob = blobOf(size);
    const bytes = byteCounts();
    expect(await uploadBlob(client, 'team/app', blob, bytes)).toEqual({ digest: blob.digest, size });
    expect(requests).toEqual(['POST', 'PUT']);
    expect(bytes.sum).toBe(size);
    expect(await buffer(await openBlob(client, 'team/app', blob))).toEqual(blob.bytes);
  });

  test('gets a blob of unknown digest by PATCH and an empty PUT', async () => {
    const requests: string[] = [];
    const { client } = await testbedClient({ onRequest: ({ method }) => requests.push(method) });
    const blob = blobOf(300_000);
    const bytes = byteCounts();
    expect(await uploadBlob(client, 'team/app', streamed(blob), bytes)).toEqual({
      digest: blob.digest,
      size: 300_000,
    });
    expect(requests).toEqual(['POST', 'PATCH', 'PUT']);
    expect(bytes.sum).toBe(300_000);
    expect(await buffer(await openBlob(client, 'team/app', blob))).toEqual(blob.bytes);
  });

  test('gets a blob named by sha512', async () => {
    const { client } = await testbedClient();
    const bytes = Buffer.from('long digest');
    const digest = digestOf(bytes, 'sha512');
    await uploadBlob(client, 'team/app', {
      kind: 'known',
      digest,
      size: bytes.length,
      open: () => streamOf(bytes),
    });
    expect(await buffer(await openBlob(client, 'team/app', { digest }))).toEqual(bytes);
  });

  test('that has the blob already gets nothing but a question', async () => {
    const requests: string[] = [];
    const { client } = await testbedClient({ onRequest: ({ method }) => requests.push(method) });
    const blob = blobOf(100);
    expect(await pushBlob(client, 'team/app', blob, blob)).toMatchObject({ status: 'uploaded' });
    requests.length = 0;
    expect(await pushBlob(client, 'team/app', blob, blob)).toEqual({
      digest: blob.digest,
      size: 100,
      status: 'exists',
    });
    expect(requests).toEqual(['HEAD']);
  });

  test('without the blob, and no source for it: nothing is opened there', async () => {
    const requests: string[] = [];
    const { client } = await testbedClient({ onRequest: ({ method }) => requests.push(method) });
    expect(await pushBlob(client, 'team/app', blobOf(100), undefined)).toBeUndefined();
    expect(requests).toEqual(['HEAD']);
  });
});

describe('tokens that run out during an upload', () => {
  const LIFETIME_MS = 5 * 60_000;
  const auth = { username: 'anna', password: 'hunter2-S3cr3t' };

  test('are renewed before the next request when the clock says so', async () => {
    const clock = testClock();
    const seen: string[] = [];
    const { client } = await testbedClient(
      {
        auth,
        tokenAuth: true,
        tokenLifetimeMs: LIFETIME_MS,
        clock,
        onRequest({ method, path, status }) {
          seen.push(`${method} ${status}`);
          if (method === 'POST' && path.endsWith('/uploads/') && status === 202) clock.advance(LIFETIME_MS);
        },
      },
      { clock, credential: auth },
    );
    await uploadBlob(client, 'team/app', blobOf(50_000));
    expect(seen).toEqual(['POST 401', 'GET 200', 'POST 202', 'GET 200', 'PUT 201']);
  });

  test('are renewed once after a 401, and the body goes out again from its first byte', async () => {
    const clock = testClock();
    const seen: string[] = [];
    const { client } = await testbedClient(
      {
        auth,
        tokenAuth: true,
        tokenLifetimeMs: LIFETIME_MS,
        clock,
        onRequest({ method, path, status }) {
          seen.push(`${method} ${status}`);
          if (method === 'POST' && path.endsWith('/uploads/') && status === 202) clock.advance(LIFETIME_MS);
        },
      },
      { credential: auth },
    );
    const blob = blobOf(50_000);
    const bytes = byteCounts();
    await uploadBlob(client, 'team/app', blob, bytes);
    expect(seen).toEqual(['POST 401', 'GET 200', 'POST 202', 'PUT 401', 'GET 200', 'PUT 201']);
    expect(bytes.sum).toBe(50_000);
    expect(await buffer(await openBlob(client, 'team/app', blob))).toEqual(blob.bytes);
  });
});

describe('repeats', () => {
  test.each([429, 503])(
    'after a %i the same session gets the body again, and bytes are counted once',
    async (status) => {
      const blob = blobOf('hello');
      const server = await startServer([
        start(),
        put({ status, headers: { 'retry-after': '7' } }),
        put({ status: 201 }),
      ]);
      const clock = testClock();
      const bytes = byteCounts();
      await uploadBlob(await clientOf(server.origin.href, { clock }), 'team/app', blob, bytes);
      expect(server.requests.slice(1).map(({ body }) => body)).toEqual(['hello', 'hello']);
      expect(clock.slept).toEqual([7000]);
      expect(bytes.told).toEqual([5, -5, 5]);
    },
  );

  test('a connection that breaks in mid-body: a new session, from byte 0, and onBytes goes back', async () => {
    const blob = blobOf(2 * MIB);
    let broken = false;
    const server = await startServer(
      [
        start(),
        cancel(),
        head(blob.digest, 404),
        start(`${UPLOADS}2`),
        put({ status: 201 }, /uploads\/2\?digest=/),
      ],
      {
        onRequest(request: IncomingMessage) {
          if (request.method !== 'PUT' || broken) return;
          broken = true;
          request.once('readable', () => request.socket.destroy());
        },
      },
    );
    const bytes = byteCounts();
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, bytes);
    expect(broken).toBe(true);
    expect(server.requests.at(-1)?.headers['content-length']).toBe(String(blob.size));
    expect(bytes.told.some((told) => told < 0)).toBe(true);
    expect(bytes.sum).toBe(blob.size);
  });

  test('a commit whose answer is lost on the last try counts all the same', async () => {
    const blob = blobOf('hello');
    const server = await startServer([start(), put({ fault: 'cut' }), cancel(), head(blob.digest, 200)]);
    const client = await clientOf(server.origin.href, { retries: 0 });
    expect(await uploadBlob(client, 'team/app', blob)).toEqual({ digest: blob.digest, size: 5 });
  });

  test('so does one of a stream, whose digest is known by then: it is not packed again', async () => {
    const blob = blobOf('hello');
    const source = streamed(blob);
    const server = await startServer([
      start(),
      patch({ status: 202 }),
      put({ status: 504 }),
      cancel(),
      head(blob.digest, 200),
    ]);
    const client = await clientOf(server.origin.href);
    expect(await uploadBlob(client, 'team/app', source)).toEqual({ digest: blob.digest, size: 5 });
    expect(source.opened).toHaveLength(1);
  });

  test('a stream that breaks before its end is begun anew', async () => {
    const blob = blobOf('hello');
    const source = streamed(blob);
    const server = await startServer([
      start(),
      patch({ status: 500 }),
      cancel(),
      start(`${UPLOADS}2`),
      patch({ status: 202 }, undefined, /uploads\/2/),
      put({ status: 201 }, /uploads\/2\?digest=/),
    ]);
    const bytes = byteCounts();
    await uploadBlob(await clientOf(server.origin.href), 'team/app', source, bytes);
    expect(source.opened).toHaveLength(2);
    expect(bytes.told).toEqual([5, -5, 5]);
  });

  test('a HEAD that fails does not hide why the upload failed', async () => {
    const blob = blobOf('hello');
    const server = await startServer([
      start(),
      put({ status: 500, body: 'disk full' }),
      cancel(),
      { ...head(blob.digest, 502), times: 1 },
    ]);
    const client = await clientOf(server.origin.href, { retries: 0 });
    const error = await errorOf(uploadBlob(client, 'team/app', blob));
    expect(error.code).toBe('SERVER_ERROR');
    expect(error.message).toContain('disk full');
  });

  test('are bounded: a registry that always fails is left after `retries` new tries', async () => {
    const blob = blobOf('hello');
    const server = await startServer([
      { ...start(), times: 3 },
      { ...put({ status: 500 }), times: 3 },
      { ...cancel(), times: 3 },
      { ...head(blob.digest, 404), times: 3 },
    ]);
    const client = await clientOf(server.origin.href, { retries: 2 });
    expect(await errorOf(uploadBlob(client, 'team/app', blob))).toMatchObject({ code: 'SERVER_ERROR' });
  });

  test('do not multiply: a session that cannot be opened is asked for `retries` times more, not squared', async () => {
    const server = await startServer([
      { expect: { method: 'POST', path: UPLOADS }, reply: { status: 503 }, times: 3 },
    ]);
    const client = await clientOf(server.origin.href, { retries: 2 });
    expect(await errorOf(uploadBlob(client, 'team/app', blobOf(5)))).toMatchObject({ code: 'SERVER_ERROR' });
  });

  test('are not made for a rate limit that lasts: the blob is not sent again', async () => {
    const server = await startServer([
      start(),
      put({ status: 429, headers: { 'retry-after': '3600' }, body: '<html>slow down</html>' }),
      cancel(),
    ]);
    const clock = testClock();
    const client = await clientOf(server.origin.href, { clock });
    const error = await errorOf(uploadBlob(client, 'team/app', blobOf(5)));
    expect(error.code).toBe('RATE_LIMITED');
    expect(clock.slept).toEqual([]);
  });

  test.each(['BLOB_UPLOAD_UNKNOWN', 'BLOB_UPLOAD_INVALID'])(
    'are made when the session is lost (%s)',
    async (code) => {
      const blob = blobOf('hello');
      const server = await startServer([
        start(),
        put({ status: code.endsWith('UNKNOWN') ? 404 : 400, body: errors(code) }),
        cancel(),
        head(blob.digest, 404),
        start(`${UPLOADS}2`),
        put({ status: 201 }, /uploads\/2\?digest=/),
      ]);
      const client = await clientOf(server.origin.href);
      await uploadBlob(client, 'team/app', blob);
      // A lost session says nothing about the way of sending.
      expect(client.traits.wholePutRefused).toBe(false);
    },
  );

  test.each([
    [401, '', 'AUTHENTICATION_FAILED'],
    [403, errors('DENIED'), 'PERMISSION_DENIED'],
    [404, errors('NAME_UNKNOWN'), 'REPOSITORY_NOT_FOUND'],
    [400, errors('NAME_INVALID'), 'REQUEST_REFUSED'],
  ])('are not made for what will not change (%i %s)', async (status, body, code) => {
    const server = await startServer([
      start(),
      put({ status, body, headers: status === 401 ? { 'www-authenticate': 'Basic realm="r"' } : {} }),
      cancel(),
    ]);
    const error = await errorOf(uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(5)));
    expect(error.code).toBe(code);
    expect(error.message).toContain(`${server.origin.host}/team/app`);
  });
});

describe('another way to send', () => {
  test.each([
    ['405', 405, ''],
    ['404 without a word', 404, ''],
    ['404 page', 404, '<html>404 page not found</html>'],
    ['501', 501, ''],
    ['UNSUPPORTED', 400, errors('UNSUPPORTED')],
  ])('a whole PUT refused (%s) is streamed, even without any retry', async (_what, status, body) => {
    const first = blobOf('hello');
    const second = blobOf('again');
    const server = await startServer([
      start(),
      put({ status, body }),
      cancel(),
      start(`${UPLOADS}2`),
      patch({ status: 202 }, undefined, /uploads\/2$/),
      put({ status: 201 }, /uploads\/2\?digest=/),
      start(`${UPLOADS}3`),
      patch({ status: 202 }, undefined, /uploads\/3$/),
      put({ status: 201 }, /uploads\/3\?digest=/),
    ]);
    const client = await clientOf(server.origin.href, { retries: 0 });
    const bytes = byteCounts();
    await uploadBlob(client, 'team/app', first, bytes);
    await uploadBlob(client, 'team/app', second, bytes);
    expect(bytes.sum).toBe(10);
    const patches = server.requests.filter(({ method }) => method === 'PATCH');
    expect(patches.map(({ body }) => body)).toEqual(['hello', 'again']);
    expect(patches.map(({ headers }) => headers['content-length'])).toEqual(['5', '5']);
  });

  test('a whole blob refused with 413 goes in chunks, and the next one at once', async () => {
    const blob = blobOf(3 * MIB);
    const next = blobOf(2 * MIB);
    const half = 1.5 * MIB;
    const chunk = (from: number, size: number, session: number): Exchange =>
      patch({ status: 202 }, `${from}-${from + size - 1}`, new RegExp(`uploads/${session}`));
    const server = await startServer([
      start(),
      put({ status: 413, body: '<html>413 Request Entity Too Large</html>' }),
      cancel(),
      start(`${UPLOADS}2`),
      chunk(0, half, 2),
      chunk(half, half, 2),
      put({ status: 201 }, /uploads\/2\?digest=/),
      start(`${UPLOADS}3`),
      chunk(0, half, 3),
      chunk(half, 0.5 * MIB, 3),
      put({ status: 201 }, /uploads\/3\?digest=/),
    ]);
    const client = await clientOf(server.origin.href, { retries: 0 });
    const bytes = byteCounts();
    await uploadBlob(client, 'team/app', blob, bytes);
    expect(bytes.sum).toBe(blob.size);
    await uploadBlob(client, 'team/app', next);
  });

  test('a small blob refused with 413 is not cut up: the hint names --chunk-size', async () => {
    const server = await startServer([start(), put({ status: 413 }), cancel()]);
    const error = await errorOf(uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(500)));
    expect(error).toMatchObject({ code: 'UPLOAD_REJECTED', details: { status: 413 } });
    expect(error.hints.join()).toContain('--chunk-size');
  });
});

describe('the commit', () => {
  test('accepted with 202 counts when the blob is there then', async () => {
    const blob = blobOf('hello');
    const server = await startServer([start(), put({ status: 202 }), head(blob.digest, 200)]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob);
  });

  test('accepted with 202 but not there is a broken protocol', async () => {
    const blob = blobOf('hello');
    const server = await startServer([start(), put({ status: 202 }), head(blob.digest, 404), cancel()]);
    const error = await errorOf(uploadBlob(await clientOf(server.origin.href), 'team/app', blob));
    expect(error.code).toBe('PROTOCOL_VIOLATION');
    expect(error.message).toContain(blob.digest);
  });

  test('may name the blob by another algorithm (distribution: sha256 for sha512)', async () => {
    const bytes = Buffer.from('hello');
    const server = await startServer([
      start(),
      put({ status: 201, headers: { 'docker-content-digest': digestOf(bytes) } }),
    ]);
    const source: UploadSource = {
      kind: 'known',
      digest: digestOf(bytes, 'sha512'),
      size: 5,
      open: () => streamOf(bytes),
    };
    expect((await uploadBlob(await clientOf(server.origin.href), 'team/app', source)).size).toBe(5);
  });

  test('of a large blob may take longer: a registry has to put it in its place', async () => {
    const server = await startServer([
      start(),
      put({ status: 201 }),
      start(),
      patch({ status: 202 }),
      put({ status: 201 }),
    ]);
    const agent = createAgent({ boundOrigin: server.origin, timeoutMs: 5000 });
    onTestFinished(() => agent.close());
    const granted: [string, number | undefined][] = [];
    const client = createRegistryClient({
      domain: server.origin.host,
      origin: server.origin,
      send(request) {
        granted.push([request.method, request.timeoutMs]);
        return agent.send(request);
      },
      traits: unknownTraits(),
      log: silentLog,
      clock: testClock(),
      retries: 0,
      timeoutMs: 5000,
      authorization: async () => undefined,
      connection: () => Promise.reject(new Error('not of this test')),
      close: async () => {},
    });
    const blob = blobOf(25 * MIB);
    await uploadBlob(client, 'team/app', blob);
    await uploadBlob(client, 'team/app', streamed(blob));
    expect(granted).toEqual([
      ['POST', undefined],
      ['PUT', 7500],
      ['POST', undefined],
      ['PATCH', undefined],
      ['PUT', 7500],
    ]);
  });
});

describe('a source that is not what it promised', () => {
  const cases: [string, string, (bytes: Buffer) => Buffer][] = [
    ['a changed byte', 'DIGEST_MISMATCH', (bytes) => Buffer.from(bytes).fill(1, 50_000, 50_002)],
    [
      'a changed last byte',
      'DIGEST_MISMATCH',
      (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.of((bytes.at(-1) ?? 0) ^ 1)]),
    ],
    ['too few bytes', 'SIZE_MISMATCH', (bytes) => bytes.subarray(0, -1)],
    [
      'too many bytes in its last piece',
      'SIZE_MISMATCH',
      (bytes) => Buffer.concat([bytes, Buffer.from('x')]),
    ],
  ];

  test.each(cases)('%s never reaches the registry as a whole body', async (_what, code, change) => {
    const blob = blobOf(100_001);
    const server = await startServer([start(), cancel()]);
    const client = await clientOf(server.origin.href);
    const source: UploadSource = { ...blob, open: () => streamOf(change(blob.bytes)) };
    const error = await errorOf(uploadBlob(client, 'team/app', source));
    expect(error.code).toBe(code);
    // The script knows no PUT: one that came to its end would fail this test.
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'DELETE']);
  });

  test('its own failure is told as it is', async () => {
    const server = await startServer([start(), cancel()]);
    const source: UploadSource = {
      ...blobOf(10),
      open: () =>
        new Readable({
          read() {
            this.destroy(new Error('EIO: i/o error, read'));
          },
        }),
    };
    const error = await errorOf(uploadBlob(await clientOf(server.origin.href), 'team/app', source));
    expect(error.code).toBe('IO_FAILED');
    expect(error.message).toContain('EIO');
  });
});

test('a registry that accepts a stream before it has come is not believed', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    let answered = 0;
    socket.on('data', (data: Buffer) => {
      const method = /^(POST|PATCH|DELETE) /.exec(data.toString('latin1'))?.[1];
      if (method === undefined || answered++ > 3) return;
      const status = method === 'POST' || method === 'PATCH' ? '202 Accepted' : '204 No Content';
      socket.write(
        `HTTP/1.1 ${status}\r\nLocation: ${UPLOADS}1\r\n${method === 'DELETE' ? '' : 'Content-Length: 0\r\n'}\r\n`,
      );
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  let ended = false;
  let asked = 0;
  const endless = new Readable({
    read() {
      setImmediate(() => this.push(asked++ < 100_000 ? Buffer.alloc(1000) : null));
    },
  }).on('end', () => {
    ended = true;
  });
  const source: UploadSource = {
    kind: 'streamed',
    open: () => ({
      stream: endless,
      result: () => {
        throw new Error('asked before its end');
      },
    }),
  };
  const error = await errorOf(
    uploadBlob(await clientOf(`http://127.0.0.1:${port}`, { retries: 0 }), 'team/app', source),
  );
  expect(error.code).toBe('PROTOCOL_VIOLATION');
  expect(ended).toBe(false);
  expect(endless.destroyed).toBe(true);
});

test('what is sent and where is traced without the secrets of the session', async () => {
  const log = recordingLog();
  const server = await startServer([start(`${UPLOADS}1?_state=S3cr3tState`), put({ status: 201 })]);
  await uploadBlob(await clientOf(server.origin.href, { log }), 'team/app', blobOf(5));
  const text = log.traces.join('\n');
  expect(text).toContain('PUT');
  expect(text).not.toContain('S3cr3tState');
});
