import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Testbed } from '../../../src/testbed/index.ts';
import { memoryStorage } from '../../../src/testbed/indexed-storage.ts';
import { matchRoute } from '../../../src/testbed/routes.ts';
import { type Upload, Uploads } from '../../../src/testbed/uploads.ts';
import {
  beginUpload,
  call,
  codeOf,
  digestOf,
  openTestbed,
  prepareImage,
  pushImage,
  putManifest,
  temporaryFolder,
  withDigest,
} from '../../support/testbed-client.ts';

/** Sends raw bytes and reads until the server closes. */
function raw(testbed: Testbed, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(testbed.port, testbed.host);
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.write(text, 'latin1');
  });
}

describe('hostile clients', () => {
  it('find no way out of the folder by a name, a tag, a digest or an upload id', async () => {
    const outer = await temporaryFolder();
    const testbed = await openTestbed({ dir: join(outer, 'registry') });
    const image = await pushImage(testbed, 'app', '1');
    const before = await readdir(outer, { recursive: true });
    const evil = [
      '..',
      '../..',
      '%2e%2e',
      '..%2f..%2f..%2fetc%2fpasswd',
      '%00',
      'a%00b',
      '....',
      '%ff',
      '%',
      '\\..\\..',
    ];
    for (const one of evil) {
      for (const [method, path] of [
        ['GET', `/v2/${one}/manifests/1`],
        ['GET', `/v2/app/manifests/${one}`],
        ['PUT', `/v2/app/manifests/${one}`],
        ['DELETE', `/v2/app/manifests/${one}`],
        ['GET', `/v2/app/blobs/${one}`],
        ['GET', `/v2/app/blobs/sha256:${one}`],
        ['DELETE', `/v2/app/blobs/sha256:${one}`],
        ['PUT', `/v2/app/blobs/uploads/${one}?digest=${image.layer}`],
        ['POST', `/v2/${one}/blobs/uploads/`],
        ['POST', `/v2/app/blobs/uploads/?digest=sha256:${one}`],
        ['GET', `/v2/app/referrers/${one}`],
        ['GET', `/v2/${one}/tags/list?last=${one}`],
      ] as const) {
        const { status } = await call(testbed, method, path, method === 'PUT' ? { body: image.text } : {});
        expect([path, status >= 400 && status < 500]).toEqual([path, true]);
      }
      await call(testbed, 'POST', `/v2/app/blobs/uploads/?mount=${one}&from=${one}`);
    }
    expect((await readdir(outer, { recursive: true })).toSorted()).toEqual(before.toSorted());
  });

  it('get a 4xx for any path, and the server goes on', async () => {
    const testbed = await openTestbed();
    await fc.assert(
      fc.asyncProperty(fc.webPath(), fc.webQueryParameters(), async (path, query) => {
        const answer = await call(testbed, 'GET', `/v2${path}?${query}`);
        expect(answer.status).toBeLessThan(500);
      }),
      { numRuns: 80 },
    );
    expect((await call(testbed, 'GET', '/v2/')).status).toBe(200);
  });

  it('cannot write into the challenge by a name', async () => {
    const testbed = await openTestbed({ tokenAuth: true, auth: { username: 'u', password: 'p' } });
    for (const name of ['a%0d%0aset-cookie:%20x', 'a%22,realm=%22x', '%E2%80%A8', '..']) {
      const answer = await call(testbed, 'GET', `/v2/${name}/tags/list`);
      expect([name, answer.status]).toEqual([name, 400]);
      const mount = await call(testbed, 'POST', `/v2/app/blobs/uploads/?mount=x&from=${name}`);
      expect(mount.headers['www-authenticate']).toMatch(/scope="repository:app:pull,push"$/);
    }
  });

  it('cannot make a manifest larger than the limit, also without a Content-Length', async () => {
    const testbed = await openTestbed();
    const chunk = Buffer.alloc(64 * 1024, ' ');
    const answer = await call(testbed, 'PUT', '/v2/app/manifests/1', {
      body: Readable.from(Array.from({ length: 100 }, () => chunk)),
    });
    expect([answer.status, codeOf(answer)]).toEqual([413, 'MANIFEST_INVALID']);
  });

  it('cannot send endless headers', async () => {
    const testbed = await openTestbed();
    const lines = Array.from({ length: 200 }, (_, number) => `x-${number}: ${'y'.repeat(100)}`).join('\r\n');
    expect(await raw(testbed, `GET /v2/ HTTP/1.1\r\nhost: x\r\n${lines}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
    const nonsense = await raw(testbed, '\x16\x03\x01 nonsense\r\n\r\n');
    expect(nonsense).toMatch(/^HTTP\/1\.1 400 /);
    expect((await call(testbed, 'GET', '/v2/')).status).toBe(200);
  });

  it('cannot open uploads without end: the one that was idle longest goes', async () => {
    const storage = memoryStorage();
    const uploads = new Uploads(() => storage.spool());
    const opened: Upload[] = [];
    for (let count = 0; count < 2000; count++) opened.push(await uploads.start('app'));
    const [first, second] = opened as [Upload, Upload];
    uploads.find('app', first.id);
    await uploads.start('app');
    expect(uploads.find('app', first.id)).toBe(first);
    expect(() => uploads.find('app', second.id)).toThrow(/no such upload/);
    await expect(second.receive(Readable.from([Buffer.from('x')]))).rejects.toThrow(/cancelled/);
    await uploads.close();
  });

  it('cannot open uploads without end: when none is idle, no more are taken', async () => {
    const storage = memoryStorage();
    const uploads = new Uploads(() => storage.spool());
    const stalled = new Readable({ read() {} });
    const receiving: Promise<void>[] = [];
    for (let count = 0; count < 2000; count++) {
      const upload = await uploads.start('app');
      receiving.push(upload.receive(count === 0 ? stalled : new Readable({ read() {} })));
    }
    await expect(uploads.start('app')).rejects.toThrow(/too many/);
    stalled.push(null);
    await receiving[0];
    expect((await uploads.start('app')).repository).toBe('app');
  });

  it('cannot pass one kind of manifest off as the other', async () => {
    const testbed = await openTestbed();
    const image = await prepareImage(testbed, 'app');
    const index = 'application/vnd.oci.image.index.v1+json';
    for (const [manifest, type] of [
      [{ ...image.manifest, manifests: [] }, undefined],
      [image.manifest, index],
      [{ schemaVersion: 2, mediaType: index, manifests: [], layers: [] }, index],
    ] as const) {
      const headers = type === undefined ? {} : { 'content-type': type };
      const answer = await putManifest(testbed, 'app', '1', manifest, { headers });
      expect([answer.status, codeOf(answer)]).toEqual([400, 'MANIFEST_INVALID']);
    }
  });

  it('cannot tell from an upload what another repository holds', async () => {
    const testbed = await openTestbed();
    const secret = await pushImage(testbed, 'secret', '1');
    await pushImage(testbed, 'mine', '1');
    expect((await call(testbed, 'GET', `/v2/mine/blobs/${secret.layer}`)).status).toBe(404);
    const anonymous = await call(testbed, 'POST', `/v2/mine/blobs/uploads/?mount=${secret.layer}`);
    expect(anonymous.status).toBe(202);
    expect((await call(testbed, 'HEAD', `/v2/mine/blobs/${secret.layer}`)).status).toBe(404);
  });

  it('may write a digest’s colon in any way URLs allow', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', '1');
    const encoded = image.layer.replace(':', '%3A');
    expect((await call(testbed, 'GET', `/v2/app/blobs/${encoded}`)).status).toBe(200);
    const location = await beginUpload(testbed, 'app');
    expect((await call(testbed, 'PUT', withDigest(location, digestOf('x')), { body: 'x' })).status).toBe(201);
  });
});

describe('matchRoute', () => {
  it('gives back the names it was built of, whatever words they hold', () => {
    const word = fc.constantFrom('blobs', 'uploads', 'manifests', 'tags', 'list', 'referrers', 'v2', 'a');
    const repository = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join('/'));
    fc.assert(
      fc.property(repository, (name) => {
        const digest = `sha256:${'0'.repeat(64)}`;
        expect(matchRoute(`/v2/${name}/manifests/latest`)).toEqual({
          name: 'manifest',
          repository: name,
          reference: 'latest',
        });
        expect(matchRoute(`/v2/${name}/blobs/${digest}`)).toMatchObject({ name: 'blob', repository: name });
        expect(matchRoute(`/v2/${name}/blobs/uploads/`)).toMatchObject({ name: 'uploads', repository: name });
        expect(matchRoute(`/v2/${name}/blobs/uploads/id`)).toMatchObject({
          name: 'upload',
          repository: name,
        });
        expect(matchRoute(`/v2/${name}/tags/list`)).toMatchObject({ name: 'tags', repository: name });
        expect(matchRoute(`/v2/${name}/referrers/${digest}`)).toMatchObject({ name: 'referrers' });
      }),
    );
  });
});
