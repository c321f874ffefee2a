import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { deleteBlob, headBlob, openBlob, readBlob, uploadBlob } from '../../../src/registry/index.ts';
import { type Reply, startServer } from '../../support/http-server.ts';
import { blobOf, clientOf, errorOf, testbedClient } from './support.ts';

// Blobs asked for, read and deleted.

const BLOB = blobOf('the bytes of a blob');
const PATH = `/v2/team/app/blobs/${BLOB.digest}`;

async function clientAnswered(method: string, reply: Reply, times = 1) {
  const server = await startServer([{ expect: { method, path: PATH }, reply, times }]);
  return { server, client: await clientOf(server.origin.href) };
}

describe('a testbed', () => {
  test('has a blob, gives it, and deletes it', async () => {
    const { client } = await testbedClient();
    expect(await headBlob(client, 'team/app', BLOB.digest)).toEqual({ state: 'absent' });
    await uploadBlob(client, 'team/app', BLOB);
    expect(await headBlob(client, 'team/app', BLOB.digest)).toEqual({ state: 'present', size: BLOB.size });
    expect(await buffer(await openBlob(client, 'team/app', BLOB))).toEqual(BLOB.bytes);
    expect(await readBlob(client, 'team/app', BLOB, 100)).toEqual(BLOB.bytes);
    await deleteBlob(client, 'team/app', BLOB.digest);
    expect(await headBlob(client, 'team/app', BLOB.digest)).toEqual({ state: 'absent' });
    expect(await errorOf(deleteBlob(client, 'team/app', BLOB.digest))).toMatchObject({
      code: 'BLOB_NOT_FOUND',
    });
  });

  test('without a blob, or without the repository', async () => {
    const { client } = await testbedClient();
    expect(await errorOf(openBlob(client, 'team/app', BLOB))).toMatchObject({
      code: expect.stringMatching(/^(BLOB|REPOSITORY)_NOT_FOUND$/),
    });
    await uploadBlob(client, 'team/app', blobOf(1));
    const error = await errorOf(openBlob(client, 'team/app', BLOB));
    expect(error.code).toBe('BLOB_NOT_FOUND');
    expect(error.message).toContain(`blob ${BLOB.digest} in team/app`);
  });
});

describe('HEAD', () => {
  test.each<[number, Record<string, string>, unknown]>([
    [200, { 'content-length': '19' }, { state: 'present', size: 19 }],
    [200, { 'transfer-encoding': 'chunked' }, { state: 'present' }],
    [404, {}, { state: 'absent' }],
    [400, {}, { state: 'unknown' }],
    [403, {}, { state: 'unknown' }],
    [405, {}, { state: 'unknown' }],
    [410, {}, { state: 'unknown' }],
    [204, {}, { state: 'unknown' }],
  ])('%i %o', async (status, headers, presence) => {
    // Written by hand: a server of Node's adds a Content-Length.
    const lines = [
      `HTTP/1.1 ${status} X`,
      ...Object.entries(headers).map((header) => header.join(': ')),
      'connection: close',
    ];
    const { client } = await clientAnswered('HEAD', { fault: { raw: `${lines.join('\r\n')}\r\n\r\n` } });
    expect(await headBlob(client, 'team/app', BLOB.digest)).toEqual(presence);
  });

  test.each([
    [401, 'AUTHENTICATION_FAILED', 1],
    [429, 'RATE_LIMITED', 3],
    [500, 'SERVER_ERROR', 3],
    [501, 'UNSUPPORTED_BY_SERVER', 1],
    [504, 'TIMED_OUT', 3],
  ])('%i is an error, after its repeats', async (status, code, times) => {
    const headers: Record<string, string> = status === 401 ? { 'www-authenticate': 'Basic realm="r"' } : {};
    const { client } = await clientAnswered('HEAD', { status, headers }, times);
    expect(await errorOf(headBlob(client, 'team/app', BLOB.digest))).toMatchObject({
      code,
      details: { status },
    });
  });

  test('follows a redirect to the storage', async () => {
    const storage = await startServer([
      { expect: { method: 'HEAD', path: '/bucket/x' }, reply: { headers: { 'content-length': '19' } } },
    ]);
    const { client } = await clientAnswered('HEAD', {
      status: 307,
      headers: { location: `${storage.origin.origin}/bucket/x` },
    });
    expect(await headBlob(client, 'team/app', BLOB.digest)).toEqual({ state: 'present', size: 19 });
  });
});

describe('GET', () => {
  const other = Buffer.from('the bytes of a bl0b');

  test.each<[string, string, Reply]>([
    ['wrong bytes', 'DIGEST_MISMATCH', { body: other }],
    ['too many bytes', 'SIZE_MISMATCH', { body: Buffer.concat([BLOB.bytes, other]) }],
    ['too few bytes', 'SIZE_MISMATCH', { body: BLOB.bytes.subarray(1) }],
    ['an end before the promised length', 'CONNECTION_FAILED', { body: BLOB.bytes, fault: 'cut-body' }],
    ['no bytes', 'SIZE_MISMATCH', { body: '' }],
    ['a part (206)', 'PROTOCOL_VIOLATION', { status: 206, body: BLOB.bytes }],
    ['nothing new (304)', 'PROTOCOL_VIOLATION', { status: 304 }],
    ['403', 'PERMISSION_DENIED', { status: 403 }],
    ['404', 'BLOB_NOT_FOUND', { status: 404 }],
  ])('%s: %s', async (_what, code, reply) => {
    const { client } = await clientAnswered('GET', reply);
    const read = async () => buffer(await openBlob(client, 'team/app', BLOB));
    expect(await errorOf(read())).toMatchObject({ code });
  });

  test('wrong bytes are found out without a known size too', async () => {
    const { client } = await clientAnswered('GET', { body: other });
    const read = async () => buffer(await openBlob(client, 'team/app', { digest: BLOB.digest }));
    expect(await errorOf(read())).toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('of wrong bytes, the last ones are kept back', async () => {
    const { client } = await clientAnswered('GET', { body: other });
    const seen: Buffer[] = [];
    const read = async () => {
      for await (const chunk of await openBlob(client, 'team/app', BLOB)) seen.push(chunk as Buffer);
    };
    await errorOf(read());
    expect(Buffer.concat(seen).length).toBeLessThan(BLOB.size);
  });

  test.each(['gzip', 'br', 'GZIP', 'gzip, identity', '\u009b31mgzip'])(
    'Content-Encoding %j is refused: the digest is of other bytes',
    async (encoding) => {
      const { server, client } = await clientAnswered('GET', {
        headers: { 'content-encoding': encoding },
        body: BLOB.bytes,
      });
      const error = await errorOf(openBlob(client, 'team/app', BLOB));
      expect(error.code).toBe('PROTOCOL_VIOLATION');
      expect(error.message).not.toContain('\u009b');
      expect(server.requests[0]?.headers['accept-encoding']).toBe('identity');
    },
  );

  test.each(['identity', 'Identity', ''])('Content-Encoding %j changes nothing', async (encoding) => {
    const { client } = await clientAnswered('GET', {
      headers: { 'content-encoding': encoding },
      body: BLOB.bytes,
    });
    expect(await buffer(await openBlob(client, 'team/app', BLOB))).toEqual(BLOB.bytes);
  });

  test('a stream that is destroyed lets go of its connection', async () => {
    const { server, client } = await clientAnswered('GET', { body: BLOB.bytes, fault: 'stall-body' });
    const stream = await openBlob(client, 'team/app', BLOB);
    expect(server.connections).toBe(1);
    stream.destroy();
    await expect.poll(() => server.connections).toBe(0);
  });

  test('a storage that a redirect leads to is not trusted with the bytes, nor given credentials', async () => {
    const storage = await startServer([
      { expect: { path: '/bucket/x', headers: { authorization: null } }, reply: { body: other } },
    ]);
    const server = await startServer([
      {
        expect: { path: PATH, headers: { authorization: null } },
        reply: { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } },
      },
      {
        expect: { path: PATH, headers: { authorization: /^Basic / } },
        reply: { status: 307, headers: { location: `${storage.origin.origin}/bucket/x` } },
      },
    ]);
    const client = await clientOf(server.origin.href, { credential: { username: 'u', password: 'p' } });
    const read = async () => buffer(await openBlob(client, 'team/app', BLOB));
    expect(await errorOf(read())).toMatchObject({ code: 'DIGEST_MISMATCH' });
  });
});

describe('a small blob read whole', () => {
  test('larger than allowed is not asked for, when its size is known', async () => {
    const server = await startServer([]);
    const client = await clientOf(server.origin.href);
    expect(await errorOf(readBlob(client, 'team/app', BLOB, BLOB.size - 1))).toMatchObject({
      code: 'RESPONSE_TOO_LARGE',
    });
  });

  test('is cut off where it is too large, when its size is not known', async () => {
    const large = blobOf(500_000);
    const server = await startServer([
      { expect: { path: /blobs/ }, reply: { body: large.bytes, fault: 'stall-body' } },
    ]);
    const client = await clientOf(server.origin.href);
    expect(await errorOf(readBlob(client, 'team/app', { digest: large.digest }, 1000))).toMatchObject({
      code: 'RESPONSE_TOO_LARGE',
    });
    await expect.poll(() => server.connections).toBe(0);
  });
});

test.each([
  [202, undefined],
  [204, undefined],
  [404, 'BLOB_NOT_FOUND'],
  [405, 'UNSUPPORTED_BY_SERVER'],
  [403, 'PERMISSION_DENIED'],
])('a DELETE answered with %i', async (status, code) => {
  const { client } = await clientAnswered('DELETE', { status });
  const work = deleteBlob(client, 'team/app', BLOB.digest);
  if (code === undefined) await work;
  else expect(await errorOf(work)).toMatchObject({ code });
});
