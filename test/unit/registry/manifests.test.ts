import { describe, expect, test } from 'vitest';
import { buildManifest, digestOf, MANIFEST_ACCEPT, MEDIA_TYPES } from '../../../src/oci/index.ts';
import {
  deleteManifest,
  getManifest,
  headManifest,
  putManifest,
  registryCodeOf,
} from '../../../src/registry/index.ts';
import { type Exchange, type Reply, startServer } from '../../support/http-server.ts';
import { clientOf, errorOf, imageOf, sha256, store, testbedClient } from './support.ts';
import { errors } from './upload-script.ts';

// Manifests got, looked up, stored and deleted; what a registry says of them is compared with their bytes.

const IMAGE = imageOf('one');
const OTHER = imageOf('other');

const answer = (method: string, selector: string, reply: Reply, times = 1): Exchange => ({
  expect: { method, path: `/v2/team/app/manifests/${selector}` },
  reply,
  times,
});
const served = (image = IMAGE, headers: Record<string, string> = {}): Reply => ({
  headers: { 'content-type': image.mediaType, ...headers },
  body: image.bytes,
});

async function clientOfScript(...script: Exchange[]) {
  const server = await startServer(script);
  return { server, client: await clientOf(server.origin.href) };
}

describe('a testbed', () => {
  test('stores a manifest under a tag and gives it back under both its names', async () => {
    const { client } = await testbedClient();
    await store(client, 'team/app', IMAGE, '1.0');
    for (const selector of ['1.0', IMAGE.digest]) {
      const manifest = await getManifest(client, 'team/app', selector);
      expect(Buffer.from(manifest.bytes)).toEqual(Buffer.from(IMAGE.bytes));
      expect(manifest).toMatchObject({
        kind: 'image',
        digest: IMAGE.digest,
        mediaType: MEDIA_TYPES.ociManifest,
      });
      expect(await headManifest(client, 'team/app', selector)).toEqual({
        digest: IMAGE.digest,
        mediaType: MEDIA_TYPES.ociManifest,
        size: IMAGE.bytes.length,
      });
    }
  });

  test('stores by digest, and an index of what is there', async () => {
    const { client } = await testbedClient();
    await store(client, 'team/app', IMAGE, IMAGE.digest);
    const index = buildManifest({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [{ mediaType: IMAGE.mediaType, digest: IMAGE.digest, size: IMAGE.bytes.length }],
    });
    await putManifest(client, 'team/app', 'all', index);
    expect(await getManifest(client, 'team/app', 'all')).toMatchObject({
      kind: 'index',
      digest: index.digest,
    });
  });

  test('without it, or without the repository', async () => {
    const { client } = await testbedClient();
    expect(await errorOf(getManifest(client, 'team/app', '1.0'))).toMatchObject({
      code: 'REPOSITORY_NOT_FOUND',
    });
    expect(await headManifest(client, 'team/app', '1.0')).toBeUndefined();
    await store(client, 'team/app', IMAGE, '1.0');
    const error = await errorOf(getManifest(client, 'team/app', '2.0'));
    expect(error.code).toBe('MANIFEST_NOT_FOUND');
    expect(error.message).toContain('/team/app:2.0');
    expect(await headManifest(client, 'team/app', OTHER.digest)).toBeUndefined();
  });

  test('refuses a manifest whose blobs are not there, and says so in its own code', async () => {
    const { client } = await testbedClient();
    const error = await errorOf(putManifest(client, 'team/app', '1.0', IMAGE));
    expect(registryCodeOf(error)).toBe('MANIFEST_BLOB_UNKNOWN');
  });

  test('deletes a tag alone, and by digest everything', async () => {
    const { client } = await testbedClient();
    await store(client, 'team/app', IMAGE, '1.0', '2.0');
    await deleteManifest(client, 'team/app', '1.0');
    expect(await headManifest(client, 'team/app', '2.0')).toMatchObject({ digest: IMAGE.digest });
    await deleteManifest(client, 'team/app', IMAGE.digest);
    expect(await headManifest(client, 'team/app', '2.0')).toBeUndefined();
    expect(await errorOf(deleteManifest(client, 'team/app', IMAGE.digest))).toMatchObject({
      code: 'MANIFEST_NOT_FOUND',
    });
  });
});

describe('GET', () => {
  test('asks for every kind, and takes a registry that gives no digest', async () => {
    const { server, client } = await clientOfScript(answer('GET', '1.0', served()));
    expect((await getManifest(client, 'team/app', '1.0')).digest).toBe(IMAGE.digest);
    expect(server.requests[0]?.headers['accept']?.split(', ')).toEqual([...MANIFEST_ACCEPT]);
  });

  test('by digest, other bytes are refused (CVE-2025-24882), whatever the registry calls them', async () => {
    const { client } = await clientOfScript(
      answer('GET', IMAGE.digest, served(OTHER, { 'docker-content-digest': IMAGE.digest })),
    );
    const error = await errorOf(getManifest(client, 'team/app', IMAGE.digest));
    expect(error.code).toBe('DIGEST_MISMATCH');
    expect(error.message).toContain(IMAGE.digest);
    expect(error.message).toContain(OTHER.digest);
  });

  test('by digest, the right bytes are right, whatever the registry calls them', async () => {
    const { client } = await clientOfScript(
      answer('GET', IMAGE.digest, served(IMAGE, { 'docker-content-digest': OTHER.digest })),
    );
    expect((await getManifest(client, 'team/app', IMAGE.digest)).digest).toBe(IMAGE.digest);
  });

  test('by tag, bytes that are not what the registry calls them are refused', async () => {
    const { client } = await clientOfScript(
      answer('GET', '1.0', served(IMAGE, { 'docker-content-digest': OTHER.digest })),
    );
    expect(await errorOf(getManifest(client, 'team/app', '1.0'))).toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('by tag, a digest of another algorithm counts as well', async () => {
    const digest = digestOf(IMAGE.bytes, 'sha512');
    const { client } = await clientOfScript(
      answer('GET', '1.0', served(IMAGE, { 'docker-content-digest': digest })),
    );
    expect((await getManifest(client, 'team/app', '1.0')).digest).toBe(digest);
  });

  test.each(['latest', 'sha256:abc', 'md5:d41d8cd98f00b204e9800998ecf8427e', '../../etc', ''])(
    'a malformed Docker-Content-Digest %j is a broken protocol',
    async (digest) => {
      const { client } = await clientOfScript(
        answer('GET', '1.0', served(IMAGE, { 'docker-content-digest': digest })),
      );
      expect(await errorOf(getManifest(client, 'team/app', '1.0'))).toMatchObject({
        code: 'PROTOCOL_VIOLATION',
      });
    },
  );

  const large = 'x'.repeat(4 * 1024 * 1024 + 1);

  test('more than 4 MiB are not read, whether announced or not', async () => {
    const until = `HTTP/1.1 200 OK\r\ncontent-type: ${IMAGE.mediaType}\r\nconnection: close\r\n\r\n${large}`;
    const { server, client } = await clientOfScript(
      answer('GET', 'announced', { body: large, fault: 'stall-body' }),
      answer('GET', 'endless', { fault: { raw: until } }),
    );
    for (const selector of ['announced', 'endless']) {
      expect(await errorOf(getManifest(client, 'team/app', selector))).toMatchObject({
        code: 'RESPONSE_TOO_LARGE',
      });
    }
    await expect.poll(() => server.connections).toBe(0);
  });

  const document = JSON.parse(Buffer.from(IMAGE.bytes).toString()) as Record<string, unknown>;
  const shapes: [string, unknown, string][] = [
    ['an image served as an index', document, MEDIA_TYPES.ociIndex],
    [
      'an index served as an image',
      { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] },
      MEDIA_TYPES.ociManifest,
    ],
    ['an OCI image served as a docker one', document, MEDIA_TYPES.dockerManifest],
    ['both kinds at once', { ...document, manifests: [] }, MEDIA_TYPES.ociManifest],
    ['an index with layers', { schemaVersion: 2, manifests: [], layers: [] }, MEDIA_TYPES.ociIndex],
    [
      'schema 1',
      { schemaVersion: 1, fsLayers: [] },
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
    ],
    ['an unknown type', { schemaVersion: 2, mediaType: 'application/vnd.acme+json' }, 'application/json'],
    [
      'an invalid digest inside',
      { ...document, config: { ...(document['config'] as object), digest: 'sha256:../x' } },
      MEDIA_TYPES.ociManifest,
    ],
    ['no JSON', '<html>it works</html>', 'text/html'],
  ];

  test.each(shapes)('%s is refused (CVE-2021-41190, CVE-2024-3727)', async (_what, body, contentType) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const { client } = await clientOfScript(
      answer('GET', '1.0', {
        headers: { 'content-type': contentType, 'docker-content-digest': sha256(text) },
        body: text,
      }),
    );
    expect(await errorOf(getManifest(client, 'team/app', '1.0'))).toMatchObject({ code: 'MANIFEST_INVALID' });
  });

  test.each(['application/json', 'text/plain; charset=utf-8', 'application/octet-stream'])(
    'a careless Content-Type (%s) does not hide what the document calls itself',
    async (contentType) => {
      const { client } = await clientOfScript(
        answer('GET', '1.0', served(IMAGE, { 'content-type': contentType })),
      );
      expect(await getManifest(client, 'team/app', '1.0')).toMatchObject({ mediaType: IMAGE.mediaType });
    },
  );

  test('the parameters of a Content-Type do not count', async () => {
    const { client } = await clientOfScript(
      answer('GET', '1.0', served(IMAGE, { 'content-type': `${IMAGE.mediaType}; charset=utf-8` })),
    );
    expect(await getManifest(client, 'team/app', '1.0')).toMatchObject({ mediaType: IMAGE.mediaType });
  });
});

describe('HEAD', () => {
  const known = { 'docker-content-digest': IMAGE.digest, 'content-type': IMAGE.mediaType };

  test.each([403, 404])('%i: there is none (Artifactory says 403, RTFACT-13797)', async (status) => {
    const { client } = await clientOfScript(answer('HEAD', '1.0', { status }));
    expect(await headManifest(client, 'team/app', '1.0')).toBeUndefined();
  });

  test.each([
    [401, 'AUTHENTICATION_FAILED', 1],
    [405, 'UNSUPPORTED_BY_SERVER', 1],
    [500, 'SERVER_ERROR', 3],
  ])('%i is an error', async (status, code, times) => {
    const headers: Record<string, string> = status === 401 ? { 'www-authenticate': 'Basic realm="r"' } : {};
    const { client } = await clientOfScript(answer('HEAD', '1.0', { status, headers }, times));
    expect(await errorOf(headManifest(client, 'team/app', '1.0'))).toMatchObject({ code });
  });

  test('without a digest the document itself is asked for', async () => {
    const { client } = await clientOfScript(
      answer('HEAD', '1.0', { headers: { 'content-type': IMAGE.mediaType } }),
      answer('GET', '1.0', served()),
    );
    expect(await headManifest(client, 'team/app', '1.0')).toEqual({
      digest: IMAGE.digest,
      mediaType: IMAGE.mediaType,
      size: IMAGE.bytes.length,
    });
  });

  test('without a type too', async () => {
    const { client } = await clientOfScript(
      answer('HEAD', IMAGE.digest, { headers: { 'docker-content-digest': IMAGE.digest } }),
      answer('GET', IMAGE.digest, served()),
    );
    expect(await headManifest(client, 'team/app', IMAGE.digest)).toMatchObject({
      mediaType: IMAGE.mediaType,
    });
  });

  test('by digest, its own name is enough', async () => {
    const { client } = await clientOfScript(
      answer('HEAD', IMAGE.digest, {
        headers: { 'content-type': `${IMAGE.mediaType};x=y`, 'content-length': '7' },
      }),
    );
    expect(await headManifest(client, 'team/app', IMAGE.digest)).toEqual({
      digest: IMAGE.digest,
      mediaType: IMAGE.mediaType,
      size: 7,
    });
  });

  test('a malformed digest is a broken protocol', async () => {
    const { client } = await clientOfScript(
      answer('HEAD', '1.0', { headers: { ...known, 'docker-content-digest': 'sha256:../../x' } }),
    );
    const error = await errorOf(headManifest(client, 'team/app', '1.0'));
    expect(error.code).toBe('PROTOCOL_VIOLATION');
    expect(error.message).toContain('/team/app:1.0');
  });
});

describe('PUT', () => {
  test('sends the same bytes and the type without parameters, to every tag', async () => {
    const { server, client } = await clientOfScript(
      answer('PUT', '1.0', { status: 201, headers: { 'docker-content-digest': IMAGE.digest } }),
      answer('PUT', 'latest', { status: 201 }),
    );
    for (const tag of ['1.0', 'latest']) await putManifest(client, 'team/app', tag, IMAGE);
    expect(server.requests.map(({ body }) => sha256(body))).toEqual([IMAGE.digest, IMAGE.digest]);
    expect(server.requests.map(({ headers }) => headers['content-type'])).toEqual([
      IMAGE.mediaType,
      IMAGE.mediaType,
    ]);
  });

  test('stored under another digest than its bytes have is caught', async () => {
    const { client } = await clientOfScript(
      answer('PUT', '1.0', { status: 201, headers: { 'docker-content-digest': OTHER.digest } }),
    );
    const error = await errorOf(putManifest(client, 'team/app', '1.0', IMAGE));
    expect(error.code).toBe('DIGEST_MISMATCH');
    expect(error.message).toContain('as stored');
  });

  test('stored under its sha512 is as good', async () => {
    const { client } = await clientOfScript(
      answer('PUT', '1.0', {
        status: 201,
        headers: { 'docker-content-digest': digestOf(IMAGE.bytes, 'sha512') },
      }),
    );
    await putManifest(client, 'team/app', '1.0', IMAGE);
  });

  test.each([
    [400, errors('MANIFEST_INVALID'), 'REQUEST_REFUSED'],
    [404, errors('MANIFEST_BLOB_UNKNOWN'), 'BLOB_NOT_FOUND'],
    [400, errors('MANIFEST_BLOB_UNKNOWN'), 'BLOB_NOT_FOUND'],
    [404, errors('NAME_UNKNOWN'), 'REPOSITORY_NOT_FOUND'],
    [405, '', 'UNSUPPORTED_BY_SERVER'],
    [413, '<html>too large</html>', 'UPLOAD_REJECTED'],
    [302, '', 'PROTOCOL_VIOLATION'],
  ])('answered with %i %s', async (status, body, code) => {
    const { client } = await clientOfScript(answer('PUT', '1.0', { status, body }));
    expect(await errorOf(putManifest(client, 'team/app', '1.0', IMAGE))).toMatchObject({ code });
  });

  test('is made again after a lost answer: the same manifest twice is one', async () => {
    const { client } = await clientOfScript(
      answer('PUT', '1.0', { fault: 'cut' }),
      answer('PUT', '1.0', { status: 201 }),
    );
    await putManifest(client, 'team/app', '1.0', IMAGE);
  });
});
