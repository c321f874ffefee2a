import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { pushBlob, type UploadSource, uploadBlob } from '../../../src/registry/index.ts';
import { type Reply, startServer } from '../../support/http-server.ts';
import { blobOf, byteCounts, clientOf, errorOf, MIB, recordingLog } from './support.ts';
import { cancel, errors, head, patch, put, start, UPLOADS } from './upload-script.ts';

// What real registries do in an upload, played by a scripted server (facts, "Registry quirks to test or fake").

test('the query of a Location is kept byte for byte and digest= is appended', async () => {
  const blob = blobOf(Buffer.from('hello'));
  const server = await startServer([start(), put({ status: 201 })]);
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob);
  const sent = server.requests.at(-1);
  expect(sent?.path).toBe(`${UPLOADS}1?_state=a%2Bb&digest=${encodeURIComponent(blob.digest)}`);
  expect(sent?.headers['content-length']).toBe('5');
  expect(sent?.body).toBe('hello');
});

test('a Location without a query gets one', async () => {
  const blob = blobOf(Buffer.from('hello'));
  const server = await startServer([start(`${UPLOADS}1`), put({ status: 204 })]);
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob);
  expect(server.requests.at(-1)?.path).toBe(`${UPLOADS}1?digest=${encodeURIComponent(blob.digest)}`);
});

test('no Location is a broken protocol', async () => {
  const server = await startServer([{ ...start(), reply: { status: 202 } }]);
  const client = await clientOf(server.origin.href, { retries: 0 });
  expect(await errorOf(uploadBlob(client, 'team/app', blobOf(5)))).toMatchObject({
    code: 'PROTOCOL_VIOLATION',
  });
});

test('a commit whose answer is lost counts when the blob turns out to be there', async () => {
  const blob = blobOf(Buffer.from('hello'));
  const server = await startServer([start(), put({ fault: 'cut' }), cancel(), head(blob.digest, 200)]);
  const moved: number[] = [];
  const done = await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, {
    onBytes: (bytes) => moved.push(bytes),
  });
  expect(done).toEqual({ digest: blob.digest, size: 5 });
  expect(moved.reduce((sum, bytes) => sum + bytes, 0)).toBe(5);
});

test('a try that fails in passing is cancelled, taken back, and begun from the first byte', async () => {
  const blob = blobOf(Buffer.from('hello'));
  const server = await startServer([
    start(),
    put({ status: 500, body: 'disk full' }),
    cancel(),
    head(blob.digest, 404),
    start(`${UPLOADS}2`),
    put({ status: 201 }, /uploads\/2/),
  ]);
  const moved: number[] = [];
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, {
    onBytes: (bytes) => moved.push(bytes),
  });
  expect(moved).toEqual([5, -5, 5]);
  expect(server.requests.at(-1)?.body).toBe('hello');
});

test('DIGEST_INVALID from the registry is tried once more, then reported', async () => {
  const blob = blobOf(5);
  const refuse: Reply = {
    status: 400,
    body: JSON.stringify({ errors: [{ code: 'DIGEST_INVALID', message: 'no' }] }),
  };
  const server = await startServer([
    start(),
    put(refuse),
    cancel(),
    head(blob.digest, 404),
    start(`${UPLOADS}2`),
    put(refuse, /uploads\/2/),
    cancel(/uploads\/2/),
  ]);
  const error = await errorOf(
    uploadBlob(await clientOf(server.origin.href, { retries: 1 }), 'team/app', blob),
  );
  expect(error.code).toBe('REQUEST_REFUSED');
  expect(error.message).toContain('DIGEST_INVALID');
});

test('a registry that refuses a whole PUT gets a PATCH, and is remembered for it', async () => {
  const blob = blobOf(Buffer.from('hello'));
  const server = await startServer([
    start(),
    put({ status: 405 }),
    cancel(),

    start(`${UPLOADS}2`),
    patch({ status: 202, headers: { location: `${UPLOADS}2b?s=1` } }, undefined, /uploads\/2$/),
    put({ status: 201 }, /2b\?s=1&digest=/),
  ]);
  const client = await clientOf(server.origin.href);
  await uploadBlob(client, 'team/app', blob);
  expect(client.traits.wholePutRefused).toBe(true);
  expect(server.requests.find((request) => request.method === 'PATCH')).toMatchObject({ body: 'hello' });
});

test('a registry that refuses chunks gets whole blobs, says so once, and is remembered for it', async () => {
  const log = recordingLog();
  const blobs = [blobOf('hello'), blobOf('again')];
  const server = await startServer([
    start(),
    patch({ status: 405, body: errors('UNSUPPORTED') }, '0-2'),
    cancel(),
    start(`${UPLOADS}2`),
    put({ status: 201 }, /uploads\/2/),
    start(`${UPLOADS}3`),
    put({ status: 201 }, /uploads\/3/),
  ]);
  const client = await clientOf(server.origin.href, { log });
  const counts = byteCounts();
  for (const blob of blobs) {
    await uploadBlob(client, 'team/app', blob, { chunkSize: 3, onBytes: counts.onBytes });
  }
  expect(server.requests.filter(({ method }) => method === 'PUT').map(({ body }) => body)).toEqual([
    'hello',
    'again',
  ]);
  expect(counts.sum).toBe(10);
  expect(log.warnings).toEqual([expect.stringMatching(/takes no uploads in chunks.*--chunk-size/)]);
});

test('a registry that refuses chunks, and whole blobs as too large, takes none', async () => {
  const server = await startServer([
    start(),
    put({ status: 413 }),
    cancel(),
    start(`${UPLOADS}2`),
    patch({ status: 405 }, undefined, /uploads\/2/),
    cancel(/uploads\/2/),
    start(`${UPLOADS}3`),
    put({ status: 413 }, /uploads\/3/),
    cancel(/uploads\/3/),
  ]);
  const work = uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(2 * MIB));
  expect(await errorOf(work)).toMatchObject({ code: 'UPLOAD_REJECTED', details: { status: 413 } });
});

test('a blob of unknown digest goes by one PATCH without Content-Range, chunked on the wire', async () => {
  const bytes = Buffer.from('streamed bytes');
  const known = blobOf(bytes);
  const source: UploadSource = {
    kind: 'streamed',
    open: () => ({ stream: Readable.from([bytes], { objectMode: false }), result: () => known }),
  };
  const server = await startServer([
    start(),
    {
      expect: {
        method: 'PATCH',
        path: /uploads\/1/,
        headers: { 'content-range': null, 'transfer-encoding': 'chunked' },
        body: 'streamed bytes',
      },
      reply: { status: 202, headers: { location: `${UPLOADS}1c` } },
    },
    put({ status: 201 }, `${UPLOADS}1c?digest=${encodeURIComponent(known.digest)}`),
  ]);
  expect(await uploadBlob(await clientOf(server.origin.href), 'team/app', source)).toEqual({
    digest: known.digest,
    size: bytes.length,
  });
});

test('a registry that stores the blob under another digest is caught', async () => {
  const blob = blobOf(5);
  const other = blobOf(6).digest;
  const server = await startServer([
    start(),
    put({ status: 201, headers: { 'docker-content-digest': other } }),
    cancel(),
  ]);
  const client = await clientOf(server.origin.href, { retries: 0 });
  expect(await errorOf(uploadBlob(client, 'team/app', blob))).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
});

test.each([
  ['digest', 'DIGEST_MISMATCH', (bytes: Buffer) => Buffer.from(bytes).fill(1, 0, 1)],
  ['size', 'SIZE_MISMATCH', (bytes: Buffer) => bytes.subarray(1)],
])(
  'a source that lies about its %s is caught before it is stored, and the session cancelled',
  async (_what, code, change) => {
    const blob = blobOf(100_000);
    const server = await startServer([
      start(),
      { ...put({ status: 400 }), times: Number.POSITIVE_INFINITY },
      cancel(),
    ]);
    const liar: UploadSource = {
      ...blob,
      open: () => Readable.from([change(blob.bytes)], { objectMode: false }),
    };
    expect(await errorOf(uploadBlob(await clientOf(server.origin.href), 'team/app', liar))).toMatchObject({
      code,
    });
    expect(server.requests.filter((request) => request.method === 'POST')).toHaveLength(1);
  },
);

test('an abort cancels the session', async () => {
  const server = await startServer([
    start(),
    { ...put({ fault: 'silence' }), times: Number.POSITIVE_INFINITY },
    cancel(),
  ]);
  const abort = new AbortController();
  const work = errorOf(
    uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(10), { signal: abort.signal }),
  );
  await expect.poll(() => server.requests.at(-1)?.method).toBe('PUT');
  abort.abort();
  expect(await work).toMatchObject({ code: 'INTERRUPTED' });
  expect(server.requests.at(-1)?.method).toBe('DELETE');
});

test('an abort while a session is being opened waits until it is known, and cancels it', async () => {
  const abort = new AbortController();
  const server = await startServer([start(), cancel()], {
    onRequest(request) {
      if (request.method === 'POST') abort.abort();
    },
  });
  const { signal } = abort;
  const work = uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(10), { signal });
  expect(await errorOf(work)).toMatchObject({ code: 'INTERRUPTED' });
  expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'DELETE']);
});

test('an abort does not wait for ever for a session to be opened', async () => {
  const abort = new AbortController();
  const server = await startServer([{ ...start(), reply: { fault: 'silence' } }], {
    onRequest: () => abort.abort(),
  });
  const client = await clientOf(server.origin.href, { timeoutMs: 3_600_000 });
  const work = uploadBlob(client, 'team/app', blobOf(10), { signal: abort.signal });
  expect(await errorOf(work)).toMatchObject({ code: 'INTERRUPTED' });
});

test('an upload location elsewhere gets no credentials, one at an inner address is refused', async () => {
  // localhost and 127.0.0.1 are two hosts to a client: the second one is a loopback literal.
  const server = await startServer((origin) => [
    { expect: { path: '/v2/', headers: { authorization: null } }, reply: { status: 200 }, times: 0 },
    start(`${origin.replace('127.0.0.1', '10.1.2.3')}/elsewhere`),
  ]);
  const client = await clientOf(server.origin.href, {
    retries: 0,
    credential: { username: 'u', password: 'p' },
  });
  const error = await errorOf(uploadBlob(client, 'team/app', blobOf(5)));
  expect(error.code).toBe('REDIRECT_REFUSED');
  expect(error.message).toContain('private');
});

test('another port of the registry is another origin: no Authorization goes there', async () => {
  const blob = blobOf(5);
  const other = await startServer([
    {
      expect: { method: 'PUT', path: /\/store\?sig=x&digest=/, headers: { authorization: null } },
      reply: { status: 201 },
    },
  ]);
  const server = await startServer([
    {
      expect: { method: 'POST', path: UPLOADS, headers: { authorization: null } },
      reply: { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } },
    },
    {
      expect: { method: 'POST', path: UPLOADS, headers: { authorization: /^Basic / } },
      reply: { status: 202, headers: { location: `${other.origin.origin}/store?sig=x` } },
    },
  ]);
  const client = await clientOf(server.origin.href, { credential: { username: 'u', password: 'p' } });
  await uploadBlob(client, 'team/app', blob);
});

test('chunks carry a-b ranges and follow every new Location; ECR answers 201 and a Range that stands still', async () => {
  const blob = blobOf(25);
  const server = await startServer([
    start(),
    patch({ status: 201, headers: { location: `${UPLOADS}1-a`, range: '0-9' } }, '0-9'),
    patch({ status: 201, headers: { location: `${UPLOADS}1-b`, range: '0-9' } }, '10-19', `${UPLOADS}1-a`),
    patch({ status: 201, headers: { location: `${UPLOADS}1-c`, range: '0-9' } }, '20-24', `${UPLOADS}1-b`),
    put({ status: 201 }, /1-c\?digest=/),
  ]);
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 10 });
  const sent = server.requests.filter((request) => request.method === 'PATCH');
  expect(sent.map((request) => request.headers['content-length'])).toEqual(['10', '10', '5']);
});

test('OCI-Chunk-Min-Length raises the chunk, within reason', async () => {
  const blob = blobOf(50);
  const server = await startServer([
    start(`${UPLOADS}1`, { 'oci-chunk-min-length': '40' }),
    patch({ status: 202 }, '0-39'),
    patch({ status: 202 }, '40-49'),
    put({ status: 201 }),
  ]);
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 10 });
});

test('a registry that took only a part says where to go on', async () => {
  const blob = blobOf(20);
  const server = await startServer([
    start(),
    patch({ status: 202, headers: { range: '0-5' } }, '0-9'),
    patch({ status: 202, headers: { range: '0-15' } }, '6-15'),
    patch({ status: 202 }, '16-19'),
    put({ status: 201 }),
  ]);
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 10 });
  const sent = server.requests
    .filter((request) => request.method === 'PATCH')
    .map((request) => request.headers['content-length']);
  expect(sent).toEqual(['10', '10', '4']);
});

test('416: the registry is asked how far it is, and the upload goes on there', async () => {
  const blob = blobOf(Buffer.from('abcdefghijklmnop'));
  const server = await startServer([
    start(),
    patch({ status: 202, headers: { range: '0-7' } }, '0-7'),
    patch({ status: 416, headers: { range: '0-3' } }, '8-15'),
    { expect: { method: 'GET', path: /uploads\/1/ }, reply: { status: 204, headers: { range: '0-3' } } },
    patch({ status: 202 }, '4-11'),
    patch({ status: 202 }, '12-15'),
    put({ status: 201 }),
  ]);
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 8 });
  const bodies = server.requests
    .filter((request) => request.method === 'PATCH')
    .map((request) => request.body);
  expect(bodies).toEqual(['abcdefgh', 'ijklmnop', 'efghijkl', 'mnop']);
});

test('416 without end is given up', async () => {
  const server = await startServer([
    start(),
    { ...patch({ status: 416 }), times: Number.POSITIVE_INFINITY },
    {
      expect: { method: 'GET', path: /uploads\/1/ },
      reply: { status: 204, headers: { range: '0-0' } },
      times: Number.POSITIVE_INFINITY,
    },
    cancel(),
  ]);
  const client = await clientOf(server.origin.href, { retries: 0 });
  expect(await errorOf(uploadBlob(client, 'team/app', blobOf(20), { chunkSize: 10 }))).toMatchObject({
    code: 'REQUEST_REFUSED',
  });
  expect(server.requests.length).toBeLessThan(40);
});

test('413 halves the chunk down to 1 MiB', async () => {
  const blob = blobOf(5 * MIB);
  const server = await startServer([
    start(),
    patch({ status: 413 }, `0-${4 * MIB - 1}`),
    patch({ status: 413 }, `0-${2 * MIB - 1}`),
    ...[0, 1, 2, 3, 4].map((at) => patch({ status: 202 }, `${at * MIB}-${(at + 1) * MIB - 1}`)),
    put({ status: 201 }),
  ]);
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 4 * MIB });
});

test('GHCR says 416 "too large" above 4 MiB: the chunk shrinks to that', async () => {
  const blob = blobOf(9 * MIB);
  const server = await startServer([
    start(),
    patch({ status: 416, body: 'request body too large' }, `0-${8 * MIB - 1}`),
    patch({ status: 202 }, `0-${4 * MIB - 1}`),
    patch({ status: 202 }, `${4 * MIB}-${8 * MIB - 1}`),
    patch({ status: 202 }, `${8 * MIB}-${9 * MIB - 1}`),
    put({ status: 201 }),
  ]);
  await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 8 * MIB });
});

test.each([400, 401, 403, 404, 500])(
  'a mount answered with %i becomes an upload, and no other mount is tried',
  async (status) => {
    const blob = blobOf(5);
    const server = await startServer([
      head(blob.digest, 404),
      {
        expect: { method: 'POST', path: /\?mount=.*&from=other%2Fapp$/ },
        reply: { status },
        times: status === 500 ? 3 : status === 401 ? Number.POSITIVE_INFINITY : 1,
      },
      ...(status === 401
        ? [{ expect: { path: '/v2/' }, reply: { status: 401 }, times: Number.POSITIVE_INFINITY }]
        : []),
      start(),
      put({ status: 201 }),
    ]);
    const client = await clientOf(server.origin.href);
    const pushed = await pushBlob(client, 'team/app', blob, blob, { mountFrom: ['other/app', 'third/app'] });
    expect(pushed?.status).toBe('uploaded');
    expect(client.traits.mountRefused).toBe(true);
  },
);

test('a mount that breaks the connection becomes an upload', async () => {
  const blob = blobOf(5);
  const server = await startServer([
    head(blob.digest, 404),
    { expect: { method: 'POST', path: /\?mount=/ }, reply: { fault: 'cut' }, times: 3 },
    start(),
    put({ status: 201 }),
  ]);
  expect(
    await pushBlob(await clientOf(server.origin.href), 'team/app', blob, blob, { mountFrom: ['other/app'] }),
  ).toMatchObject({ status: 'uploaded' });
});

test('a mount answered with a session uses that session', async () => {
  const blob = blobOf(5);
  const server = await startServer([
    head(blob.digest, 404),
    {
      expect: { method: 'POST', path: /\?mount=/ },
      reply: { status: 202, headers: { location: `${UPLOADS}m` } },
    },
    put({ status: 201 }, /uploads\/m\?digest=/),
  ]);
  expect(
    await pushBlob(await clientOf(server.origin.href), 'team/app', blob, blob, { mountFrom: ['other/app'] }),
  ).toMatchObject({ status: 'uploaded' });
});

test('without a source the session that a mount left behind is cancelled', async () => {
  const blob = blobOf(5);
  const server = await startServer([
    head(blob.digest, 404),
    {
      expect: { method: 'POST', path: /\?mount=/ },
      reply: { status: 202, headers: { location: `${UPLOADS}m` } },
    },
    cancel(/uploads\/m/),
  ]);
  expect(
    await pushBlob(await clientOf(server.origin.href), 'team/app', blob, undefined, {
      mountFrom: ['other/app'],
    }),
  ).toBeUndefined();
});

test.each([403, 405])('a HEAD answered with %i says nothing: the blob is uploaded', async (status) => {
  const blob = blobOf(5);
  const server = await startServer([head(blob.digest, status), start(), put({ status: 201 })]);
  expect(await pushBlob(await clientOf(server.origin.href), 'team/app', blob, blob)).toMatchObject({
    status: 'uploaded',
  });
});

test('a blob that is there with another size is not taken for ours', async () => {
  const blob = blobOf(7);
  const server = await startServer([head(blob.digest, 200)]);
  expect(await errorOf(pushBlob(await clientOf(server.origin.href), 'team/app', blob, blob))).toMatchObject({
    code: 'PROTOCOL_VIOLATION',
  });
});

test('an https registry behind a proxy that names http gets https, with a warning', async () => {
  const { resolveLocation } = await import('../../../src/registry/upload/location.ts');
  const log = recordingLog();
  const origin = new URL('https://registry.example.com:8443');
  const resolved = resolveLocation('http://registry.example.com:8443/v2/x?_state=1', origin, origin, log);
  expect(resolved).toMatchObject({ foreign: false });
  expect(resolved.url.href).toBe('https://registry.example.com:8443/v2/x?_state=1');
  expect(log.warnings).toHaveLength(1);
  expect(() => resolveLocation('http://elsewhere.example.com/x', origin, origin, log)).toThrow(
    /https to http/,
  );
  expect(() => resolveLocation('https://127.0.0.1/x', origin, origin, log)).toThrow(/loopback/);
  expect(() => resolveLocation('file:///etc/passwd', origin, origin, log)).toThrow(/scheme/);
  expect(resolveLocation('https://s3.example.com/x', origin, origin, log)).toMatchObject({ foreign: true });
});
