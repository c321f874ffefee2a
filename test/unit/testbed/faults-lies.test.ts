import { describe, expect, it } from 'vitest';
import type { Testbed } from '../../../src/testbed/index.ts';
import {
  call,
  codeOf,
  openTestbed,
  openTestbedOn,
  pushBlob,
  pushImage,
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
