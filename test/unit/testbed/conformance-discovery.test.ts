/**
 * OCI distribution spec 1.1, "Content Discovery": one test for each MUST on registries. Left out is the
 * clients' fallback to the referrers tag schema, and a list of several filters: the spec knows one.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Testbed } from '../../../src/testbed/index.ts';
import {
  type Answer,
  call,
  codeOf,
  descriptorOf,
  type Image,
  indexOf,
  OCI_CONFIG,
  OCI_INDEX,
  openTestbedOn,
  prepareImage,
  pushBlob,
  pushImage,
  putManifest,
  STORAGE_KINDS,
  unknownDigest,
} from '../../support/testbed-client.ts';

describe.each(STORAGE_KINDS)('Content Discovery (%s)', (kind) => {
  let testbed: Testbed;
  beforeEach(async () => {
    testbed = await openTestbedOn(kind);
  });

  describe('Listing Tags', () => {
    const list = (query = ''): Promise<Answer> => call(testbed, 'GET', `/v2/team/app/tags/list${query}`);
    const pushTags = async (...tags: string[]): Promise<void> => {
      const image = await pushImage(testbed, 'team/app', tags[0] as string);
      for (const tag of tags) await putManifest(testbed, 'team/app', tag, image.text);
    };

    it('MUST answer 200 when the repository is found, also when it has no tags', async () => {
      await pushBlob(testbed, 'team/app', 'a blob');
      expect((await list()).status).toBe(200);
      expect((await list()).json).toEqual({ name: 'team/app', tags: [] });
    });

    it('MUST list tags in lexical order, case-insensitive alphanumeric', async () => {
      await pushTags('b', 'C', '10', 'a', '_x', '9', 'B', 'A');
      expect((await list()).json.tags).toEqual(['10', '9', '_x', 'A', 'a', 'B', 'b', 'C']);
    });

    it('MUST answer with a JSON body of the name and the tags', async () => {
      await pushTags('1', '2');
      const answer = await list();
      expect(answer.headers['content-type']).toBe('application/json');
      expect(answer.json).toEqual({ name: 'team/app', tags: ['1', '2'] });
    });

    it('MUST include n results when there are as many', async () => {
      await pushTags('a', 'b', 'c');
      expect((await list('?n=2')).json.tags).toEqual(['a', 'b']);
      expect((await list('?n=3')).json.tags).toEqual(['a', 'b', 'c']);
      expect((await list('?n=4')).json.tags).toEqual(['a', 'b', 'c']);
    });

    it('MUST set Link by RFC 5988 with rel="next", when more tags are available only', async () => {
      await pushTags('a', 'b', 'c');
      const link = (await list('?n=2')).headers['link'] as string;
      const target = /^<([^>]+)>; rel="next"$/.exec(link)?.[1] as string;
      const next = await call(testbed, 'GET', target);
      expect(next.json.tags).toEqual(['c']);
      expect(next.headers['link']).toBeUndefined();
      expect((await list('?n=3')).headers['link']).toBeUndefined();
    });

    it('MUST answer n=0 with an empty list and MUST NOT include Link', async () => {
      await pushTags('a', 'b');
      const answer = await list('?n=0');
      expect(answer.json.tags).toEqual([]);
      expect(answer.headers['link']).toBeUndefined();
    });

    it('MUST keep the order with n', async () => {
      await pushTags('c', 'B', 'a');
      expect((await list('?n=2')).json.tags).toEqual(['a', 'B']);
    });

    it('MUST begin after last, in order, with or without n', async () => {
      await pushTags('d', 'c', 'B', 'a');
      expect((await list('?last=a&n=2')).json.tags).toEqual(['B', 'c']);
      expect((await list('?last=B')).json.tags).toEqual(['c', 'd']);
      expect((await list('?last=d')).json.tags).toEqual([]);
    });

    it('last MUST be the value of a tag, not an index', async () => {
      await pushTags('0', '1', '2');
      expect((await list('?last=1')).json.tags).toEqual(['2']);
      expect((await list('?last=00')).json.tags).toEqual(['1', '2']);
    });

    it('answers 404 for a repository that is not found', async () => {
      const answer = await list();
      expect([answer.status, codeOf(answer)]).toEqual([404, 'NAME_UNKNOWN']);
    });
  });

  describe('Listing Referrers', () => {
    const list = (subject: string, query = ''): Promise<Answer> =>
      call(testbed, 'GET', `/v2/team/app/referrers/${subject}${query}`);
    const attach = async (base: Image, extra: Record<string, unknown>): Promise<Image> => {
      const image = await prepareImage(testbed, 'team/app', { subject: descriptorOf(base), ...extra });
      expect((await putManifest(testbed, 'team/app', image.digest, image.text)).status).toBe(201);
      return image;
    };

    it('MUST answer 200 when the repository is found', async () => {
      const base = await pushImage(testbed, 'team/app', '1');
      expect((await list(base.digest)).status).toBe(200);
      expect((await list(unknownDigest())).status).toBe(200);
    });

    it('MUST NOT answer 404, not even for an unknown repository', async () => {
      expect((await list(unknownDigest())).status).toBe(200);
    });

    it('MUST answer 400 when the request is invalid', async () => {
      const answer = await list('sha256:nonsense');
      expect([answer.status, codeOf(answer)]).toEqual([400, 'DIGEST_INVALID']);
    });

    it('MUST answer with an image index of the manifests whose subject it is', async () => {
      const base = await pushImage(testbed, 'team/app', '1');
      const other = await pushImage(testbed, 'team/app', '2');
      const first = await attach(base, {});
      const second = await attach(base, {});
      await attach(other, {});
      const { json } = await list(base.digest);
      expect(json).toMatchObject({ schemaVersion: 2, mediaType: OCI_INDEX });
      const digests = (json.manifests as { digest: string }[]).map((one) => one.digest);
      expect(digests.toSorted()).toEqual([first.digest, second.digest].toSorted());
      expect(json.manifests).toContainEqual(expect.objectContaining(descriptorOf(first)));
    });

    it('MUST set the Content-Type to that of an image index', async () => {
      expect((await list(unknownDigest())).headers['content-type']).toBe(OCI_INDEX);
    });

    it('MUST take artifactType from the manifest, else from the config of an image, else omit it', async () => {
      const base = await pushImage(testbed, 'team/app', '1');
      const typed = await attach(base, { artifactType: 'application/vnd.example.sbom' });
      const untyped = await attach(base, {});
      const empty = await attach(base, { artifactType: '' });
      const subject = descriptorOf(base);
      const typedIndex = indexOf([], { subject, artifactType: 'application/vnd.example.list' });
      await putManifest(testbed, 'team/app', 'typed-index', typedIndex);
      await putManifest(testbed, 'team/app', 'index', indexOf([], { subject }));

      const { manifests } = (await list(base.digest)).json;
      const typeOf = (digest: string): string =>
        manifests.find((one: { digest: string }) => one.digest === digest).artifactType;
      expect(typeOf(typed.digest)).toBe('application/vnd.example.sbom');
      expect(typeOf(untyped.digest)).toBe(OCI_CONFIG);
      expect(typeOf(empty.digest)).toBe(OCI_CONFIG);
      const ofIndexes = manifests.filter((one: { mediaType: string }) => one.mediaType === OCI_INDEX);
      expect(ofIndexes.map((one: object) => 'artifactType' in one).toSorted()).toEqual([false, true]);
    });

    it('MUST include the annotations of the manifest', async () => {
      const base = await pushImage(testbed, 'team/app', '1');
      const annotations = { 'org.example.format': 'json', empty: '' };
      await attach(base, { annotations });
      expect((await list(base.digest)).json.manifests[0].annotations).toEqual(annotations);
    });

    it('MUST answer with an empty manifest list when nothing refers to it', async () => {
      expect((await list(unknownDigest())).json).toEqual({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [],
      });
    });

    it('MUST include Link by RFC 5988 when the list does not fit a single manifest', async () => {
      const base = await pushImage(testbed, 'team/app', '1');
      const attached = new Set<string>();
      for (let number = 0; number < 5; number++) {
        const annotations = { filler: String(number).repeat(1_000_000) };
        attached.add((await attach(base, { annotations, artifactType: 'application/x' })).digest);
      }
      const seen: string[] = [];
      let pages = 0;
      let next: string | undefined = `/v2/team/app/referrers/${base.digest}?artifactType=application/x`;
      while (next !== undefined) {
        const page: Answer = await call(testbed, 'GET', next);
        expect(page.body.length).toBeLessThanOrEqual(4 * 1024 * 1024);
        expect(page.headers['oci-filters-applied']).toBe('artifactType');
        seen.push(...page.json.manifests.map((one: { digest: string }) => one.digest));
        next = /^<([^>]+)>; rel="next"$/.exec((page.headers['link'] as string | undefined) ?? '')?.[1];
        pages++;
      }
      expect(pages).toBe(2);
      expect(seen).toHaveLength(5);
      expect(new Set(seen)).toEqual(attached);
    });

    it('MUST say OCI-Filters-Applied when it filtered by artifactType', async () => {
      const base = await pushImage(testbed, 'team/app', '1');
      const sbom = await attach(base, { artifactType: 'application/vnd.example.sbom+json' });
      await attach(base, { artifactType: 'application/vnd.example.signature' });
      const answer = await list(base.digest, '?artifactType=application%2Fvnd.example.sbom%2Bjson');
      expect(answer.headers['oci-filters-applied']).toBe('artifactType');
      expect(answer.json.manifests.map((one: { digest: string }) => one.digest)).toEqual([sbom.digest]);
      const unfiltered = await list(base.digest);
      expect(unfiltered.headers['oci-filters-applied']).toBeUndefined();
      expect(unfiltered.json.manifests).toHaveLength(2);
    });
  });

  describe('Enabling the Referrers API', () => {
    it('MUST include manifests that an index tagged with the referrers tag schema lists, and all pushed later', async () => {
      const base = await pushImage(testbed, 'team/app', '1');
      const subject = descriptorOf(base);
      const before = await prepareImage(testbed, 'team/app', { subject });
      await putManifest(testbed, 'team/app', before.digest, before.text);
      await putManifest(testbed, 'team/app', base.digest.replace(':', '-'), indexOf([before]));
      const after = await prepareImage(testbed, 'team/app', { subject });
      await putManifest(testbed, 'team/app', after.digest, after.text);
      const { json } = await call(testbed, 'GET', `/v2/team/app/referrers/${base.digest}`);
      const digests = (json.manifests as { digest: string }[]).map((one) => one.digest);
      expect(digests.toSorted()).toEqual([before.digest, after.digest].toSorted());
    });
  });
});
