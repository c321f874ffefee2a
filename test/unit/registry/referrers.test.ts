import { describe, expect, test } from 'vitest';
import {
  buildManifest,
  type Descriptor,
  descriptorOf,
  digestOf,
  MEDIA_TYPES,
} from '../../../src/oci/index.ts';
import { listReferrers, putManifest, referrersTag } from '../../../src/registry/index.ts';
import { type Exchange, type Reply, startServer } from '../../support/http-server.ts';
import { clientOf, errorOf, imageOf, store, testbedClient } from './support.ts';
import { errors } from './upload-script.ts';

// What points at a manifest: by the API, or by the fallback tag where there is none.

const SUBJECT = imageOf('subject');
const API = `/v2/team/app/referrers/${SUBJECT.digest}`;
const TAG = `/v2/team/app/manifests/${referrersTag(SUBJECT.digest)}`;

const entry = (name: string, artifactType = 'application/vnd.acme.sbom'): Descriptor => ({
  ...descriptorOf(imageOf(name)),
  artifactType,
});
const index = (...manifests: Descriptor[]) =>
  buildManifest({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests });
const listed = (manifests: Descriptor[], headers: Record<string, string> = {}): Reply => ({
  headers: { 'content-type': MEDIA_TYPES.ociIndex, ...headers },
  body: index(...manifests).bytes,
});
const at = (path: string | RegExp, reply: Reply, times = 1): Exchange => ({ expect: { path }, reply, times });

async function clientOfScript(...script: Exchange[]) {
  const server = await startServer(script);
  return { server, client: await clientOf(server.origin.href, { retries: 0 }) };
}

const namesOf = (descriptors: readonly Descriptor[]): string[] => descriptors.map(({ digest }) => digest);

describe('a testbed', () => {
  test('lists what refers to a manifest, all or of one type', async () => {
    const { client } = await testbedClient();
    await store(client, 'team/app', SUBJECT, '1.0');
    const signature = imageOf('signature', {
      subject: SUBJECT,
      artifactType: 'application/vnd.acme.signature',
    });
    const sbom = imageOf('sbom', { subject: SUBJECT, artifactType: 'application/vnd.acme.sbom+json' });
    for (const one of [signature, sbom]) await putManifest(client, 'team/app', one.digest, one);
    const all = await listReferrers(client, 'team/app', SUBJECT.digest);
    expect(all.source).toBe('api');
    expect(namesOf(all.descriptors).sort()).toEqual([signature.digest, sbom.digest].sort());
    const some = await listReferrers(client, 'team/app', SUBJECT.digest, {
      artifactType: 'application/vnd.acme.sbom+json',
    });
    expect(namesOf(some.descriptors)).toEqual([sbom.digest]);
  });

  test('lists nothing for what nothing refers to', async () => {
    const { client } = await testbedClient();
    await store(client, 'team/app', SUBJECT, '1.0');
    expect(await listReferrers(client, 'team/app', SUBJECT.digest)).toEqual({
      descriptors: [],
      source: 'api',
    });
    expect(client.traits.referrersAbsent).toBe(false);
  });
});

describe('the fallback tag', () => {
  test('is the digest with a dash, cut to the length of a tag', () => {
    expect(referrersTag(digestOf('x'))).toBe(digestOf('x').replace(':', '-'));
    const long = referrersTag(digestOf('x', 'sha512'));
    expect(long).toBe(
      digestOf('x', 'sha512')
        .replace(':', '-')
        .slice(0, 'sha512-'.length + 64),
    );
  });

  test.each([
    [404, '404 page not found'],
    [404, errors('UNSUPPORTED')],
    [405, ''],
    [501, ''],
  ])('is read where the API is absent (%i %s), and the API not asked again', async (status, body) => {
    const { client } = await clientOfScript(at(API, { status, body }), at(TAG, listed([entry('a')]), 2));
    for (let time = 0; time < 2; time++) {
      expect(await listReferrers(client, 'team/app', SUBJECT.digest)).toEqual({
        descriptors: [entry('a')],
        source: 'tag-schema',
      });
    }
  });

  test.each([
    [404, errors('NAME_UNKNOWN')],
    [400, errors('DIGEST_INVALID')],
  ])(
    'is read after %i %s too, which says nothing about other repositories and digests',
    async (status, body) => {
      const { client } = await clientOfScript(
        at(API, { status, body }),
        at(TAG, { status: 404, body: errors('NAME_UNKNOWN') }),
        at(/\/v2\/other\/app\/referrers/, listed([entry('a')])),
      );
      expect(await listReferrers(client, 'team/app', SUBJECT.digest)).toEqual({
        descriptors: [],
        source: 'tag-schema',
      });
      expect(await listReferrers(client, 'other/app', SUBJECT.digest)).toMatchObject({ source: 'api' });
    },
  );

  test('is filtered here', async () => {
    const { client } = await clientOfScript(
      at(/\?artifactType=wanted$/, { status: 404 }),
      at(TAG, listed([entry('a', 'wanted'), entry('b', 'other')])),
    );
    const { descriptors } = await listReferrers(client, 'team/app', SUBJECT.digest, {
      artifactType: 'wanted',
    });
    expect(descriptors).toEqual([entry('a', 'wanted')]);
  });

  test('that is no index lists nothing', async () => {
    const { client } = await clientOfScript(
      at(API, { status: 404 }),
      at(TAG, { headers: { 'content-type': SUBJECT.mediaType }, body: SUBJECT.bytes }),
    );
    expect((await listReferrers(client, 'team/app', SUBJECT.digest)).descriptors).toEqual([]);
  });

  test('that cannot be read is an error', async () => {
    const { client } = await clientOfScript(at(API, { status: 404 }), at(TAG, { status: 403 }));
    expect(await errorOf(listReferrers(client, 'team/app', SUBJECT.digest))).toMatchObject({
      code: 'PERMISSION_DENIED',
    });
  });
});

describe('the API', () => {
  test.each([true, false])('filters, or does not (said: %s): what comes is of the type', async (said) => {
    const headers: Record<string, string> = said ? { 'oci-filters-applied': 'artifactType' } : {};
    const { server, client } = await clientOfScript(
      at(/referrers/, listed([entry('a', 'application/x+y'), entry('b', 'other')], headers)),
    );
    const { descriptors } = await listReferrers(client, 'team/app', SUBJECT.digest, {
      artifactType: 'application/x+y',
    });
    expect(descriptors).toEqual([entry('a', 'application/x+y')]);
    expect(server.requests[0]?.path).toBe(`${API}?artifactType=application%2Fx%2By`);
  });

  test('goes over pages, and names each once', async () => {
    const { client } = await clientOfScript(
      at(API, listed([entry('a'), entry('b')], { link: `<${API}?last=b>; rel="next"` })),
      at(`${API}?last=b`, listed([entry('b'), entry('c')])),
    );
    const { descriptors } = await listReferrers(client, 'team/app', SUBJECT.digest);
    expect(descriptors).toEqual([entry('a'), entry('b'), entry('c')]);
  });

  test('that comes round ends there', async () => {
    const { client } = await clientOfScript(
      at(API, listed([entry('a')], { link: `<${API}?last=a>; rel="next"` })),
      at(`${API}?last=a`, listed([entry('b')], { link: `<${API}?last=a>; rel="next"` })),
    );
    expect((await listReferrers(client, 'team/app', SUBJECT.digest)).descriptors).toHaveLength(2);
  });

  test('may not lead away', async () => {
    const { client } = await clientOfScript(
      at(API, listed([entry('a')], { link: '<https://evil.example/x>; rel="next"' })),
    );
    expect(await errorOf(listReferrers(client, 'team/app', SUBJECT.digest))).toMatchObject({
      code: 'REDIRECT_REFUSED',
    });
  });

  test('that stops in the middle is an error: half a list is none', async () => {
    const { client } = await clientOfScript(
      at(API, listed([entry('a')], { link: `<${API}?last=a>; rel="next"` })),
      at(`${API}?last=a`, { status: 404 }),
    );
    expect(await errorOf(listReferrers(client, 'team/app', SUBJECT.digest))).toMatchObject({
      details: { status: 404 },
    });
    expect(client.traits.referrersAbsent).toBe(false);
  });

  test('that answers with an image is none', async () => {
    const { client } = await clientOfScript(
      at(API, { headers: { 'content-type': SUBJECT.mediaType }, body: SUBJECT.bytes }),
      at(TAG, listed([entry('a')])),
    );
    expect(await listReferrers(client, 'team/app', SUBJECT.digest)).toMatchObject({ source: 'tag-schema' });
  });

  test('answers 403 or 5xx: an error, not an absence', async () => {
    const { client } = await clientOfScript(at(API, { status: 403 }), at(API, { status: 500 }));
    expect(await errorOf(listReferrers(client, 'team/app', SUBJECT.digest))).toMatchObject({
      code: 'PERMISSION_DENIED',
    });
    expect(await errorOf(listReferrers(client, 'team/app', SUBJECT.digest))).toMatchObject({
      code: 'SERVER_ERROR',
    });
  });

  test.each([
    ['too large', 'RESPONSE_TOO_LARGE', `{"x":"${'x'.repeat(4_194_304)}"}`],
    [
      'an invalid digest in it',
      'MANIFEST_INVALID',
      '{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:../x","size":1}]}',
    ],
    ['no JSON', 'MANIFEST_INVALID', '<html>'],
  ])('with a list %s', async (_what, code, body) => {
    const { client } = await clientOfScript(
      at(API, { headers: { 'content-type': MEDIA_TYPES.ociIndex }, body }),
    );
    expect(await errorOf(listReferrers(client, 'team/app', SUBJECT.digest))).toMatchObject({ code });
  });
});
