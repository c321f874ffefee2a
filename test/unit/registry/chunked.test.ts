import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type KnownBlob, openBlob, uploadBlob } from '../../../src/registry/index.ts';
import { nextOffset } from '../../../src/registry/upload/chunked.ts';
import { UploadSession } from '../../../src/registry/upload/session.ts';
import { type Exchange, startServer } from '../../support/http-server.ts';
import { blobOf, byteCounts, clientOf, errorOf, MIB, streamOf, testbedClient } from './support.ts';
import { cancel, errors, head, patch, put, start, UPLOADS } from './upload-script.ts';

// Blobs in chunks: where each begins, how large it is, and what the registry says about both.

/** The ranges and bodies of the chunks a server got. */
function chunksOf(requests: readonly { method: string; headers: Record<string, unknown>; body: string }[]) {
  return requests
    .filter(({ method }) => method === 'PATCH')
    .map(({ headers, body }) => [headers['content-range'], body]);
}

/** A blob whose streams are kept, to see that they are closed. */
function watched(blob: ReturnType<typeof blobOf>): KnownBlob & { readonly opened: Readable[] } {
  const opened: Readable[] = [];
  return {
    ...blob,
    opened,
    open() {
      const stream = streamOf(blob.bytes);
      opened.push(stream);
      return stream;
    },
  };
}

const askedHowFar = (headers: Record<string, string>, status = 204): Exchange => ({
  expect: { method: 'GET', path: /uploads\/1/ },
  reply: { status, headers },
});

describe('a testbed', () => {
  test('gets chunks in order and gives the blob back', async () => {
    const requests: string[] = [];
    const { client } = await testbedClient({ onRequest: ({ method }) => requests.push(method) });
    const blob = watched(blobOf(25_000));
    const bytes = byteCounts();
    await uploadBlob(client, 'team/app', blob, { chunkSize: 10_000, ...bytes });
    expect(requests).toEqual(['POST', 'PATCH', 'PATCH', 'PATCH', 'PUT']);
    expect(bytes.told).toEqual([10_000, 10_000, 5000]);
    expect(blob.opened).toHaveLength(1);
  });

  test('a blob no larger than a chunk goes whole', async () => {
    const requests: string[] = [];
    const { client } = await testbedClient({ onRequest: ({ method }) => requests.push(method) });
    await uploadBlob(client, 'team/app', blobOf(10_000), { chunkSize: 10_000 });
    expect(requests).toEqual(['POST', 'PUT']);
  });

  test('any blob in chunks of any size arrives as it was', async () => {
    const { client } = await testbedClient();
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 3000 }),
        fc.integer({ min: 1, max: 4000 }),
        async (content, size) => {
          const blob = blobOf(content);
          // Never more than thirty chunks: it is the edges that matter.
          const chunkSize = Math.max(size, Math.ceil(content.length / 30));
          const bytes = byteCounts();
          await uploadBlob(client, 'team/app', blob, { chunkSize, ...bytes });
          expect(bytes.sum).toBe(content.length);
          expect(await buffer(await openBlob(client, 'team/app', blob))).toEqual(blob.bytes);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('the next offset', () => {
  test.each([
    ['no Range', undefined, 0, 10, 10],
    ['what was sent', '0-9', 0, 10, 10],
    ['`bytes=` before it', 'bytes=0-9', 0, 10, 10],
    ['a part (rule 8)', '0-4', 0, 10, 5],
    ["distribution's 0-0 after a first chunk", '0-0', 0, 10, 10],
    ['0-0 after one byte', '0-0', 0, 1, 1],
    ['ECR: stuck at the first chunk', '0-9', 10, 10, 20],
    ['old zot: the length of the last chunk', '0-9', 20, 10, 30],
    ['going back', '0-3', 10, 10, 20],
    ['more than was sent', '0-99', 10, 10, 20],
    ['not from the beginning', '10-19', 10, 10, 20],
    ['a number beyond all', '0-99999999999999999999', 0, 10, 10],
    ['garbage', 'bytes */100', 0, 10, 10],
    ['nothing', '', 0, 10, 10],
  ])('%s', (_what, range, from, length, next) => {
    expect(nextOffset(range, from, length)).toBe(next);
  });

  test('never moves back, nor stands still, nor goes beyond what was sent', () => {
    const range = fc.oneof(
      fc.constant(undefined),
      fc.string(),
      fc
        .tuple(fc.constantFrom('0-', 'bytes=0-', 'bytes 0-', '1-'), fc.nat({ max: 300 }))
        .map(([a, b]) => a + b),
    );
    fc.assert(
      fc.property(range, fc.nat({ max: 200 }), fc.integer({ min: 1, max: 100 }), (said, from, length) => {
        const next = nextOffset(said, from, length);
        expect(next).toBeGreaterThan(from);
        expect(next).toBeLessThanOrEqual(from + length);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the size of a chunk', () => {
  test.each([
    ['0', 0],
    ['5242880', 5 * MIB],
    [String(1024 ** 3), 1024 ** 3],
    [String(1024 ** 3 + 1), 1024 ** 3],
    ['9007199254740991', 1024 ** 3],
    ['1e300', 0],
    ['-5', 0],
    ['1.5', 0],
    ['Infinity', 0],
    ['ten', 0],
    ['', 0],
  ])('OCI-Chunk-Min-Length %j asks for at least %i bytes', async (value, minimum) => {
    const server = await startServer([start(undefined, { 'oci-chunk-min-length': value })]);
    const session = await UploadSession.start(await clientOf(server.origin.href), 'team/app');
    expect(session.chunkMinimum).toBe(minimum);
  });

  test('a minimum above the blob makes one chunk of it', async () => {
    const server = await startServer([
      start(undefined, { 'oci-chunk-min-length': '9007199254740991' }),
      patch({ status: 202 }, '0-24'),
      put({ status: 201 }),
    ]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(25), { chunkSize: 10 });
  });

  test('413 never halves below the minimum the registry wants: then it is the answer', async () => {
    const minimum = 3 * MIB;
    const server = await startServer([
      start(undefined, { 'oci-chunk-min-length': String(minimum) }),
      patch({ status: 413 }, `0-${4 * MIB - 1}`),
      patch({ status: 413, body: 'too large for me' }, `0-${minimum - 1}`),
      cancel(),
    ]);
    const client = await clientOf(server.origin.href);
    const error = await errorOf(uploadBlob(client, 'team/app', blobOf(9 * MIB), { chunkSize: 4 * MIB }));
    expect(error).toMatchObject({ code: 'UPLOAD_REJECTED', details: { status: 413 } });
    expect(error.message).toContain('too large for me');
  });

  test('413 halves what was sent, which at the end is less than a chunk', async () => {
    const server = await startServer([
      start(),
      patch({ status: 202 }, `0-${3 * MIB - 1}`),
      patch({ status: 413 }, `${3 * MIB}-${5 * MIB - 1}`),
      patch({ status: 202 }, `${3 * MIB}-${4 * MIB - 1}`),
      patch({ status: 202 }, `${4 * MIB}-${5 * MIB - 1}`),
      put({ status: 201 }),
    ]);
    const client = await clientOf(server.origin.href);
    await uploadBlob(client, 'team/app', blobOf(5 * MIB), { chunkSize: 3 * MIB });
  });

  test('what was found too large is not tried again with the next blob', async () => {
    const server = await startServer([
      start(),
      patch({ status: 413 }, `0-${2 * MIB - 1}`),
      patch({ status: 202 }, `0-${MIB - 1}`),
      patch({ status: 202 }, `${MIB}-${2 * MIB - 1}`),
      patch({ status: 202 }, `${2 * MIB}-${3 * MIB - 1}`),
      put({ status: 201 }),
      start(`${UPLOADS}2`),
      patch({ status: 202 }, `0-${MIB - 1}`, /uploads\/2/),
      patch({ status: 202 }, `${MIB}-${1.5 * MIB - 1}`, /uploads\/2/),
      put({ status: 201 }, /uploads\/2\?digest=/),
    ]);
    const client = await clientOf(server.origin.href);
    await uploadBlob(client, 'team/app', blobOf(3 * MIB), { chunkSize: 2 * MIB });
    await uploadBlob(client, 'team/app', blobOf(1.5 * MIB), { chunkSize: 2 * MIB });
  });

  test('of nothing is never sent, whoever asks for it', async () => {
    const server = await startServer([
      start(),
      patch({ status: 202 }, '0-0'),
      patch({ status: 202 }, '1-1'),
      put({ status: 201 }),
    ]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(2), { chunkSize: 0 });
  });
});

describe('what the registry says of its state', () => {
  test('zot: a Range that is too small is believed, refused with 416, and set right by asking', async () => {
    const server = await startServer([
      start(),
      patch({ status: 202, headers: { range: '0-5' } }, '0-9'),
      patch({ status: 416, headers: { range: '0-9' } }, '6-15'),
      askedHowFar({ range: '0-9' }),
      patch({ status: 202, headers: { range: '0-19' } }, '10-19'),
      put({ status: 201 }),
    ]);
    const bytes = byteCounts();
    const blob = watched(blobOf('abcdefghijklmnopqrst'));
    const client = await clientOf(server.origin.href);
    await uploadBlob(client, 'team/app', blob, { chunkSize: 10, ...bytes });
    expect(chunksOf(server.requests)).toEqual([
      ['0-9', 'abcdefghij'],
      ['6-15', 'ghijklmnop'],
      ['10-19', 'klmnopqrst'],
    ]);
    expect(bytes.sum).toBe(20);
    expect(blob.opened.every(({ destroyed }) => destroyed)).toBe(true);
  });

  test("distribution's 0-0 means that nothing is there: from byte 0, at the newest Location", async () => {
    const server = await startServer([
      start(),
      patch({ status: 416 }, '0-9'),
      askedHowFar({ range: '0-0', location: `${UPLOADS}1?_state=newer` }),
      patch({ status: 202 }, '0-9', /_state=newer$/),
      patch({ status: 202 }, '10-14', /_state=newer$/),
      put({ status: 201 }),
    ]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(15), { chunkSize: 10 });
  });

  test('416 after the last byte has come: nothing is left to send but the commit', async () => {
    const server = await startServer([
      start(),
      patch({ status: 202 }, '0-9'),
      patch({ status: 416 }, '10-14'),
      askedHowFar({ range: '0-14' }),
      put({ status: 201 }),
    ]);
    const bytes = byteCounts();
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blobOf(15), { chunkSize: 10, ...bytes });
    expect(bytes.sum).toBe(15);
  });

  test.each([
    ['gone (404)', [askedHowFar({}, 404)]],
    ['invalid (400)', [{ ...askedHowFar({}), reply: { status: 400, body: errors('BLOB_UPLOAD_INVALID') } }]],
    ['beyond the blob', [askedHowFar({ range: '0-99' })]],
  ])('a session that turns out to be %s is begun anew', async (_what, answer) => {
    const blob = blobOf('abcdefghijklmno');
    const server = await startServer([
      start(),
      patch({ status: 202 }, '0-9'),
      patch({ status: 416 }, '10-14'),
      ...answer,
      cancel(),
      head(blob.digest, 404),
      start(`${UPLOADS}2`),
      patch({ status: 202 }, '0-9', /uploads\/2/),
      patch({ status: 202 }, '10-14', /uploads\/2/),
      put({ status: 201 }, /uploads\/2\?digest=/),
    ]);
    const bytes = byteCounts();
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 10, ...bytes });
    expect(bytes.told).toEqual([10, -10, 10, 5]);
  });

  test('distribution 2.8 cancels an upload with a stale state (400): begun anew, never resumed', async () => {
    const blob = blobOf('abcdefghijklmno');
    const server = await startServer([
      start(),
      patch({ status: 202 }, '0-9'),
      patch({ status: 400, body: errors('BLOB_UPLOAD_INVALID') }, '10-14'),
      cancel(),
      head(blob.digest, 404),
      start(`${UPLOADS}2`),
      patch({ status: 202 }, '0-9', /uploads\/2/),
      patch({ status: 202 }, '10-14', /uploads\/2/),
      put({ status: 201 }, /uploads\/2\?digest=/),
    ]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 10 });
  });

  test('a chunk whose answer is lost is not sent to the same session again', async () => {
    const blob = blobOf('abcdefghijklmno');
    const server = await startServer([
      start(),
      patch({ status: 202 }, '0-9'),
      patch({ fault: 'cut' }, '10-14'),
      cancel(),
      head(blob.digest, 404),
      start(`${UPLOADS}2`),
      patch({ status: 202 }, '0-9', /uploads\/2/),
      patch({ status: 202 }, '10-14', /uploads\/2/),
      put({ status: 201 }, /uploads\/2\?digest=/),
    ]);
    await uploadBlob(await clientOf(server.origin.href), 'team/app', blob, { chunkSize: 10 });
  });

  test('a chunk refused with 429 goes to the same session again, as it was', async () => {
    const server = await startServer([
      start(),
      patch({ status: 202 }, '0-9'),
      patch({ status: 429 }, '10-14'),
      patch({ status: 202 }, '10-14'),
      put({ status: 201 }),
    ]);
    const client = await clientOf(server.origin.href);
    const bytes = byteCounts();
    await uploadBlob(client, 'team/app', blobOf('abcdefghijklmno'), { chunkSize: 10, ...bytes });
    expect(chunksOf(server.requests).map(([, body]) => body)).toEqual(['abcdefghij', 'klmno', 'klmno']);
    expect(bytes.told).toEqual([10, 5]);
  });

  test('one byte at a time is not taken for getting on', async () => {
    const server = await startServer([
      start(),
      ...Array.from({ length: 11 }, (_, at) => patch({ status: 202, headers: { range: `0-${at + 1}` } })),
      cancel(),
    ]);
    const client = await clientOf(server.origin.href);
    const error = await errorOf(uploadBlob(client, 'team/app', blobOf(1000), { chunkSize: 500 }));
    expect(error.code).toBe('PROTOCOL_VIOLATION');
  });

  test('a 416 that never ends is told in the words of the registry', async () => {
    const server = await startServer([
      start(),
      { ...patch({ status: 416, body: errors('RANGE_INVALID', 'not like this') }), times: 11 },
      { ...askedHowFar({ range: '0-0' }), times: 10 },
      cancel(),
    ]);
    const client = await clientOf(server.origin.href);
    const error = await errorOf(uploadBlob(client, 'team/app', blobOf(20), { chunkSize: 10 }));
    expect(error).toMatchObject({ code: 'REQUEST_REFUSED', details: { registryCode: 'RANGE_INVALID' } });
    expect(error.message).toContain('not like this');
  });
});

describe('the source', () => {
  test.each<[string, (bytes: Buffer) => Buffer, string]>([
    [
      'a changed last byte',
      (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.of(7)]),
      'DIGEST_MISMATCH',
    ],
    ['too few bytes', (bytes) => bytes.subarray(0, -1), 'SIZE_MISMATCH'],
  ])('with %s never gets its last chunk out whole', async (_what, change, code) => {
    const blob = blobOf('abcdefghijklmno'.repeat(10_000));
    const opened: Readable[] = [];
    const liar: KnownBlob = {
      ...blob,
      open() {
        const stream = streamOf(change(blob.bytes));
        opened.push(stream);
        return stream;
      },
    };
    const server = await startServer([
      start(),
      // Read ahead or not, the first chunk may be out when the fault is found; the second must not be.
      { ...patch({ status: 202 }, '0-99999'), times: Number.POSITIVE_INFINITY },
      cancel(),
    ]);
    const client = await clientOf(server.origin.href);
    const error = await errorOf(uploadBlob(client, 'team/app', liar, { chunkSize: 100_000 }));
    expect(error.code).toBe(code);
    expect(opened.map(({ destroyed }) => destroyed)).toEqual([true]);
  });

  test('is closed when a chunk is cut off', async () => {
    // More than the sockets between us take in.
    const blob = watched(blobOf(24 * MIB));
    const server = await startServer([start(), cancel(), head(blob.digest, 404)], {
      onRequest(request) {
        if (request.method === 'PATCH') request.once('readable', () => request.socket.destroy());
      },
    });
    const client = await clientOf(server.origin.href, { retries: 0 });
    expect(await errorOf(uploadBlob(client, 'team/app', blob, { chunkSize: 20 * MIB }))).toMatchObject({
      code: 'CONNECTION_FAILED',
    });
    await expect.poll(() => blob.opened.map(({ destroyed }) => destroyed)).toEqual([true]);
  });

  test('is closed after an abort, and the session cancelled', async () => {
    // More than the sockets between us take in.
    const blob = watched(blobOf(24 * MIB));
    const abort = new AbortController();
    const server = await startServer(
      [start(), { ...patch({ fault: 'silence' }), times: Number.POSITIVE_INFINITY }, cancel()],
      {
        onRequest(request) {
          if (request.method === 'PATCH') request.once('readable', () => abort.abort());
        },
      },
    );
    const client = await clientOf(server.origin.href);
    const work = uploadBlob(client, 'team/app', blob, { chunkSize: 20 * MIB, signal: abort.signal });
    expect(await errorOf(work)).toMatchObject({ code: 'INTERRUPTED' });
    await expect.poll(() => blob.opened.map(({ destroyed }) => destroyed)).toEqual([true]);
  });
});
