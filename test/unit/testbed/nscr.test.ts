import { describe, expect, it } from 'vitest';
import type { RequestLine } from '../../../src/testbed/index.ts';
import {
  beginUpload,
  call,
  indexOf,
  openTestbed,
  openTestbedOn,
  prepareImage,
  pushBlob,
  pushImage,
  putManifest,
  STORAGE_KINDS,
} from '../../support/testbed-client.ts';

const TIME = expect.toSatisfy((value) => Number.isInteger(value) && value >= 0);
const EMPTY = { totalRepositories: 0, totalManifests: 0, totalBlobs: 0 };
const NOTHING = { unreferencedBlobs: 0, orphanedManifests: 0, estimatedSpaceToFree: 0 };

async function ask(testbed: Parameters<typeof call>[0], path: string) {
  const answer = await call(testbed, 'GET', `/api/${path}`);
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('application/json');
  return answer.json;
}

describe('NSCR administration', () => {
  it('of an empty registry', async () => {
    const testbed = await openTestbed();
    expect(await ask(testbed, 'registry/state')).toEqual({
      timestamp: TIME,
      registryVersion: '2.0',
      summary: { ...EMPTY, ...NOTHING },
      storage: { totalBytes: 0, uniqueBytes: 0, spaceSavings: 0, deduplicationRatio: 0, uniqueBlobs: 0 },
      repositories: [],
      activeSessions: { count: 0, sessions: [] },
      health: { status: 'healthy', uptime: TIME, logStreamClients: 0 },
    });
    expect(await ask(testbed, 'registry/health')).toEqual({
      status: 'healthy',
      timestamp: TIME,
      uptime: TIME,
      checks: { repositoryListing: true, statisticsAccess: true, databaseConnectivity: true },
      metrics: { ...EMPTY, activeSessions: 0, logStreamClients: 0 },
      warnings: [],
    });
    expect(await ask(testbed, 'registry/repositories/nobody/knows')).toEqual({
      name: 'nobody/knows',
      tagCount: 0,
      tags: [],
      timestamp: TIME,
    });
  });

  it.each(STORAGE_KINDS)('counts what was pushed (%s)', async (kind) => {
    const testbed = await openTestbedOn(kind);
    const image = await pushImage(testbed, 'team/app', 'v1');
    await putManifest(testbed, 'team/app', 'latest', image.text);
    const other = await pushImage(testbed, 'lib', '1');
    await putManifest(testbed, 'lib', 'multi', indexOf([other]));
    const configSize = (image.manifest.config as { size: number }).size;
    const totalBytes = 2 * (1000 + configSize);

    const state = await ask(testbed, 'registry/state');
    expect(state.summary).toEqual({ totalRepositories: 2, totalManifests: 3, totalBlobs: 4, ...NOTHING });
    expect(state.repositories).toEqual([
      { name: 'lib', tagCount: 2, tags: ['1', 'multi'] },
      { name: 'team/app', tagCount: 2, tags: ['latest', 'v1'] },
    ]);
    expect(state.storage).toEqual({
      totalBytes,
      uniqueBytes: totalBytes,
      spaceSavings: 0,
      deduplicationRatio: 1,
      uniqueBlobs: 4,
    });
    const tag = { hasManifest: true, digest: image.digest, sizeBytes: 1000 + configSize };
    expect(await ask(testbed, 'registry/repositories/team/app')).toEqual({
      name: 'team/app',
      tagCount: 2,
      tags: [
        { tag: 'latest', ...tag },
        { tag: 'v1', ...tag },
      ],
      timestamp: TIME,
    });
    expect((await ask(testbed, 'registry/repositories')).repositories).toEqual([
      { name: 'lib', lastUploaded: TIME },
      { name: 'team/app', lastUploaded: TIME },
    ]);
    const blobs = await ask(testbed, 'registry/blobs');
    expect(blobs).toMatchObject({ totalBlobs: 4, uniqueBlobs: 4, totalBytes, deduplicationRatio: 1 });
    expect(blobs.blobs).toContainEqual({
      digest: image.layer,
      sessionID: 'unknown',
      blobNumber: 'null',
      size: 1000,
    });
    expect(await ask(testbed, 'registry/storage')).toMatchObject({
      storage: { totalBytes, spaceSavingsPercent: 0 },
      blobs: { totalBlobs: 4, uniqueBlobs: 4, averageReferencesPerBlob: 1 },
    });
    const names = await call(testbed, 'GET', '/api/blobs');
    expect(names.body.toString().split('\n')).toContain(image.layer);
  });

  it('sees uploads under way, by the clock', async () => {
    let now = 1_700_000_000_000;
    const testbed = await openTestbed({ clock: { now: () => now, sleep: async () => {} } });
    const location = await beginUpload(testbed, 'app');
    const startTime = now;
    now += 2000;
    await call(testbed, 'PATCH', location, { body: '0123456789' });
    now += 3000;
    const id = location.split('/').at(-1);
    const session = { id, startTime, lastActivity: startTime + 2000, blobCount: 1, duration: 5000 };
    expect(await ask(testbed, 'registry/sessions')).toEqual({
      activeSessions: [session],
      totalActiveSessions: 1,
      timestamp: now,
    });
    expect((await ask(testbed, 'registry/state')).activeSessions).toEqual({ count: 1, sessions: [session] });
    expect((await ask(testbed, 'registry/health')).metrics.activeSessions).toBe(1);
    expect(await ask(testbed, 'registry/blobs')).toMatchObject({
      totalBlobs: 1,
      uniqueBlobs: 0,
      deduplicationRatio: 0,
      blobs: [{ digest: 'unknown', sessionID: id, blobNumber: 0, size: 10 }],
    });
    await call(testbed, 'DELETE', location);
    expect((await ask(testbed, 'registry/sessions')).totalActiveSessions).toBe(0);
  });

  it('collects what no manifest refers to', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', 'v1');
    const orphan = await pushBlob(testbed, 'app', '0123456789');
    await call(testbed, 'POST', `/v2/lib/blobs/uploads/?mount=${orphan}&from=app`);
    const found = { unreferencedBlobs: 1, orphanedManifests: 0, estimatedSpaceToFree: 10 };
    expect((await ask(testbed, 'registry/state')).summary).toMatchObject(found);
    expect(await ask(testbed, 'garbage-collect/stats')).toEqual({
      totalBlobs: 3,
      totalManifests: 1,
      ...found,
    });
    expect((await ask(testbed, 'registry/health')).warnings).toHaveLength(1);
    const collected = await call(testbed, 'POST', '/api/garbage-collect');
    expect(collected.json).toEqual({ blobsRemoved: 1, spaceFreed: 10, manifestsRemoved: 0 });
    for (const repository of ['app', 'lib']) {
      expect((await call(testbed, 'HEAD', `/v2/${repository}/blobs/${orphan}`)).status).toBe(404);
    }
    expect((await call(testbed, 'HEAD', `/v2/app/blobs/${image.layer}`)).status).toBe(200);
    await call(testbed, 'DELETE', `/v2/app/blobs/${image.layer}`);
    expect((await ask(testbed, 'garbage-collect/stats')).orphanedManifests).toBe(1);
    expect((await call(testbed, 'GET', '/api/garbage-collect')).status).toBe(405);
  });

  it('asks for the account by Basic, also beside tokens', async () => {
    const auth = { username: 'admin', password: 'secret' };
    const right = `Basic ${Buffer.from('admin:secret').toString('base64')}`;
    for (const tokenAuth of [false, true]) {
      const testbed = await openTestbed({ auth, tokenAuth });
      const refused = await call(testbed, 'GET', '/api/registry/state');
      expect(refused.status).toBe(401);
      expect(refused.headers['www-authenticate']).toMatch(/^Basic /);
      const headers = { authorization: right };
      expect((await call(testbed, 'GET', '/api/registry/state', { headers })).status).toBe(200);
    }
    const open = await openTestbed({ tokenAuth: true });
    expect((await call(open, 'GET', '/api/registry/state')).status).toBe(200);
  });

  it('keeps its own counts while pushes go on, and the access log has every request', async () => {
    const lines: RequestLine[] = [];
    const testbed = await openTestbed({ onRequest: (line) => lines.push(line) });
    await Promise.all([
      ...Array.from({ length: 8 }, (_, at) => pushImage(testbed, `r${at % 3}`, `t${at}`)),
      ...Array.from({ length: 8 }, () => ask(testbed, 'registry/state')),
    ]);
    const image = await prepareImage(testbed, 'r0');
    const { summary } = await ask(testbed, 'registry/state');
    expect(summary).toMatchObject({ totalRepositories: 3, totalManifests: 8, totalBlobs: 18 });
    expect(summary.unreferencedBlobs).toBe(2);
    expect(image.digest).toMatch(/^sha256:/);
    await expect.poll(() => lines).toHaveLength(8 * 5 + 8 + 4 + 1);
    expect(lines.filter(({ path }) => path === '/api/registry/state')).toHaveLength(9);
  });
});
