import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { openBlob, pushBlob, uploadBlob } from '../../../src/registry/index.ts';
import { type Exchange, type Reply, startServer } from '../../support/http-server.ts';
import { blobOf, clientOf, errorOf, recordingLog, testbedClient } from './support.ts';
import { cancel, head, put, start, UPLOADS } from './upload-script.ts';

// Blobs taken over from another repository, and every way in which a registry may not do that.

const mount = (from: string, reply: Reply): Exchange => ({
  expect: {
    method: 'POST',
    path: new RegExp(`\\?mount=sha256%3A[0-9a-f]{64}&from=${encodeURIComponent(from)}$`),
  },
  reply,
});

describe('a testbed', () => {
  test('takes a blob over from a repository that has it: nothing is sent', async () => {
    const seen: string[] = [];
    const { client } = await testbedClient({
      onRequest: ({ method, bytesIn }) => seen.push(`${method} ${bytesIn}`),
    });
    const blob = blobOf(5000);
    await uploadBlob(client, 'first/app', blob);
    seen.length = 0;
    const pushed = await pushBlob(client, 'second/app', blob, undefined, { mountFrom: ['first/app'] });
    expect(pushed).toEqual({ digest: blob.digest, size: 5000, status: 'mounted' });
    expect(seen).toEqual(['HEAD 0', 'POST 0']);
    expect(await buffer(await openBlob(client, 'second/app', blob))).toEqual(blob.bytes);
  });

  test('that lacks the blob there opens a session, which takes the upload', async () => {
    const seen: string[] = [];
    const { client } = await testbedClient({
      onRequest: ({ method, status }) => seen.push(`${method} ${status}`),
    });
    const blob = blobOf(50);
    const pushed = await pushBlob(client, 'second/app', blob, blob, { mountFrom: ['first/app'] });
    expect(pushed?.status).toBe('uploaded');
    expect(seen).toEqual(['HEAD 404', 'POST 202', 'PUT 201']);
    // That it was not there says nothing about mounts.
    expect(client.traits.mountRefused).toBe(false);
  });

  test('is asked for each repository in turn, and no session of those before is left', async () => {
    const seen: string[] = [];
    const { client } = await testbedClient({
      onRequest: ({ method, status }) => seen.push(`${method} ${status}`),
    });
    const blob = blobOf(50);
    await uploadBlob(client, 'third/app', blob);
    seen.length = 0;
    const pushed = await pushBlob(client, 'second/app', blob, blob, {
      mountFrom: ['first/app', 'second/app', 'third/app'],
    });
    expect(pushed?.status).toBe('mounted');
    expect(seen).toEqual(['HEAD 404', 'POST 202', 'DELETE 204', 'POST 201']);
  });

  test('with tokens is asked with the right to read the other repository', async () => {
    const auth = { username: 'anna', password: 'hunter2-S3cr3t' };
    const { client } = await testbedClient({ auth, tokenAuth: true }, { credential: auth });
    const blob = blobOf(50);
    await uploadBlob(client, 'first/app', blob);
    expect(await pushBlob(client, 'second/app', blob, undefined, { mountFrom: ['first/app'] })).toMatchObject(
      { status: 'mounted' },
    );
  });
});

describe('a registry that does not mount', () => {
  test.each([400, 403, 404, 405])('with %i is not asked again for the next blob', async (status) => {
    const [first, second] = [blobOf('hello'), blobOf('again')];
    const server = await startServer([
      head(first.digest, 404),
      mount('other/app', { status }),
      start(),
      put({ status: 201 }),
      head(second.digest, 404),
      start(`${UPLOADS}2`),
      put({ status: 201 }, /uploads\/2\?digest=/),
    ]);
    const client = await clientOf(server.origin.href);
    for (const blob of [first, second]) {
      await pushBlob(client, 'team/app', blob, blob, { mountFrom: ['other/app', 'third/app'] });
    }
    expect(server.requests.filter(({ path }) => path.includes('mount='))).toHaveLength(1);
  });

  test('and gives no Location, or a forbidden one, with its 202 gets a plain upload', async () => {
    for (const headers of [{}, { location: 'http://169.254.169.254/latest/meta-data' }]) {
      const blob = blobOf('hello');
      const log = recordingLog();
      const server = await startServer([
        head(blob.digest, 404),
        mount('other/app', { status: 202, headers: headers as Record<string, string> }),
        start(),
        put({ status: 201 }),
      ]);
      const client = await clientOf(server.origin.href, { log });
      const pushed = await pushBlob(client, 'team/app', blob, blob, { mountFrom: ['other/app'] });
      expect(pushed?.status).toBe('uploaded');
      expect(client.traits.mountRefused).toBe(true);
    }
  });

  test('Harbor: 401 for a foreign project, whatever token is brought', async () => {
    const blob = blobOf('hello');
    const server = await startServer((origin) => {
      const challenge = { 'www-authenticate': `Bearer realm="${origin}/token",service="harbor"` };
      return [
        {
          expect: { method: 'HEAD', path: /blobs/, headers: { authorization: null } },
          reply: { status: 401, headers: challenge },
        },
        { expect: { path: /^\/token\?/ }, reply: { body: '{"token":"t0ken"}' }, times: 2 },
        head(blob.digest, 404),
        mount('other/app', { status: 401, headers: challenge }),
        start(),
        put({ status: 201 }),
      ];
    });
    const client = await clientOf(server.origin.href, { credential: { username: 'u', password: 'p' } });
    const pushed = await pushBlob(client, 'team/app', blob, blob, { mountFrom: ['other/app'] });
    expect(pushed).toMatchObject({ status: 'uploaded' });
  });

  test('a token service that refuses both scopes at once is asked for the first alone', async () => {
    const blob = blobOf('hello');
    const both = /scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Aother%2Fapp%3Apull/;
    const server = await startServer((origin) => {
      const challenge = { 'www-authenticate': `Bearer realm="${origin}/token",service="r"` };
      return [
        {
          expect: { method: 'HEAD', path: /blobs/, headers: { authorization: null } },
          reply: { status: 401, headers: challenge },
        },
        { expect: { path: both }, reply: { status: 403 } },
        {
          expect: { path: /^\/token\?/ },
          reply: { body: '{"token":"t0ken"}' },
          times: Number.POSITIVE_INFINITY,
        },
        head(blob.digest, 404),
        mount('other/app', { status: 202, headers: { location: `${UPLOADS}1` } }),
        put({ status: 201 }),
      ];
    });
    const client = await clientOf(server.origin.href, { credential: { username: 'u', password: 'p' } });
    const pushed = await pushBlob(client, 'team/app', blob, blob, { mountFrom: ['other/app'] });
    expect(pushed?.status).toBe('uploaded');
    expect(server.requests.filter(({ path }) => both.test(path))).toHaveLength(1);
  });
});

test('from the same repository is no mount', async () => {
  const blob = blobOf('hello');
  const server = await startServer([head(blob.digest, 404), start(), put({ status: 201 })]);
  const client = await clientOf(server.origin.href);
  await pushBlob(client, 'team/app', blob, blob, { mountFrom: ['team/app'] });
});

test('a session left by a mount is cancelled when its upload fails, and the next try opens its own', async () => {
  const blob = blobOf('hello');
  const server = await startServer([
    head(blob.digest, 404),
    mount('other/app', { status: 202, headers: { location: `${UPLOADS}m` } }),
    put({ status: 500 }, /uploads\/m\?digest=/),
    cancel(/uploads\/m/),
    head(blob.digest, 404),
    start(),
    put({ status: 201 }),
  ]);
  const client = await clientOf(server.origin.href);
  await pushBlob(client, 'team/app', blob, blob, { mountFrom: ['other/app'] });
});

test('an abort during a mount ends the work', async () => {
  const blob = blobOf('hello');
  const abort = new AbortController();
  const server = await startServer([head(blob.digest, 404), mount('other/app', { fault: 'silence' })], {
    onRequest(request) {
      if (request.method === 'POST') setImmediate(() => abort.abort());
    },
  });
  const client = await clientOf(server.origin.href);
  const options = { mountFrom: ['other/app'], signal: abort.signal };
  expect(await errorOf(pushBlob(client, 'team/app', blob, blob, options))).toMatchObject({
    code: 'INTERRUPTED',
  });
  // An interrupt is no refusal.
  expect(client.traits.mountRefused).toBe(false);
});

test('an abort while a mount opens a session cancels that', async () => {
  const blob = blobOf('hello');
  const abort = new AbortController();
  const opened = { status: 202, headers: { location: `${UPLOADS}1` } };
  const server = await startServer([head(blob.digest, 404), mount('other/app', opened), cancel()], {
    onRequest(request) {
      if (request.method === 'POST') abort.abort();
    },
  });
  const options = { mountFrom: ['other/app'], signal: abort.signal };
  const work = pushBlob(await clientOf(server.origin.href), 'team/app', blob, blob, options);
  expect(await errorOf(work)).toMatchObject({ code: 'INTERRUPTED' });
});

test('an abort between two mounts cancels the session that the first one opened', async () => {
  const blob = blobOf('hello');
  const abort = new AbortController();
  const server = await startServer(
    [
      head(blob.digest, 404),
      mount('other/app', { status: 202, headers: { location: `${UPLOADS}1` } }),
      { expect: { method: 'HEAD', path: /third/ }, reply: { fault: 'silence' } },
      cancel(),
    ],
    {
      onRequest(request) {
        if (request.url?.includes('third')) abort.abort();
      },
    },
  );
  const options = { mountFrom: ['other/app'], mountCandidates: ['third/app'], signal: abort.signal };
  const work = pushBlob(await clientOf(server.origin.href), 'team/app', blob, blob, options);
  expect(await errorOf(work)).toMatchObject({ code: 'INTERRUPTED' });
});

describe('a repository that held the blob some time ago', () => {
  const heldByOld = ({ digest, size }: { digest: string; size: number }): Exchange => ({
    expect: { method: 'HEAD', path: `/v2/old/app/blobs/${digest}` },
    reply: { status: 200, headers: { 'content-length': String(size) } },
  });

  test('is asked, and mounted from', async () => {
    const blob = blobOf('hello');
    const server = await startServer([
      head(blob.digest, 404),
      heldByOld(blob),
      mount('old/app', { status: 201 }),
    ]);
    const client = await clientOf(server.origin.href);
    const options = { mountCandidates: ['team/app', 'old/app'] };
    expect(await pushBlob(client, 'team/app', blob, blob, options)).toMatchObject({ status: 'mounted' });
  });

  test.each([404, 403, 401, 500])(
    'and does not any more (%i) is told of, and no reason to mount nothing',
    async (status) => {
      const blob = blobOf('hello');
      const challenge: Record<string, string> =
        status === 401 ? { 'www-authenticate': 'Basic realm="r"' } : {};
      const server = await startServer([
        head(blob.digest, 404),
        {
          expect: { method: 'HEAD', path: `/v2/old/app/blobs/${blob.digest}` },
          reply: { status, headers: challenge },
          times: status === 500 ? 3 : 1,
        },
        start(),
        put({ status: 201 }),
      ]);
      const client = await clientOf(server.origin.href);
      const gone: string[] = [];
      const pushed = await pushBlob(client, 'team/app', blob, blob, {
        mountCandidates: ['old/app'],
        onCandidateGone: (repository) => gone.push(repository),
      });
      expect(pushed).toMatchObject({ status: 'uploaded' });
      expect([gone, client.traits.mountRefused]).toEqual([['old/app'], false]);
    },
  );

  test('and cannot be mounted from says nothing about the archive’s own repositories', async () => {
    const [first, second] = [blobOf('hello'), blobOf('again')];
    const server = await startServer([
      head(first.digest, 404),
      heldByOld(first),
      mount('old/app', { status: 403 }),
      start(),
      put({ status: 201 }),
      head(second.digest, 404),
      mount('own/app', { status: 201 }),
    ]);
    const client = await clientOf(server.origin.href);
    const mountCandidates = ['old/app', 'old/other'];
    expect(await pushBlob(client, 'team/app', first, first, { mountCandidates })).toMatchObject({
      status: 'uploaded',
    });
    const options = { mountFrom: ['own/app'], mountCandidates };
    expect(await pushBlob(client, 'team/app', second, second, options)).toMatchObject({ status: 'mounted' });
  });

  test('and holds it in another size is not mounted from', async () => {
    const blob = blobOf('hello');
    const server = await startServer([
      head(blob.digest, 404),
      heldByOld({ ...blob, size: 7 }),
      start(),
      put({ status: 201 }),
    ]);
    const options = { mountCandidates: ['old/app'] };
    const pushed = await pushBlob(await clientOf(server.origin.href), 'team/app', blob, blob, options);
    expect(pushed).toMatchObject({ status: 'uploaded' });
  });

  test('is one of three at most', async () => {
    const blob = blobOf('hello');
    const server = await startServer([
      head(blob.digest, 404),
      { expect: { method: 'HEAD', path: /\/v2\/old-/ }, reply: { status: 404 }, times: 3 },
      start(),
      put({ status: 201 }),
    ]);
    const mountCandidates = ['old-1', 'old-2', 'old-3', 'old-4'];
    await pushBlob(await clientOf(server.origin.href), 'team/app', blob, blob, { mountCandidates });
  });
});
