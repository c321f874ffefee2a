/**
 * OCI distribution spec 1.1, "Pull": one test for each MUST on registries, and the SHOULDs we keep. Left out
 * is what only clients must do: verify digests and signatures, send Accept.
 */
import { describe, expect, it } from 'vitest';
import {
  call,
  codeOf,
  digestOf,
  OCI_MANIFEST,
  openTestbed,
  openTestbedOn,
  pushBlob,
  pushImage,
  putManifest,
  STORAGE_KINDS,
  unknownDigest,
} from '../../support/testbed-client.ts';

describe.each(STORAGE_KINDS)('Pull (%s)', (kind) => {
  describe('Pulling manifests', () => {
    it('MUST answer a GET of an existing manifest with 200 and the expected manifest, by tag and by digest', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'team/app', '1.0');
      for (const reference of ['1.0', image.digest]) {
        const answer = await call(testbed, 'GET', `/v2/team/app/manifests/${reference}`);
        expect(answer.status).toBe(200);
        expect(answer.body.toString()).toBe(image.text);
      }
    });

    it('MUST answer 404 when the manifest is not found in the repository', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'team/app', '1.0');
      await pushImage(testbed, 'team/other', '2.0');
      for (const path of [
        '/v2/team/app/manifests/2.0',
        `/v2/team/app/manifests/${unknownDigest()}`,
        `/v2/team/other/manifests/${image.digest}`,
      ]) {
        const answer = await call(testbed, 'GET', path);
        expect([answer.status, codeOf(answer)]).toEqual([404, 'MANIFEST_UNKNOWN']);
      }
    });

    it('MUST take a digest or a tag as <reference>, and MUST NOT take any other format', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'app', 'latest');
      const get = async (reference: string): Promise<number> =>
        (await call(testbed, 'GET', `/v2/app/manifests/${reference}`)).status;
      expect(await get('.INVALID_MANIFEST_NAME')).toBe(404);
      expect(await get('-latest')).toBe(404);
      expect(await get(image.digest.toUpperCase())).toBe(400);
      expect(await get(`md5:${'0'.repeat(32)}`)).toBe(400);
      expect(await get(image.digest.slice('sha256:'.length))).toBe(404);
      for (const reference of ['.a', '-a', 'a%20b', 'a+b']) {
        const answer = await putManifest(testbed, 'app', reference, image.text);
        expect([answer.status, codeOf(answer)]).toEqual([400, 'MANIFEST_INVALID']);
      }
    });

    it('MUST hold <name> to its regular expression', async () => {
      const testbed = await openTestbedOn(kind);
      for (const name of ['a', '0', 'a/b/c', 'a.b_c__d-e---f/0', 'v2/blobs/manifests/tags']) {
        await pushBlob(testbed, name, 'x');
        expect((await call(testbed, 'HEAD', `/v2/${name}/blobs/${digestOf('x')}`)).status).toBe(200);
      }
      for (const name of [
        'A',
        'a_',
        '-a',
        'a..b',
        'a/',
        'a//b',
        'a___b',
        'a/_b',
        'a/../b',
        '%C3%A4',
        'a%2F%2Fb',
      ]) {
        const answer = await call(testbed, 'POST', `/v2/${name}/blobs/uploads/`);
        expect([name, answer.status, codeOf(answer)]).toEqual([name, 400, 'NAME_INVALID']);
      }
    });

    it('MUST hold a tag to its regular expression and to at most 128 characters', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'app', 'latest');
      for (const tag of ['a', '_', 'A.b-C_9', 'x'.repeat(128)]) {
        expect((await putManifest(testbed, 'app', tag, image.text)).status).toBe(201);
        expect((await call(testbed, 'GET', `/v2/app/manifests/${tag}`)).status).toBe(200);
      }
      expect((await putManifest(testbed, 'app', 'x'.repeat(129), image.text)).status).toBe(400);
    });

    it('SHOULD name the pushed Content-Type without parameters, and the digest', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'app', '1');
      const answer = await call(testbed, 'GET', '/v2/app/manifests/1', { headers: { accept: 'text/plain' } });
      expect(answer.headers['content-type']).toBe(OCI_MANIFEST);
      expect(answer.headers['docker-content-digest']).toBe(image.digest);
    });
  });

  describe('Pulling blobs', () => {
    it('MUST answer a GET of an existing blob with 200 and the expected blob', async () => {
      const testbed = await openTestbedOn(kind);
      const blob = Buffer.alloc(300_000, 'some layer');
      const digest = await pushBlob(testbed, 'team/app', blob);
      const answer = await call(testbed, 'GET', `/v2/team/app/blobs/${digest}`);
      expect(answer.status).toBe(200);
      expect(answer.body.equals(blob)).toBe(true);
    });

    it('MUST give a Docker-Content-Digest that matches the response body', async () => {
      const testbed = await openTestbedOn(kind);
      const digest = await pushBlob(testbed, 'team/app', 'a blob');
      const whole = await call(testbed, 'GET', `/v2/team/app/blobs/${digest}`);
      expect(whole.headers['docker-content-digest']).toBe(digestOf(whole.body));
      const part = await call(testbed, 'GET', `/v2/team/app/blobs/${digest}`, {
        headers: { range: 'bytes=1-2' },
      });
      expect(part.headers['docker-content-digest']).toBeUndefined();
    });

    it('MUST answer 404 when the blob is not found in the repository', async () => {
      const testbed = await openTestbedOn(kind);
      const digest = await pushBlob(testbed, 'team/app', 'a blob');
      await pushBlob(testbed, 'team/other', 'another');
      for (const path of [`/v2/team/app/blobs/${unknownDigest()}`, `/v2/team/other/blobs/${digest}`]) {
        const answer = await call(testbed, 'GET', path);
        expect([answer.status, codeOf(answer)]).toEqual([404, 'BLOB_UNKNOWN']);
      }
    });

    it('SHOULD support Range in accordance with RFC 9110', async () => {
      const testbed = await openTestbedOn(kind);
      const digest = await pushBlob(testbed, 'app', '0123456789');
      const get = (range: string, more: Record<string, string> = {}) =>
        call(testbed, 'GET', `/v2/app/blobs/${digest}`, { headers: { range, ...more } });

      const middle = await get('bytes=2-4');
      expect([middle.status, middle.body.toString()]).toEqual([206, '234']);
      expect(middle.headers).toMatchObject({ 'content-range': 'bytes 2-4/10', 'content-length': '3' });
      expect((await get('bytes=7-')).body.toString()).toBe('789');
      expect((await get('bytes=-3')).body.toString()).toBe('789');
      const beyond = await get('bytes=10-');
      expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */10']);
      expect((await get('bytes=0-1,3-4')).status).toBe(200);
      expect((await get('bytes=2-4', { 'if-range': '"something else"' })).status).toBe(200);
      expect((await get('bytes=2-4', { 'if-range': `"${digest}"` })).status).toBe(206);
    });
  });

  describe('Checking if content exists in the registry', () => {
    it('MUST answer a HEAD of an existing blob or manifest with 200', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'app', '1');
      for (const [path, digest, length] of [
        ['manifests/1', image.digest, image.text.length],
        [`manifests/${image.digest}`, image.digest, image.text.length],
        [`blobs/${image.layer}`, image.layer, 1000],
      ] as const) {
        const answer = await call(testbed, 'HEAD', `/v2/app/${path}`);
        expect(answer.status).toBe(200);
        expect(answer.body).toHaveLength(0);
        // SHOULDs of the same section.
        expect(answer.headers['docker-content-digest']).toBe(digest);
        expect(answer.headers['content-length']).toBe(String(length));
      }
    });

    it('MUST answer a HEAD with 404 when the blob or manifest is not found in the repository', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await pushImage(testbed, 'app', '1');
      for (const path of [
        '/v2/app/manifests/2',
        `/v2/app/manifests/${unknownDigest()}`,
        `/v2/app/blobs/${unknownDigest()}`,
        `/v2/nowhere/manifests/${image.digest}`,
        `/v2/nowhere/blobs/${image.layer}`,
      ]) {
        const answer = await call(testbed, 'HEAD', path);
        expect([path, answer.status, answer.body.length]).toEqual([path, 404, 0]);
      }
    });
  });
});

describe('Determining Support', () => {
  it('answers GET /v2/ with 200: the registry implements this specification', async () => {
    const testbed = await openTestbed();
    const answer = await call(testbed, 'GET', '/v2/');
    expect(answer.status).toBe(200);
    expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0');
  });
});
