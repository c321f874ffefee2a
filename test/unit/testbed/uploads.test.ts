import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { Testbed } from '../../../src/testbed/index.ts';
import {
  beginUpload,
  call,
  codeOf,
  digestOf,
  openTestbed,
  openTestbedOn,
  pushBlob,
  STORAGE_KINDS,
  temporaryFolder,
  unknownDigest,
  withDigest,
} from '../../support/testbed-client.ts';

/** Begins a PATCH of announced length, sends part of it, and leaves it there. */
async function sendHalf(testbed: Testbed, location: string, part: string, announced: number) {
  const { hostname, port } = new URL(testbed.url);
  const half = request({
    hostname,
    port,
    path: location,
    method: 'PATCH',
    headers: { 'content-length': announced },
  });
  half.on('error', () => {});
  half.write(part);
  await vi.waitFor(async () => {
    expect((await call(testbed, 'GET', location)).headers.range).toBe(`0-${part.length - 1}`);
  }, 60_000);
  return half;
}

describe.each(STORAGE_KINDS)('uploads (%s)', (kind) => {
  it('make the same blob of the same bytes, however they are cut', async () => {
    const testbed = await openTestbedOn(kind);
    const piece = fc.uint8Array({ maxLength: 40_000 });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 6 }), fc.boolean(), async (pieces, streamed) => {
        let location = await beginUpload(testbed, 'app');
        for (const chunk of pieces) {
          const body = streamed ? Readable.from([Buffer.from(chunk)]) : chunk;
          const answer = await call(testbed, 'PATCH', location, { body });
          expect(answer.status).toBe(202);
          location = answer.headers.location as string;
        }
        const whole = Buffer.concat(pieces);
        const put = await call(testbed, 'PUT', withDigest(location, digestOf(whole)));
        expect(put.status).toBe(201);
        const pulled = await call(testbed, 'GET', put.headers.location as string);
        expect(pulled.body.equals(whole)).toBe(true);
        expect(pulled.headers['content-length']).toBe(String(whole.length));
      }),
      { numRuns: 25 },
    );
  });

  it('take a blob of several MiB in one piece and give it back', async () => {
    const testbed = await openTestbedOn(kind);
    const blob = randomBytes(5 * 1024 * 1024 + 17);
    const digest = await pushBlob(testbed, 'app', blob);
    const pulled = await call(testbed, 'GET', `/v2/app/blobs/${digest}`);
    expect(pulled.body.equals(blob)).toBe(true);
  });

  it('take sha512, also of what came before the digest was known', async () => {
    const testbed = await openTestbedOn(kind);
    const location = await beginUpload(testbed, 'app');
    await call(testbed, 'PATCH', location, { body: 'abc' });
    const digest = digestOf('abcdef', 'sha512');
    const put = await call(testbed, 'PUT', withDigest(location, digest), { body: 'def' });
    expect(put.status).toBe(201);
    expect((await call(testbed, 'GET', `/v2/app/blobs/${digest}`)).body.toString()).toBe('abcdef');
    expect((await call(testbed, 'GET', `/v2/app/blobs/${digestOf('abcdef')}`)).status).toBe(404);
  });

  it('take the empty blob', async () => {
    const testbed = await openTestbedOn(kind);
    const digest = await pushBlob(testbed, 'app', '');
    const pulled = await call(testbed, 'GET', `/v2/app/blobs/${digest}`);
    expect([pulled.status, pulled.headers['content-length']]).toEqual([200, '0']);
  });

  it('go on where a broken connection left them', async () => {
    const testbed = await openTestbedOn(kind);
    const location = await beginUpload(testbed, 'app');
    const half = await sendHalf(testbed, location, 'abc', 100);
    half.destroy();
    await vi.waitFor(async () => {
      const rest = await call(testbed, 'PATCH', location, {
        headers: { 'content-range': '3-5' },
        body: 'def',
      });
      expect(rest.status).toBe(202);
    }, 60_000);
    expect((await call(testbed, 'PUT', withDigest(location, digestOf('abcdef')))).status).toBe(201);
  });

  it('take one request at a time', async () => {
    const testbed = await openTestbedOn(kind);
    const location = await beginUpload(testbed, 'app');
    const half = await sendHalf(testbed, location, 'abc', 100);
    expect((await call(testbed, 'PATCH', location, { body: 'def' })).status).toBe(416);
    expect((await call(testbed, 'PUT', withDigest(location, digestOf('abc')))).status).toBe(416);
    half.destroy();
  });

  it('can be cancelled, also while they are sent', async () => {
    const testbed = await openTestbedOn(kind);
    const idle = await beginUpload(testbed, 'app');
    const busy = await beginUpload(testbed, 'app');
    const half = await sendHalf(testbed, busy, 'abc', 100);
    for (const location of [idle, busy]) {
      expect((await call(testbed, 'DELETE', location)).status).toBe(204);
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        const answer = await call(testbed, method, location);
        expect([answer.status, codeOf(answer)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
      }
    }
    const answered = new Promise<number | undefined>((resolve) => {
      half.on('response', (response) => resolve(response.resume().statusCode));
    });
    half.end('d'.repeat(97));
    expect(await answered).toBe(404);
  });

  it('are over when their digest is wrong', async () => {
    const testbed = await openTestbedOn(kind);
    const location = await beginUpload(testbed, 'app');
    const wrong = await call(testbed, 'PUT', withDigest(location, unknownDigest()), { body: 'abc' });
    expect([wrong.status, codeOf(wrong)]).toEqual([400, 'DIGEST_INVALID']);
    expect((await call(testbed, 'GET', location)).status).toBe(404);
  });

  it('are over when a streamed chunk is not as long as its Content-Range', async () => {
    const testbed = await openTestbedOn(kind);
    for (const body of ['ab', 'abcd']) {
      const location = await beginUpload(testbed, 'app');
      const answer = await call(testbed, 'PATCH', location, {
        headers: { 'content-range': '0-2' },
        body: Readable.from([Buffer.from(body)]),
      });
      expect([answer.status, codeOf(answer)]).toEqual([400, 'SIZE_INVALID']);
      expect((await call(testbed, 'GET', location)).status).toBe(404);
    }
  });

  it('belong to their repository', async () => {
    const testbed = await openTestbedOn(kind);
    const location = await beginUpload(testbed, 'app');
    const elsewhere = location.replace('/v2/app/', '/v2/other/');
    expect((await call(testbed, 'GET', elsewhere)).status).toBe(404);
    expect((await call(testbed, 'GET', location)).status).toBe(204);
  });
});

describe('uploads in a folder', () => {
  it('leave nothing behind but blobs', async () => {
    const dir = await temporaryFolder();
    const testbed = await openTestbed({ dir });
    await pushBlob(testbed, 'app', 'kept');
    await call(testbed, 'PUT', withDigest(await beginUpload(testbed, 'app'), unknownDigest()), { body: 'x' });
    await call(testbed, 'POST', `/v2/app/blobs/uploads/?digest=${unknownDigest()}`, { body: 'x' });
    const cancelled = await beginUpload(testbed, 'app');
    await call(testbed, 'PATCH', cancelled, { body: 'x' });
    expect(await readdir(join(dir, 'uploads'))).toHaveLength(1);
    await call(testbed, 'DELETE', cancelled);
    expect(await readdir(join(dir, 'uploads'))).toEqual([]);
    expect(await readdir(join(dir, 'blobs', 'sha256'))).toEqual([digestOf('kept').slice('sha256:'.length)]);
  });
});
