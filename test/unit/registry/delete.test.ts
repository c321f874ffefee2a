import { describe, expect, test } from 'vitest';
import {
  collect,
  deleteReference,
  deleteScope,
  headManifest,
  listTags,
  type RegistryClient,
} from '../../../src/registry/index.ts';
import { type FrontReply, startFront } from './front.ts';
import {
  type ClientOptions,
  clientOf,
  errorOf,
  imageOf,
  recordingLog,
  store,
  testbedClient,
} from './support.ts';
import { errors } from './upload-script.ts';

// Deletes that take nothing along which nobody named.

const IMAGE = imageOf('one');
const OTHER = imageOf('other');
const APP = 'team/app';

/** What each tag points at. */
async function tagsAt(client: RegistryClient, repository = APP): Promise<Record<string, string | undefined>> {
  const tags = await collect(listTags(client, repository)).catch(() => []);
  const heads = await Promise.all(tags.map((tag) => headManifest(client, repository, tag)));
  return Object.fromEntries(tags.map((tag, at) => [tag, heads[at]?.digest]));
}

const isTagDelete = (method: string, path: string): boolean =>
  method === 'DELETE' && /\/manifests\/(?!sha256:)/.test(path);
const isDigestDelete = (method: string, path: string): boolean =>
  method === 'DELETE' && path.includes('/manifests/sha256:');

/** A testbed that cannot delete tags, as distribution 2.8; `answer` may make it worse. */
async function oldRegistry(
  answer: (method: string, path: string) => FrontReply | undefined = () => undefined,
  refusal: FrontReply = { status: 405, body: errors('UNSUPPORTED') },
  options: ClientOptions = {},
) {
  const { testbed, client: direct } = await testbedClient();
  const requests: string[] = [];
  const url = await startFront(testbed.url, (method, path) => {
    requests.push(`${method} ${path.split('/').at(-1)}`);
    return answer(method, path) ?? (isTagDelete(method, path) ? refusal : undefined);
  });
  return { client: await clientOf(url, { retries: 0, ...options }), direct, requests };
}

describe('a registry that deletes tags', () => {
  test('loses the tag alone; the others are told', async () => {
    const { client } = await testbedClient();
    await store(client, APP, IMAGE, '1', '2', 'latest');
    await store(client, APP, OTHER, 'other');
    expect(await deleteReference(client, { repository: APP, tag: '1' })).toEqual({
      digest: IMAGE.digest,
      removedTags: ['1'],
      keptTags: ['2', 'latest'],
      manifestDeleted: false,
    });
    expect(await tagsAt(client)).toEqual({ 2: IMAGE.digest, latest: IMAGE.digest, other: OTHER.digest });
  });

  test('loses the last tag, and keeps the manifest', async () => {
    const { client } = await testbedClient();
    await store(client, APP, IMAGE, '1');
    expect(await deleteReference(client, { repository: APP, tag: '1' })).toMatchObject({
      keptTags: [],
      manifestDeleted: false,
    });
    expect(await headManifest(client, APP, IMAGE.digest)).toBeDefined();
  });

  test('neither tag nor digest is `latest`', async () => {
    const { client } = await testbedClient();
    await store(client, APP, IMAGE, '1', 'latest');
    expect(await deleteReference(client, { repository: APP })).toMatchObject({ removedTags: ['latest'] });
    expect(Object.keys(await tagsAt(client))).toEqual(['1']);
  });

  test('a list that fails afterwards does not undo the deed', async () => {
    const { testbed, client: direct } = await testbedClient();
    await store(direct, APP, IMAGE, '1', '2');
    const log = recordingLog();
    const url = await startFront(testbed.url, (_method, path) =>
      path.includes('/tags/list') ? { status: 403 } : undefined,
    );
    const client = await clientOf(url, { log });
    expect(await deleteReference(client, { repository: APP, tag: '1' })).toMatchObject({
      removedTags: ['1'],
    });
    expect(log.warnings).toHaveLength(1);
    expect(Object.keys(await tagsAt(direct))).toEqual(['2']);
  });

  test('wants a token for it, which is asked for with `*`: Quay refuses the action `delete`', async () => {
    expect(deleteScope(APP)).toBe('repository:team/app:*');
    const auth = { username: 'anna', password: 'hunter2-S3cr3t' };
    const { client } = await testbedClient({ auth, tokenAuth: true }, { credential: auth });
    await store(client, APP, IMAGE, '1', '2');
    await deleteReference(client, { repository: APP, tag: '1' });
    await deleteReference(client, { repository: APP, tag: '2' }, { allTags: true });
    expect(await headManifest(client, APP, IMAGE.digest)).toBeUndefined();
  });

  test('refuses by its own reasons', async () => {
    const { testbed, client: direct } = await testbedClient();
    await store(direct, APP, IMAGE, '1');
    const url = await startFront(testbed.url, (method) =>
      method === 'DELETE' ? { status: 403 } : undefined,
    );
    const error = await errorOf(deleteReference(await clientOf(url), { repository: APP, tag: '1' }));
    expect(error.code).toBe('PERMISSION_DENIED');
    expect(await tagsAt(direct)).toEqual({ 1: IMAGE.digest });
  });
});

describe('by digest', () => {
  test('a manifest that tags point at stays: TAG_SHARED names them', async () => {
    const { client } = await testbedClient();
    const tags = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    await store(client, APP, IMAGE, ...tags);
    const error = await errorOf(deleteReference(client, { repository: APP, digest: IMAGE.digest }));
    expect(error).toMatchObject({ code: 'TAG_SHARED', kind: 'denied', details: { tags: 7 } });
    expect(error.message).toContain('a, b, c, d, e and 2 more');
    expect(error.hints.join()).toContain('--all-tags');
    expect(Object.keys(await tagsAt(client))).toEqual(tags);
  });

  test('a manifest without tags goes', async () => {
    const { client } = await testbedClient();
    await store(client, APP, IMAGE, IMAGE.digest);
    await store(client, APP, OTHER, 'other');
    expect(await deleteReference(client, { repository: APP, digest: IMAGE.digest })).toEqual({
      digest: IMAGE.digest,
      removedTags: [],
      keptTags: [],
      manifestDeleted: true,
    });
    expect(await headManifest(client, APP, IMAGE.digest)).toBeUndefined();
    expect(await tagsAt(client)).toEqual({ other: OTHER.digest });
  });

  test('in a repository whose list of tags is unknown (distribution, no tags at all) it goes too', async () => {
    const { testbed, client: direct } = await testbedClient();
    await store(direct, APP, IMAGE, IMAGE.digest);
    const url = await startFront(testbed.url, (_method, path) =>
      path.includes('/tags/list') ? { status: 404, body: errors('NAME_UNKNOWN') } : undefined,
    );
    expect(
      await deleteReference(await clientOf(url), { repository: APP, digest: IMAGE.digest }),
    ).toMatchObject({
      manifestDeleted: true,
    });
  });

  test('where the tags cannot be listed nothing is deleted', async () => {
    const { testbed, client: direct } = await testbedClient();
    await store(direct, APP, IMAGE, '1');
    const url = await startFront(testbed.url, (_method, path) =>
      path.includes('/tags/list') ? { status: 405 } : undefined,
    );
    const error = await errorOf(
      deleteReference(await clientOf(url), { repository: APP, digest: IMAGE.digest }),
    );
    expect(error.code).toBe('UNSUPPORTED_BY_SERVER');
    expect(await tagsAt(direct)).toEqual({ 1: IMAGE.digest });
  });

  test('a tag that may not be looked at may be one of its tags: nothing is deleted', async () => {
    const { testbed, client: direct } = await testbedClient();
    await store(direct, APP, IMAGE, 'hidden');
    const url = await startFront(testbed.url, (_method, path) =>
      path.endsWith('/hidden') ? { status: 403 } : undefined,
    );
    const error = await errorOf(
      deleteReference(await clientOf(url), { repository: APP, digest: IMAGE.digest }),
    );
    expect(error.code).toBe('PERMISSION_DENIED');
    expect(await tagsAt(direct)).toEqual({ hidden: IMAGE.digest });
  });
});

describe('with all tags', () => {
  test.each([{ tag: '1' }, { digest: IMAGE.digest }])(
    '%o takes the manifest and every tag of it',
    async (name) => {
      const { client } = await testbedClient();
      await store(client, APP, IMAGE, '1', '2');
      await store(client, APP, OTHER, 'other');
      expect(await deleteReference(client, { repository: APP, ...name }, { allTags: true })).toEqual({
        digest: IMAGE.digest,
        removedTags: ['1', '2'],
        keptTags: [],
        manifestDeleted: true,
      });
      expect(await headManifest(client, APP, IMAGE.digest)).toBeUndefined();
      expect(await tagsAt(client)).toEqual({ other: OTHER.digest });
    },
  );
});

describe('what is not there', () => {
  test.each([{ tag: 'none' }, { digest: OTHER.digest }])('%o', async (name) => {
    const { client } = await testbedClient();
    await store(client, APP, IMAGE, '1');
    const error = await errorOf(deleteReference(client, { repository: APP, ...name }));
    expect(error.code).toBe('MANIFEST_NOT_FOUND');
    expect(error.message).toContain(name.tag ?? OTHER.digest);
  });

  test('a HEAD refused with 403 is not taken for that: a GET tells', async () => {
    const { testbed, client: direct } = await testbedClient();
    await store(direct, APP, IMAGE, '1', '2');
    const artifactory = await startFront(testbed.url, (method, path) =>
      method === 'HEAD' && path.includes('/manifests/') ? { status: 403 } : undefined,
    );
    const client = await clientOf(artifactory);
    expect(await errorOf(deleteReference(client, { repository: APP, tag: 'none' }))).toMatchObject({
      code: 'MANIFEST_NOT_FOUND',
    });
    expect(await deleteReference(client, { repository: APP, tag: '1' })).toMatchObject({ keptTags: ['2'] });

    const denied = await startFront(testbed.url, (_method, path) =>
      path.includes('/manifests/') ? { status: 403 } : undefined,
    );
    expect(
      await errorOf(deleteReference(await clientOf(denied), { repository: APP, tag: '2' })),
    ).toMatchObject({
      code: 'PERMISSION_DENIED',
    });
  });
});

describe('distribution 2.8 deletes by digest only', () => {
  const refusals: FrontReply[] = [
    { status: 405, body: errors('UNSUPPORTED') },
    { status: 400, body: errors('DIGEST_INVALID') },
    { status: 404, body: errors('MANIFEST_UNKNOWN') },
    { status: 501 },
  ];

  test.each(refusals)('%o: a manifest of one tag goes with it', async (refusal) => {
    const { client } = await oldRegistry(undefined, refusal);
    await store(client, APP, IMAGE, '1');
    await store(client, APP, OTHER, 'other');
    expect(await deleteReference(client, { repository: APP, tag: '1' })).toEqual({
      digest: IMAGE.digest,
      removedTags: ['1'],
      keptTags: [],
      manifestDeleted: true,
    });
    expect(await tagsAt(client)).toEqual({ other: OTHER.digest });
  });

  test('a tag among several goes alone: the others and the manifest stay', async () => {
    const { client, requests } = await oldRegistry();
    await store(client, APP, IMAGE, '1', '2', 'latest');
    expect(await deleteReference(client, { repository: APP, tag: '2' })).toEqual({
      digest: IMAGE.digest,
      removedTags: ['2'],
      keptTags: ['1', 'latest'],
      manifestDeleted: false,
    });
    expect(await tagsAt(client)).toEqual({ 1: IMAGE.digest, latest: IMAGE.digest });
    expect(await headManifest(client, APP, IMAGE.digest)).toBeDefined();
    expect(requests).not.toContain(`DELETE ${IMAGE.digest}`);
  });

  test('two tags taken off one after the other do not take each other along', async () => {
    const { client, requests } = await oldRegistry();
    await store(client, APP, IMAGE, '1', '2', '3');
    for (const tag of ['1', '2']) await deleteReference(client, { repository: APP, tag });
    expect(await tagsAt(client)).toEqual({ 3: IMAGE.digest });
    // Each was moved to a manifest of its own, so they could not have, even at the same time.
    const standIns = requests.filter((line) => line.startsWith('DELETE sha256:'));
    expect(new Set(standIns).size).toBe(2);
  });

  test('a delete that fails puts the tag back', async () => {
    const { client } = await oldRegistry((method, path) =>
      isDigestDelete(method, path) ? { status: 405 } : undefined,
    );
    await store(client, APP, IMAGE, '1', '2');
    expect(await errorOf(deleteReference(client, { repository: APP, tag: '2' }))).toMatchObject({
      code: 'UNSUPPORTED_BY_SERVER',
    });
    expect(await tagsAt(client)).toEqual({ 1: IMAGE.digest, 2: IMAGE.digest });
  });

  test('an abort after the tag was moved puts it back', async () => {
    const abort = new AbortController();
    const { client } = await oldRegistry((method, path) => {
      if (!isDigestDelete(method, path)) return undefined;
      abort.abort();
      return { status: 500 };
    });
    await store(client, APP, IMAGE, '1', '2');
    const work = deleteReference(client, { repository: APP, tag: '2' }, { signal: abort.signal });
    expect(await errorOf(work)).toMatchObject({ code: 'INTERRUPTED' });
    expect(await tagsAt(client)).toEqual({ 1: IMAGE.digest, 2: IMAGE.digest });
  });

  test('a move whose answer is lost is undone', async () => {
    const { testbed, client: direct } = await testbedClient();
    await store(direct, APP, IMAGE, '1', '2');
    let moves = 0;
    const url = await startFront(testbed.url, (method, path) => {
      if (isTagDelete(method, path)) return { status: 405 };
      return method === 'PUT' && path.endsWith('/manifests/2') && ++moves === 1
        ? { status: 504, passOn: true }
        : undefined;
    });
    const client = await clientOf(url, { retries: 0 });
    expect(await errorOf(deleteReference(client, { repository: APP, tag: '2' }))).toMatchObject({
      code: 'TIMED_OUT',
    });
    expect(moves).toBe(2);
    expect(await tagsAt(direct)).toEqual({ 1: IMAGE.digest, 2: IMAGE.digest });
  });

  test('a refused move leaves everything, and is told as it is', async () => {
    const { client, direct, requests } = await oldRegistry((method, path) =>
      method === 'PUT' && path.includes('/manifests/') ? { status: 403, body: errors('DENIED') } : undefined,
    );
    await store(direct, APP, IMAGE, '1', '2');
    const error = await errorOf(deleteReference(client, { repository: APP, tag: '2' }));
    expect(error.code).toBe('PERMISSION_DENIED');
    expect(error.message).not.toContain('put back');
    expect(requests.filter((line) => line === 'PUT 2')).toHaveLength(1);
  });

  test('a tag that cannot be put back is told, with what it pointed at', async () => {
    let puts = 0;
    const { client, direct } = await oldRegistry((method, path) => {
      if (isDigestDelete(method, path)) return { status: 500, body: 'disk full' };
      return method === 'PUT' && path.endsWith('/manifests/2') && ++puts > 1 ? { status: 403 } : undefined;
    });
    await store(direct, APP, IMAGE, '1', '2');
    const error = await errorOf(deleteReference(client, { repository: APP, tag: '2' }));
    expect(error.code).toBe('SERVER_ERROR');
    expect(error.message).toContain('disk full');
    expect(error.message).toContain('could not be put back');
    expect(error.hints.join()).toContain(IMAGE.digest);
  });

  test('a registry whose list lacks the very tag is not trusted to know its siblings', async () => {
    const { client, direct } = await oldRegistry((_method, path) =>
      path.includes('/tags/list') ? { status: 200, body: '{"tags":[]}' } : undefined,
    );
    await store(direct, APP, IMAGE, '1', '2');
    const error = await errorOf(deleteReference(client, { repository: APP, tag: '1' }));
    expect(error.code).toBe('PROTOCOL_VIOLATION');
    expect(await tagsAt(direct)).toEqual({ 1: IMAGE.digest, 2: IMAGE.digest });
  });

  test('with all tags the tag delete is not tried', async () => {
    const { client, requests } = await oldRegistry();
    await store(client, APP, IMAGE, '1', '2');
    await deleteReference(client, { repository: APP, tag: '1' }, { allTags: true });
    expect(requests.filter((line) => line.startsWith('DELETE'))).toEqual([`DELETE ${IMAGE.digest}`]);
    expect(await tagsAt(client)).toEqual({});
  });
});
