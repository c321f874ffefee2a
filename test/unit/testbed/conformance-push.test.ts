/**
 * OCI distribution spec 1.1, "Push": one test for each MUST on registries, and the SHOULDs we keep. Where a
 * MUST binds clients, the test shows that we refuse who breaks it; left out is what only clients could
 * break unseen: the referrers tag schema they write, and the Content-Type they choose.
 */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  beginUpload,
  call,
  codeOf,
  descriptorOf,
  digestOf,
  indexOf,
  OCI_MANIFEST,
  openTestbedOn,
  prepareImage,
  pushBlob,
  pushImage,
  putManifest,
  STORAGE_KINDS,
  unknownDigest,
  withDigest,
} from '../../support/testbed-client.ts';

describe.each(STORAGE_KINDS)('Push (%s)', (kind) => {
  it('MUST initially accept a manifest whose subject does not exist in the repository', async () => {
    const testbed = await openTestbedOn(kind);
    const subject = { mediaType: OCI_MANIFEST, digest: unknownDigest(), size: 12 };
    const image = await prepareImage(testbed, 'app', { subject });
    expect((await putManifest(testbed, 'app', '1', image.text)).status).toBe(201);
  });

  it('MUST name MANIFEST_BLOB_UNKNOWN when it rejects a manifest for what it refers to', async () => {
    const testbed = await openTestbedOn(kind);
    const image = await prepareImage(testbed, 'app');
    await pushImage(testbed, 'elsewhere', '1');
    const missing = { mediaType: OCI_MANIFEST, digest: unknownDigest(), size: 3 };
    for (const manifest of [
      { ...image.manifest, config: missing },
      { ...image.manifest, layers: [...image.manifest.layers, missing] },
      indexOf([image]),
    ]) {
      const answer = await putManifest(testbed, 'app', '1', manifest);
      expect([answer.status, codeOf(answer)]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
    }
    const foreign = await putManifest(testbed, 'elsewhere', '2', image.text);
    expect(codeOf(foreign)).toBe('MANIFEST_BLOB_UNKNOWN');
  });

  describe('POST then PUT', () => {
    it('MUST answer the POST with 202 and a Location', async () => {
      const testbed = await openTestbedOn(kind);
      const answer = await call(testbed, 'POST', '/v2/team/app/blobs/uploads/');
      expect(answer.status).toBe(202);
      expect(answer.headers.location).toBeTruthy();
    });

    it('MUST put a unique session ID in the Location', async () => {
      const testbed = await openTestbedOn(kind);
      const uuid = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
      const first = uuid.exec(await beginUpload(testbed, 'app'))?.[0];
      const second = uuid.exec(await beginUpload(testbed, 'app'))?.[0];
      expect(first).toBeDefined();
      expect(second).toBeDefined();
      expect(first).not.toBe(second);
    });

    it('MUST answer the PUT with 201 and a Location that is a pullable blob URL', async () => {
      const testbed = await openTestbedOn(kind);
      const blob = randomBytes(100_000);
      const location = await beginUpload(testbed, 'team/app');
      const answer = await call(testbed, 'PUT', withDigest(location, digestOf(blob)), {
        headers: { 'content-length': String(blob.length), 'content-type': 'application/octet-stream' },
        body: blob,
      });
      expect(answer.status).toBe(201);
      expect((await call(testbed, 'GET', answer.headers.location as string)).body.equals(blob)).toBe(true);
    });
  });

  describe('Single POST', () => {
    it('MUST answer with 201 and a Location that is a pullable blob URL', async () => {
      const testbed = await openTestbedOn(kind);
      const blob = randomBytes(5000);
      const answer = await call(testbed, 'POST', `/v2/app/blobs/uploads/?digest=${digestOf(blob)}`, {
        body: blob,
      });
      expect(answer.status).toBe(201);
      expect((await call(testbed, 'GET', answer.headers.location as string)).body.equals(blob)).toBe(true);
    });

    it('<digest> MUST match the blob: another is refused and nothing is kept', async () => {
      const testbed = await openTestbedOn(kind);
      const wrong = unknownDigest();
      const answer = await call(testbed, 'POST', `/v2/app/blobs/uploads/?digest=${wrong}`, {
        body: 'a blob',
      });
      expect([answer.status, codeOf(answer)]).toEqual([400, 'DIGEST_INVALID']);
      expect((await call(testbed, 'HEAD', `/v2/app/blobs/${wrong}`)).status).toBe(404);
      expect((await call(testbed, 'HEAD', `/v2/app/blobs/${digestOf('a blob')}`)).status).toBe(404);
    });
  });

  describe('Pushing a blob in chunks', () => {
    const patch = (testbed: { url: string }, location: string, first: number, chunk: string) =>
      call(testbed, 'PATCH', location, {
        headers: {
          'content-type': 'application/octet-stream',
          'content-range': `${first}-${first + chunk.length - 1}`,
          'content-length': String(chunk.length),
        },
        body: chunk,
      });

    it('MUST answer a POST with Content-Length: 0 with 202 and a Location', async () => {
      const testbed = await openTestbedOn(kind);
      const answer = await call(testbed, 'POST', '/v2/app/blobs/uploads/', {
        headers: { 'content-length': '0' },
      });
      expect(answer.status).toBe(202);
      expect(answer.headers.location).toBeTruthy();
    });

    it('MUST answer each chunk with 202, a Location, and Range: 0-<end-of-range>', async () => {
      const testbed = await openTestbedOn(kind);
      const first = await patch(testbed, await beginUpload(testbed, 'app'), 0, 'abc');
      expect([first.status, first.headers.range]).toEqual([202, '0-2']);
      const second = await patch(testbed, first.headers.location as string, 3, 'defg');
      expect([second.status, second.headers.range]).toEqual([202, '0-6']);
      expect(second.headers.location).toBeTruthy();
    });

    it('<range> MUST be two numbers, inclusive: anything else is refused', async () => {
      const testbed = await openTestbedOn(kind);
      for (const range of ['bytes 0-2/*', '0-2/3', '0-', '-2', '2-0', '0x0-2', ' ']) {
        const answer = await call(testbed, 'PATCH', await beginUpload(testbed, 'app'), {
          headers: { 'content-range': range },
          body: 'abc',
        });
        expect([range, answer.status, codeOf(answer)]).toEqual([range, 400, 'BLOB_UPLOAD_INVALID']);
      }
      const disagreeing = await call(testbed, 'PATCH', await beginUpload(testbed, 'app'), {
        headers: { 'content-range': '0-3', 'content-length': '3' },
        body: 'abc',
      });
      expect([disagreeing.status, codeOf(disagreeing)]).toEqual([400, 'SIZE_INVALID']);
    });

    it("the first chunk's range MUST begin with 0", async () => {
      const testbed = await openTestbedOn(kind);
      expect((await patch(testbed, await beginUpload(testbed, 'app'), 1, 'abc')).status).toBe(416);
    });

    it('MUST answer 416 to a chunk that is out of order, and go on after it', async () => {
      const testbed = await openTestbedOn(kind);
      const location = await beginUpload(testbed, 'app');
      await patch(testbed, location, 0, 'abc');
      for (const first of [0, 2, 4]) {
        const answer = await patch(testbed, location, first, 'def');
        expect([answer.status, answer.headers.range]).toEqual([416, '0-2']);
      }
      const early = await call(testbed, 'PUT', withDigest(location, digestOf('abcdef')), {
        headers: { 'content-range': '4-6' },
        body: 'def',
      });
      expect(early.status).toBe(416);
      const last = await call(testbed, 'PUT', withDigest(location, digestOf('abcdef')), {
        headers: { 'content-range': '3-5' },
        body: 'def',
      });
      expect(last.status).toBe(201);
    });

    it('MUST answer the closing PUT with 201 and a pullable Location, with or without a final chunk', async () => {
      const testbed = await openTestbedOn(kind);
      for (const final of ['', 'xyz']) {
        const location = await beginUpload(testbed, 'app');
        await patch(testbed, location, 0, 'abc');
        const answer = await call(testbed, 'PUT', withDigest(location, digestOf(`abc${final}`)), {
          ...(final && { headers: { 'content-range': '3-5' } }),
          body: final,
        });
        expect(answer.status).toBe(201);
        const blob = await call(testbed, 'GET', answer.headers.location as string);
        expect(blob.body.toString()).toBe(`abc${final}`);
      }
    });

    it('MUST be closed by a PUT: before it there is no blob', async () => {
      const testbed = await openTestbedOn(kind);
      await patch(testbed, await beginUpload(testbed, 'app'), 0, 'abc');
      expect((await call(testbed, 'HEAD', `/v2/app/blobs/${digestOf('abc')}`)).status).toBe(404);
    });

    it('the closing PUT MUST include the digest of the whole blob', async () => {
      const testbed = await openTestbedOn(kind);
      const location = await beginUpload(testbed, 'app');
      await patch(testbed, location, 0, 'abc');
      const without = await call(testbed, 'PUT', location);
      expect([without.status, codeOf(without)]).toEqual([400, 'DIGEST_INVALID']);
      const ofChunk = await call(testbed, 'PUT', withDigest(location, digestOf('def')), { body: 'def' });
      expect([ofChunk.status, codeOf(ofChunk)]).toEqual([400, 'DIGEST_INVALID']);
    });

    it('MUST answer a GET of an active upload with 204, a Location and a Range', async () => {
      const testbed = await openTestbedOn(kind);
      const location = await beginUpload(testbed, 'app');
      await patch(testbed, location, 0, 'abc');
      const answer = await call(testbed, 'GET', location);
      expect([answer.status, answer.headers.range]).toEqual([204, '0-2']);
      expect((await patch(testbed, answer.headers.location as string, 3, 'd')).status).toBe(202);
    });
  });

  describe('Mounting a blob from another repository', () => {
    it('MUST answer a successful mount with 201 and a pullable Location', async () => {
      const testbed = await openTestbedOn(kind);
      const digest = await pushBlob(testbed, 'team/base', 'shared');
      const answer = await call(
        testbed,
        'POST',
        `/v2/team/app/blobs/uploads/?mount=${digest}&from=team%2Fbase`,
      );
      expect(answer.status).toBe(201);
      expect(answer.headers['docker-content-digest']).toBe(digest);
      expect(answer.headers.location).toContain('/v2/team/app/blobs/');
      expect((await call(testbed, 'GET', answer.headers.location as string)).body.toString()).toBe('shared');
    });

    it('SHOULD answer 202 and begin an upload when it cannot mount', async () => {
      const testbed = await openTestbedOn(kind);
      const digest = await pushBlob(testbed, 'team/base', 'shared');
      for (const query of [
        `mount=${unknownDigest()}&from=team/base`,
        `mount=${digest}&from=nowhere`,
        `mount=${digest}&from=NOT%20A%20NAME`,
        `mount=${digest}`,
        'mount=nonsense&from=team/base',
      ]) {
        const answer = await call(testbed, 'POST', `/v2/team/app/blobs/uploads/?${query}`);
        expect([query, answer.status]).toEqual([query, 202]);
        const put = await call(testbed, 'PUT', withDigest(answer.headers.location as string, digest), {
          body: 'shared',
        });
        expect(put.status).toBe(201);
      }
    });
  });

  describe('Pushing Manifests', () => {
    it('MUST store the manifest in the exact byte representation', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await prepareImage(testbed, 'app');
      const text = `${JSON.stringify(image.manifest, null, 3)}\n\n\t`;
      await putManifest(testbed, 'app', 'odd', text);
      expect((await call(testbed, 'GET', '/v2/app/manifests/odd')).body.toString()).toBe(text);
    });

    it('MUST answer with 201 and a Location that is a pullable manifest URL', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await prepareImage(testbed, 'app');
      for (const reference of ['1', image.digest]) {
        const answer = await putManifest(testbed, 'app', reference, image.text);
        expect(answer.status).toBe(201);
        const pulled = await call(testbed, 'GET', answer.headers.location as string);
        expect(pulled.body.toString()).toBe(image.text);
      }
    });

    it('MUST give a Docker-Content-Digest equal to the digest the client provided', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await prepareImage(testbed, 'app');
      for (const algorithm of ['sha256', 'sha512'] as const) {
        const digest = digestOf(image.text, algorithm);
        const answer = await putManifest(testbed, 'app', digest, image.text);
        expect([answer.status, answer.headers['docker-content-digest']]).toEqual([201, digest]);
        const pulled = await call(testbed, 'GET', `/v2/app/manifests/${digest}`);
        expect(pulled.headers['docker-content-digest']).toBe(digest);
      }
      const other = await putManifest(testbed, 'app', unknownDigest(), image.text);
      expect([other.status, codeOf(other)]).toEqual([400, 'DIGEST_INVALID']);
    });

    it('MUST take a manifest whose list of blobs is empty, and an index of what is there', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await prepareImage(testbed, 'app');
      expect((await putManifest(testbed, 'app', 'empty', { ...image.manifest, layers: [] })).status).toBe(
        201,
      );
      await putManifest(testbed, 'app', image.digest, image.text);
      expect((await putManifest(testbed, 'app', 'index', indexOf([image]))).status).toBe(201);
      expect((await putManifest(testbed, 'app', 'none', indexOf([]))).status).toBe(201);
    });

    it('MUST answer 404 to an attempt to pull a nonexistent repository', async () => {
      const testbed = await openTestbedOn(kind);
      const answer = await call(testbed, 'GET', '/v2/no/such/repository/manifests/latest');
      expect([answer.status, codeOf(answer)]).toEqual([404, 'NAME_UNKNOWN']);
    });

    it('SHOULD ignore parameters on the Content-Type', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await prepareImage(testbed, 'app');
      const headers = { 'content-type': `${OCI_MANIFEST}; charset=utf-8` };
      expect((await putManifest(testbed, 'app', '1', image.text, { headers })).status).toBe(201);
      const pulled = await call(testbed, 'GET', '/v2/app/manifests/1');
      expect(pulled.headers['content-type']).toBe(OCI_MANIFEST);
    });

    it('SHOULD take manifests of 4 megabytes, and answer 413 to larger ones', async () => {
      const testbed = await openTestbedOn(kind);
      const image = await prepareImage(testbed, 'app');
      const sized = (bytes: number): string => {
        const bare = JSON.stringify({ ...image.manifest, annotations: { filler: '' } });
        const filler = 'x'.repeat(bytes - bare.length);
        return JSON.stringify({ ...image.manifest, annotations: { filler } });
      };
      const limit = 4 * 1024 * 1024;
      expect((await putManifest(testbed, 'app', 'large', sized(limit))).status).toBe(201);
      expect((await putManifest(testbed, 'app', 'larger', sized(limit + 1))).status).toBe(413);
    });
  });

  describe('Pushing Manifests with Subject', () => {
    it('MUST answer with OCI-Subject when it processed the subject of an image manifest', async () => {
      const testbed = await openTestbedOn(kind);
      const base = await pushImage(testbed, 'app', 'base');
      const image = await prepareImage(testbed, 'app', { subject: descriptorOf(base) });
      const answer = await putManifest(testbed, 'app', 'signature', image.text);
      expect(answer.headers['oci-subject']).toBe(base.digest);
      const index = await putManifest(testbed, 'app', 'x', indexOf([], { subject: descriptorOf(base) }));
      expect(index.headers['oci-subject']).toBe(base.digest);
      const plain = await putManifest(testbed, 'app', 'again', base.text);
      expect(plain.headers['oci-subject']).toBeUndefined();
    });
  });
});
