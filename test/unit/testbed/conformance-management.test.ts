/**
 * OCI distribution spec 1.1, "Content Management", and "Error Codes", which binds every category: one test
 * for each MUST on registries. Left out is what a registry must do whose deletion is disabled: ours is not;
 * and the rules for Warning headers: we send none.
 */
import { describe, expect, it } from 'vitest';
import {
  beginUpload,
  call,
  codeOf,
  descriptorOf,
  digestOf,
  openTestbedOn,
  prepareImage,
  pushBlob,
  pushImage,
  putManifest,
  STORAGE_KINDS,
  unknownDigest,
  withDigest,
} from '../../support/testbed-client.ts';

describe.each(STORAGE_KINDS)('Content Management (%s)', (kind) => {
  describe('Deleting tags', () => {
    it('MUST answer 202; then the tag is gone, its manifest and its other tags are not', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'app', 'one');
      await putManifest(testbed, 'app', 'two', image.text);
      expect((await call(testbed, 'DELETE', '/v2/app/manifests/one')).status).toBe(202);
      expect((await call(testbed, 'GET', '/v2/app/manifests/one')).status).toBe(404);
      expect((await call(testbed, 'GET', '/v2/app/manifests/two')).status).toBe(200);
      expect((await call(testbed, 'GET', `/v2/app/manifests/${image.digest}`)).status).toBe(200);
      expect((await call(testbed, 'GET', '/v2/app/tags/list')).json.tags).toEqual(['two']);
    });
  });

  describe('Deleting Manifests', () => {
    it('MUST answer 202; then the manifest and every tag that points at it are gone', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'app', 'one');
      await putManifest(testbed, 'app', 'two', image.text);
      await pushImage(testbed, 'app', 'other');
      expect((await call(testbed, 'DELETE', `/v2/app/manifests/${image.digest}`)).status).toBe(202);
      for (const reference of ['one', 'two', image.digest]) {
        expect((await call(testbed, 'GET', `/v2/app/manifests/${reference}`)).status).toBe(404);
      }
      expect((await call(testbed, 'GET', '/v2/app/tags/list')).json.tags).toEqual(['other']);
    });

    it('MUST answer 404 when the repository does not exist', async () => {
      const testbed = await openTestbedOn(kind);
      for (const reference of [unknownDigest(), 'latest']) {
        const answer = await call(testbed, 'DELETE', `/v2/nowhere/manifests/${reference}`);
        expect([answer.status, codeOf(answer)]).toEqual([404, 'NAME_UNKNOWN']);
      }
    });

    it('answers 404 when there is nothing to delete, also the second time', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'app', '1');
      await call(testbed, 'DELETE', `/v2/app/manifests/${image.digest}`);
      for (const reference of [image.digest, '1', 'never']) {
        const answer = await call(testbed, 'DELETE', `/v2/app/manifests/${reference}`);
        expect([answer.status, codeOf(answer)]).toEqual([404, 'MANIFEST_UNKNOWN']);
      }
    });

    it('takes a deleted manifest off its subject’s referrers', async () => {
      const testbed = await openTestbedOn(kind);
      const base = await pushImage(testbed, 'app', 'base');
      const signature = await pushImage(testbed, 'app', 'signature', { subject: descriptorOf(base) });
      const referrers = async (): Promise<unknown[]> =>
        (await call(testbed, 'GET', `/v2/app/referrers/${base.digest}`)).json.manifests;
      expect(await referrers()).toHaveLength(1);
      await call(testbed, 'DELETE', `/v2/app/manifests/${signature.digest}`);
      expect(await referrers()).toEqual([]);
    });
  });

  describe('Deleting Blobs', () => {
    it('MUST answer 202; then the blob is gone from this repository and from no other', async () => {
      const testbed = await openTestbedOn(kind);
      const digest = await pushBlob(testbed, 'app', 'shared');
      await pushBlob(testbed, 'other', 'shared');
      expect((await call(testbed, 'DELETE', `/v2/app/blobs/${digest}`)).status).toBe(202);
      expect((await call(testbed, 'GET', `/v2/app/blobs/${digest}`)).status).toBe(404);
      expect((await call(testbed, 'GET', `/v2/other/blobs/${digest}`)).body.toString()).toBe('shared');
      await call(testbed, 'DELETE', `/v2/other/blobs/${digest}`);
      await pushBlob(testbed, 'app', 'shared');
      expect((await call(testbed, 'GET', `/v2/app/blobs/${digest}`)).body.toString()).toBe('shared');
    });

    it('MUST answer 404 when the blob is not found', async () => {
      const testbed = await openTestbedOn(kind);
      await pushBlob(testbed, 'app', 'a blob');
      const answer = await call(testbed, 'DELETE', `/v2/app/blobs/${unknownDigest()}`);
      expect([answer.status, codeOf(answer)]).toEqual([404, 'BLOB_UNKNOWN']);
      expect((await call(testbed, 'DELETE', `/v2/nowhere/blobs/${unknownDigest()}`)).status).toBe(404);
    });
  });
});

describe('Error Codes', () => {
  const KNOWN = new Set([
    'BLOB_UNKNOWN',
    'BLOB_UPLOAD_INVALID',
    'BLOB_UPLOAD_UNKNOWN',
    'DIGEST_INVALID',
    'MANIFEST_BLOB_UNKNOWN',
    'MANIFEST_INVALID',
    'MANIFEST_UNKNOWN',
    'NAME_INVALID',
    'NAME_UNKNOWN',
    'SIZE_INVALID',
    'UNAUTHORIZED',
    'DENIED',
    'UNSUPPORTED',
    'TOOMANYREQUESTS',
  ]);

  it('a JSON body MUST be a list of errors whose code MUST be one of the spec’s', async () => {
    const testbed = await openTestbedOn('memory');
    const image = await prepareImage(testbed, 'app');
    const upload = await beginUpload(testbed, 'app');
    const unknownUpload = '/v2/app/blobs/uploads/6b1f3c1e-0000-4000-8000-000000000000';
    const failing: readonly (readonly [string, string, (string | undefined)?, string?])[] = [
      ['GET', `/v2/app/blobs/${unknownDigest()}`],
      ['GET', '/v2/app/blobs/nonsense'],
      ['GET', '/v2/app/manifests/none'],
      ['GET', '/v2/none/manifests/none'],
      ['GET', '/v2/NO/tags/list'],
      ['GET', '/v2/none/tags/list'],
      ['GET', '/v2/app/tags/list?n=-1'],
      ['GET', '/v2/app/tags/list?n=many'],
      ['GET', '/v2/_catalog?n=1.5'],
      ['GET', '/v2/app/referrers/nonsense'],
      ['GET', '/elsewhere'],
      ['GET', '/v2/app/unknown'],
      ['POST', '/v2/'],
      ['PATCH', '/v2/app/manifests/1'],
      ['PUT', `/v2/app/blobs/${image.layer}`],
      ['DELETE', '/v2/app/tags/list'],
      ['GET', '/v2/app/blobs/uploads/'],
      ['GET', unknownUpload],
      ['PATCH', unknownUpload, 'x'],
      ['DELETE', unknownUpload],
      ['PUT', withDigest(unknownUpload, digestOf('x')), 'x'],
      ['PATCH', upload, 'x', '5-5'],
      ['PATCH', upload, 'x', 'nonsense'],
      ['PATCH', upload, 'x', '0-4'],
      ['PUT', upload],
      ['PUT', withDigest(upload, unknownDigest()), 'x'],
      ['POST', '/v2/app/blobs/uploads/?digest=nonsense', 'x'],
      ['PUT', '/v2/app/manifests/1', '{'],
      ['PUT', '/v2/app/manifests/1', '[]'],
      ['PUT', '/v2/app/manifests/1', JSON.stringify({ ...image.manifest, schemaVersion: 1 })],
      ['PUT', '/v2/app/manifests/1', JSON.stringify({ ...image.manifest, manifests: [] })],
      ['PUT', '/v2/app/manifests/1', JSON.stringify({ ...image.manifest, mediaType: 'text/plain' })],
      ['PUT', '/v2/app/manifests/1', 'x'.repeat(4 * 1024 * 1024 + 1)],
      ['DELETE', '/v2/app/manifests/none'],
    ];
    for (const [method, path, body, range] of failing) {
      const answer = await call(testbed, method, path, {
        ...(body !== undefined && { body }),
        ...(range !== undefined && { headers: { 'content-range': range } }),
      });
      const what = `${method} ${path} ${body?.slice(0, 40) ?? ''}`;
      expect(answer.status, what).toBeGreaterThanOrEqual(400);
      expect(answer.status, what).toBeLessThan(500);
      expect(answer.headers['content-type'], what).toBe('application/json');
      const { errors } = answer.json as { errors: { code: string; message: unknown }[] };
      expect(errors.length, what).toBeGreaterThan(0);
      for (const { code, message } of errors) {
        expect(code, what).toMatch(/^[A-Z_]+$/);
        expect(KNOWN, what).toContain(code);
        expect(message, what).toBeTypeOf('string');
      }
    }
  });

  it('tells a wrong method (405, with Allow) from an unknown path (404)', async () => {
    const testbed = await openTestbedOn('memory');
    const wrong = await call(testbed, 'PUT', '/v2/app/tags/list');
    expect([wrong.status, wrong.headers.allow]).toEqual([405, 'GET']);
    for (const path of ['/', '/v1/', '/v2/app', '/v2/app/tags', '/v2//tags/list/x', '/token', '*']) {
      expect([path, (await call(testbed, 'GET', path)).status]).toEqual([path, 404]);
    }
  });
});
