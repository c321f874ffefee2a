import { describe, expect, it } from 'vitest';
import type { Testbed } from '../../../src/testbed/index.ts';
import {
  call,
  codeOf,
  descriptorOf,
  digestOf,
  type Image,
  openTestbed,
  openTestbedOn,
  prepareImage,
  pushBlob,
  pushImage,
  putManifest,
  STORAGE_KINDS,
} from '../../support/testbed-client.ts';

async function tagsOf(testbed: Testbed, repository: string, query = ''): Promise<string[]> {
  return (await call(testbed, 'GET', `/v2/${repository}/tags/list${query}`)).json.tags;
}

async function catalogOf(testbed: Testbed): Promise<string[]> {
  return (await call(testbed, 'GET', '/v2/_catalog')).json.repositories;
}

async function api(testbed: Testbed, path: string) {
  return (await call(testbed, 'GET', `/api/registry/${path}`)).json;
}

async function withTags(...tags: string[]): Promise<Testbed> {
  const testbed = await openTestbed();
  for (const tag of tags) await pushImage(testbed, 'app', tag);
  return testbed;
}

describe('faults that lie', () => {
  it('stale by time: what came and went lately is not seen yet', async () => {
    let now = 1_000_000;
    const testbed = await openTestbed({ clock: { now: () => now, sleep: async () => {} } });
    await pushImage(testbed, 'app', 'old');
    testbed.faults.add('tags,catalog stale=5s');
    await pushImage(testbed, 'app', 'new');
    await pushImage(testbed, 'fresh', 'new');
    await call(testbed, 'DELETE', '/v2/app/manifests/old');
    expect(await tagsOf(testbed, 'app')).toEqual(['old']);
    expect(await catalogOf(testbed)).toEqual(['app']);
    expect((await call(testbed, 'GET', '/v2/app/manifests/new')).status).toBe(200);
    now += 5000;
    expect(await tagsOf(testbed, 'app')).toEqual(['new']);
    expect(await catalogOf(testbed)).toEqual(['app', 'fresh']);
    expect(testbed.faults.counts()).toMatchObject([{ matched: 4, fired: 2 }]);
  });

  it.each(STORAGE_KINDS)('stale by changes, page by page (%s)', async (kind) => {
    const testbed = await openTestbedOn(kind, { faults: [{ effect: { stale: '2changes' } }] });
    for (const tag of ['d', 'a', 'c', 'b']) await pushImage(testbed, 'app', tag);
    expect(await tagsOf(testbed, 'app')).toEqual(['a', 'd']);
    const page = await call(testbed, 'GET', '/v2/app/tags/list?n=1');
    expect([page.json.tags, page.headers['link']]).toEqual([
      ['a'],
      '</v2/app/tags/list?n=1&last=a>; rel="next"',
    ]);
    expect(await tagsOf(testbed, 'app', '?n=1&last=a')).toEqual(['d']);
  });

  it('forgetful: one entry, always the same, or those of a pattern', async () => {
    const testbed = await withTags('a', 'b', 'c');
    testbed.faults.add('tags forget name=one');
    const first = await tagsOf(testbed, 'app');
    expect(first).toHaveLength(2);
    expect(await tagsOf(testbed, 'app')).toEqual(first);
    testbed.faults.remove('one');
    testbed.faults.add('tags forget=b');
    expect(await tagsOf(testbed, 'app')).toEqual(['a', 'c']);
    expect((await call(testbed, 'HEAD', '/v2/app/manifests/b')).status).toBe(200);
    expect(await catalogOf(testbed)).toEqual(['app']);
  });

  it('forgetful referrers', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', 'v1');
    const subject = { mediaType: image.manifest['mediaType'], digest: image.digest, size: image.text.length };
    await pushImage(testbed, 'app', 'sig', { subject });
    const path = `/v2/app/referrers/${image.digest}`;
    expect((await call(testbed, 'GET', path)).json.manifests).toHaveLength(1);
    testbed.faults.add('referrers forget');
    expect((await call(testbed, 'GET', path)).json.manifests).toEqual([]);
  });

  it('missing blob: HEAD and GET agree, and a push may still refer to it', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', 'v1');
    testbed.faults.add({ match: { reference: image.layer }, effect: { missing: true } });
    const path = `/v2/app/blobs/${image.layer}`;
    const got = await call(testbed, 'GET', path);
    expect([got.status, codeOf(got)]).toEqual([404, 'BLOB_UNKNOWN']);
    expect((await call(testbed, 'HEAD', path)).status).toBe(404);
    expect((await call(testbed, 'HEAD', `/v2/app/blobs/${image.config}`)).status).toBe(200);
    expect(
      (
        await call(testbed, 'PUT', '/v2/app/manifests/v2', {
          headers: { 'content-type': String(image.manifest['mediaType']) },
          body: image.text,
        })
      ).status,
    ).toBe(201);
  });

  it('missing manifest', async () => {
    const testbed = await withTags('v1');
    testbed.faults.add('manifests missing');
    const got = await call(testbed, 'GET', '/v2/app/manifests/v1');
    expect([got.status, codeOf(got)]).toEqual([404, 'MANIFEST_UNKNOWN']);
  });

  it('a share of the blobs is missing: always the same ones, by HEAD and by GET', async () => {
    const missing: boolean[][] = [];
    for (const faultSeed of [4, 4, 5]) {
      const testbed = await openTestbed({
        faultSeed,
        faults: [{ effect: { missing: true }, match: { share: 0.5 } }],
      });
      const found: boolean[] = [];
      for (let at = 0; at < 24; at++) {
        const path = `/v2/app/blobs/${await pushBlob(testbed, 'app', `blob ${at}`)}`;
        const statuses = [];
        for (const method of ['HEAD', 'GET', 'HEAD'])
          statuses.push((await call(testbed, method, path)).status);
        expect(new Set(statuses).size).toBe(1);
        found.push(statuses[0] === 404);
      }
      expect(new Set(found).size).toBe(2);
      missing.push(found);
    }
    expect(missing[0]).toEqual(missing[1]);
    expect(missing[0]).not.toEqual(missing[2]);
  });

  it('ghost repository: the catalog and the state name it, and nobody knows it', async () => {
    const testbed = await withTags('v1');
    testbed.faults.add('ghost=team/ghost');
    expect(await catalogOf(testbed)).toEqual(['app', 'team/ghost']);
    const state = await api(testbed, 'state');
    expect(state.summary.totalRepositories).toBe(2);
    expect(state.repositories[1]).toEqual({ name: 'team/ghost', tagCount: 0, tags: [] });
    expect((await call(testbed, 'GET', '/v2/team/ghost/tags/list')).status).toBe(404);
  });

  it('lost tag: listed, and it points nowhere', async () => {
    const testbed = await withTags('v1', 'v2');
    testbed.faults.add('lost=v1');
    expect(await tagsOf(testbed, 'app')).toEqual(['v1', 'v2']);
    expect((await call(testbed, 'GET', '/v2/app/manifests/v1')).status).toBe(404);
    expect((await call(testbed, 'HEAD', '/v2/app/manifests/v2')).status).toBe(200);
    expect((await api(testbed, 'repositories/app')).tags).toMatchObject([
      { tag: 'v1', hasManifest: false, digest: null, sizeBytes: 0 },
      { tag: 'v2', hasManifest: true },
    ]);
  });

  it('count drift: the state counts otherwise than the details', async () => {
    const testbed = await withTags('v1', 'v2');
    await pushImage(testbed, 'lib', '1');
    testbed.faults.add('drift=tags+3,manifests-1,blobs+5,repositories+1 repository=app');
    const state = await api(testbed, 'state');
    expect(state.summary).toMatchObject({ totalRepositories: 3, totalManifests: 2, totalBlobs: 11 });
    expect(state.repositories).toMatchObject([
      { name: 'app', tagCount: 5 },
      { name: 'lib', tagCount: 1 },
    ]);
    expect((await api(testbed, 'repositories/app')).tagCount).toBe(2);
    expect((await api(testbed, 'health')).metrics.totalManifests).toBe(3);
  });

  it('degraded and unhealthy', async () => {
    const testbed = await openTestbed({ faults: [{ name: 'ill', effect: { health: 'degraded' } }] });
    const degraded = await call(testbed, 'GET', '/api/registry/health');
    expect([degraded.status, degraded.json.status]).toEqual([200, 'degraded']);
    expect(degraded.json.checks.statisticsAccess).toBe(false);
    expect((await api(testbed, 'state')).health.status).toBe('degraded');
    testbed.faults.remove('ill');
    testbed.faults.add('unhealthy');
    const unhealthy = await call(testbed, 'GET', '/api/registry/health');
    expect([unhealthy.status, unhealthy.json.status]).toEqual([500, 'unhealthy']);
  });

  it('a session that never ends', async () => {
    let now = 1_000_000;
    const testbed = await openTestbed({ clock: { now: () => now, sleep: async () => {} } });
    testbed.faults.add('session=10m name=stuck');
    now += 1000;
    const session = {
      id: 'fault-stuck',
      startTime: 400_000,
      lastActivity: 400_000,
      blobCount: 1,
      duration: 601_000,
    };
    expect(await api(testbed, 'sessions')).toMatchObject({
      activeSessions: [session],
      totalActiveSessions: 1,
    });
    expect((await api(testbed, 'state')).activeSessions).toEqual({ count: 1, sessions: [session] });
  });
});

/** A repository with one tag, `v1`, that was moved once. */
async function moved(
  faults: string,
  options = {},
): Promise<{ testbed: Testbed; old: Image; current: Image }> {
  const testbed = await openTestbed(options);
  testbed.faults.add(faults);
  const old = await pushImage(testbed, 'app', 'v1');
  const current = await pushImage(testbed, 'app', 'v1');
  return { testbed, old, current };
}

async function digestAt(testbed: Testbed, reference: string): Promise<string | number> {
  const { status, headers } = await call(testbed, 'GET', `/v2/app/manifests/${reference}`);
  return status === 200 ? String(headers['docker-content-digest']) : status;
}

async function statusOf(testbed: Testbed, method: string, path: string): Promise<number> {
  return (await call(testbed, method, path)).status;
}

describe('faults that lie about writes and what came of them', () => {
  it('stale tag reads: what a tag pointed at before, and nothing else is late', async () => {
    const { testbed, old, current } = await moved('manifests stale=1change');
    expect(await digestAt(testbed, 'v1')).toBe(old.digest);
    expect((await call(testbed, 'GET', '/v2/app/manifests/v1')).body.toString()).toBe(old.text);
    expect(await digestAt(testbed, current.digest)).toBe(current.digest);
    expect(await tagsOf(testbed, 'app')).toEqual(['v1']);
    await call(testbed, 'DELETE', '/v2/app/manifests/v1');
    expect(await digestAt(testbed, 'v1')).toBe(current.digest);
    testbed.faults.clear();
    expect(await digestAt(testbed, 'v1')).toBe(404);
  });

  it('stale tag reads by time, by chance, always the same for a seed', async () => {
    const pattern = async (faultSeed: number): Promise<string> => {
      const { testbed, old } = await moved('GET manifests stale=1h probability=0.5; catalog status=500', {
        faultSeed,
      });
      let reads = '';
      for (let at = 0; at < 24; at++) {
        const got = await digestAt(testbed, 'v1');
        // An hour ago there was no such tag.
        expect([404, 'sha256']).toContain(got === 404 ? got : got.toString().slice(0, 6));
        expect(got).not.toBe(old.digest);
        reads += got === 404 ? 'x' : '.';
      }
      return reads;
    };
    const once = await pattern(3);
    expect(new Set(once)).toEqual(new Set(['x', '.']));
    expect(await pattern(3)).toBe(once);
    expect(await pattern(4)).not.toBe(once);
  });

  it('lost update: 201, and the tag is where it was; the manifest is there', async () => {
    const { testbed, old, current } = await moved('PUT manifests nth=2 undone');
    expect(await digestAt(testbed, 'v1')).toBe(old.digest);
    expect(await digestAt(testbed, current.digest)).toBe(current.digest);
    expect(testbed.faults.counts()).toMatchObject([{ matched: 2, fired: 1 }]);
    // Of the same manifest again there is no update to lose.
    testbed.faults.clear();
    testbed.faults.add('PUT manifests undone');
    await putManifest(testbed, 'app', 'v1', old.text);
    expect(await digestAt(testbed, 'v1')).toBe(old.digest);
    expect(testbed.faults.counts()).toMatchObject([{ matched: 1, fired: 0 }]);
  });

  it('a tag that is back after its delete, in its time, unless it was set since', async () => {
    const wakes: (() => void)[] = [];
    const clock = {
      now: () => 1_000_000,
      sleep: () => new Promise<void>((resolve) => void wakes.push(resolve)),
    };
    const testbed = await openTestbed({ clock });
    const image = await pushImage(testbed, 'app', 'v1');
    await putManifest(testbed, 'app', 'v2', image.text);
    const other = await pushImage(testbed, 'app', 'other');
    testbed.faults.add('DELETE manifests undone=5s');
    for (const tag of ['v1', 'v2'])
      expect(await statusOf(testbed, 'DELETE', `/v2/app/manifests/${tag}`)).toBe(202);
    expect(await tagsOf(testbed, 'app')).toEqual(['other']);
    await putManifest(testbed, 'app', 'v2', other.text);
    for (const wake of wakes) wake();
    await expect.poll(() => tagsOf(testbed, 'app')).toEqual(['other', 'v1', 'v2']);
    expect(await digestAt(testbed, 'v1')).toBe(image.digest);
    expect(await digestAt(testbed, 'v2')).toBe(other.digest);
  });

  it.each(STORAGE_KINDS)('a manifest that is back after its delete, with its tags (%s)', async (kind) => {
    const testbed = await openTestbedOn(kind);
    const image = await pushImage(testbed, 'app', 'v1');
    testbed.faults.add('DELETE manifests undone');
    expect(await statusOf(testbed, 'DELETE', `/v2/app/manifests/${image.digest}`)).toBe(202);
    expect((await call(testbed, 'GET', '/v2/app/manifests/v1')).body.toString()).toBe(image.text);
  });

  it('a blob that is lost after its 201, by every way it comes; one that was there stays', async () => {
    const testbed = await openTestbed();
    const old = await pushBlob(testbed, 'app', 'old');
    await pushBlob(testbed, 'lib', 'mounted');
    testbed.faults.add('blobs undone');
    const fresh = await pushBlob(testbed, 'app', 'fresh');
    const mounted = digestOf('mounted');
    const mount = `/v2/app/blobs/uploads/?mount=${mounted}&from=lib`;
    expect(await statusOf(testbed, 'POST', mount)).toBe(201);
    const one = digestOf('one');
    const posted = await call(testbed, 'POST', `/v2/app/blobs/uploads/?digest=${one}`, { body: 'one' });
    expect(posted.status).toBe(201);
    await pushBlob(testbed, 'app', 'old');
    const found = [];
    for (const digest of [fresh, mounted, one, old]) {
      found.push(await statusOf(testbed, 'HEAD', `/v2/app/blobs/${digest}`));
    }
    expect(found).toEqual([404, 404, 404, 200]);
    expect(await statusOf(testbed, 'HEAD', `/v2/lib/blobs/${mounted}`)).toBe(200);
  });

  it('a referrer that is lost after its 201', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', 'v1');
    const signature = await prepareImage(testbed, 'app', { subject: descriptorOf(image) });
    testbed.faults.add('PUT manifests undone');
    expect((await putManifest(testbed, 'app', signature.digest, signature.text)).status).toBe(201);
    expect((await call(testbed, 'GET', `/v2/app/referrers/${image.digest}`)).json.manifests).toEqual([]);
    expect(await digestAt(testbed, 'v1')).toBe(image.digest);
  });

  it('a torn manifest: half of it, half of the one before; by digest, and elsewhere, it is whole', async () => {
    const { testbed, old, current } = await moved('GET,HEAD manifests reference=v* torn');
    const torn = await call(testbed, 'GET', '/v2/app/manifests/v1');
    const [half, rest] = [current.text.length >> 1, old.text.length >> 1];
    expect(torn.body.toString()).toBe(current.text.slice(0, half) + old.text.slice(rest));
    expect(torn.headers['docker-content-digest']).toBe(current.digest);
    const { headers } = await call(testbed, 'HEAD', '/v2/app/manifests/v1');
    expect(headers['content-length']).toBe(String(torn.body.length));
    expect((await call(testbed, 'GET', `/v2/app/manifests/${current.digest}`)).body.toString()).toBe(
      current.text,
    );
    const fresh = await pushImage(testbed, 'app', 'v2');
    const cut = (await call(testbed, 'GET', '/v2/app/manifests/v2')).body.toString();
    expect(cut).toBe(fresh.text.slice(0, fresh.text.length >> 1));
  });

  it.each([
    ['siblings', ['other']],
    ['siblings=1', ['c', 'other']],
  ])('%s: other tags of the manifest go with a deleted one', async (effect, left) => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', 'a');
    await putManifest(testbed, 'app', 'b', image.text);
    await putManifest(testbed, 'app', 'c', image.text);
    await pushImage(testbed, 'app', 'other');
    testbed.faults.add(`DELETE manifests ${effect}`);
    expect(await statusOf(testbed, 'DELETE', '/v2/app/manifests/a')).toBe(202);
    expect(await tagsOf(testbed, 'app')).toEqual(left);
    expect(await digestAt(testbed, image.digest)).toBe(image.digest);
    await call(testbed, 'DELETE', '/v2/app/manifests/other');
    expect(testbed.faults.counts()).toMatchObject([{ matched: 2, fired: 1 }]);
  });

  it('without faults nothing of it is told, and a lie ends with its fault', async () => {
    const { testbed, current } = await moved(
      'manifests stale=9changes probability=0; PUT undone probability=0',
    );
    expect(await digestAt(testbed, 'v1')).toBe(current.digest);
    testbed.faults.add('manifests torn name=torn');
    expect((await call(testbed, 'GET', '/v2/app/manifests/v1')).body.toString()).not.toBe(current.text);
    testbed.faults.remove('torn');
    expect((await call(testbed, 'GET', '/v2/app/manifests/v1')).body.toString()).toBe(current.text);
  });

  it.each(['tags undone', 'blobs torn', 'catalog dead', 'tags location=foreign', 'siblings=0', 'sweep=all'])(
    'refuses %s',
    async (spec) => {
      const testbed = await openTestbed();
      expect(() => testbed.faults.add(spec)).toThrow('invalid');
    },
  );
});
