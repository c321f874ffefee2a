import { describe, expect, onTestFinished, test } from 'vitest';
import { createAgent } from '../../../src/http/index.ts';
import { createNscrClient } from '../../../src/nscr/index.ts';
import { type Exchange, startServer } from '../../support/http-server.ts';
import { openTestbed, pushImage } from '../../support/testbed-client.ts';

const API = '/api/registry';

function clientAt(origin: URL) {
  const agent = createAgent({ boundOrigin: origin, timeoutMs: 5000 });
  onTestFinished(() => agent.close());
  return createNscrClient({ origin, send: agent.send });
}

async function clientOf(...exchanges: Exchange[]) {
  return clientAt((await startServer(exchanges)).origin);
}

function reply(path: string, document: unknown, status = 200): Exchange {
  return { expect: { path: API + path }, reply: { status, body: JSON.stringify(document) } };
}

describe('the testbed’s own admin API', () => {
  test('is read whole', async () => {
    const testbed = await openTestbed();
    const { digest } = await pushImage(testbed, 'team/app', 'v1');
    await pushImage(testbed, 'team/app', 'v2');
    const nscr = clientAt(new URL(testbed.url));

    const state = await nscr.state();
    expect(state.summary).toMatchObject({ totalRepositories: 1, totalManifests: 2, totalBlobs: 4 });
    expect(state.repositories).toEqual([{ name: 'team/app', tagCount: 2, tags: ['v1', 'v2'] }]);
    const details = await nscr.repository('team/app');
    expect(details.tagCount).toBe(2);
    expect(details.tags[0]).toMatchObject({ tag: 'v1', hasManifest: true, digest });
    expect((await nscr.health()).status).toBe('healthy');
    expect((await nscr.sessions()).activeSessions).toEqual([]);
    expect((await nscr.repositories()).repositories.map(({ name }) => name)).toEqual(['team/app']);
    expect((await nscr.blobs()).blobs).toHaveLength(4);
    expect((await nscr.storage()).blobs.totalBlobs).toBe(4);
    expect(await nscr.collectionStats()).toMatchObject({ totalManifests: 2 });
    expect(await nscr.collectGarbage()).toMatchObject({ blobsRemoved: 0 });
  });

  test('an unknown repository is one without tags', async () => {
    const nscr = clientAt(new URL((await openTestbed()).url));
    expect(await nscr.repository('no/such')).toMatchObject({ tagCount: 0, tags: [] });
  });
});

describe('quirks', () => {
  test('an unhealthy registry says so with 500', async () => {
    const nscr = await clientOf(reply('/health', { status: 'unhealthy', warnings: ['no database'] }, 500));
    expect(await nscr.health()).toMatchObject({ status: 'unhealthy', warnings: ['no database'] });
  });

  test('a 500 without a verdict is an error, also one that calls itself healthy', async () => {
    const nscr = await clientOf(
      reply('/health', { error: 'Failed', message: 'disk\u001b[31m' }, 500),
      reply('/health', { status: 'healthy' }, 500),
    );
    await expect(nscr.health()).rejects.toMatchObject({
      code: 'SERVER_ERROR',
      details: { status: 500 },
      message: expect.stringContaining('Failed: disk\\x1b[31m'),
    });
    await expect(nscr.health()).rejects.toMatchObject({ code: 'SERVER_ERROR' });
  });

  test('401 is judged by its status although the data follows', async () => {
    const nscr = await clientOf(reply('/sessions', { activeSessions: [], totalActiveSessions: 0 }, 401));
    await expect(nscr.sessions()).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  });

  test('blobs of uploads under way have no digest and a number that is none', async () => {
    const nscr = await clientOf(
      reply('/blobs', {
        totalBlobs: 1,
        blobs: [{ digest: 'unknown', sessionID: 's', blobNumber: 'null', size: 5 }],
      }),
    );
    expect((await nscr.blobs()).blobs[0]).toMatchObject({ digest: 'unknown', blobNumber: 'null' });
  });

  test('a name that would leave its place is refused before anything is sent', async () => {
    const nscr = await clientOf();
    for (const name of ['../state', 'a//b', 'a/./b', '']) {
      await expect(nscr.repository(name), name).rejects.toMatchObject({ code: 'REFERENCE_INVALID' });
    }
  });
});

describe('what is no NSCR', () => {
  test.each([
    ['a web page', '<html>', 'PROTOCOL_VIOLATION'],
    ['JSON of another shape', '{"summary":{}}', 'PROTOCOL_VIOLATION'],
    [
      'a count below zero',
      '{"summary":{"totalRepositories":-1,"totalManifests":0,"totalBlobs":0},"repositories":[]}',
      'PROTOCOL_VIOLATION',
    ],
  ])('%s', async (_, body, code) => {
    const nscr = await clientOf({ expect: { path: `${API}/state` }, reply: { body } });
    await expect(nscr.state()).rejects.toMatchObject({ code });
  });

  test.each([
    [404, 'UNSUPPORTED_BY_SERVER'],
    [403, 'PERMISSION_DENIED'],
    [429, 'RATE_LIMITED'],
    [504, 'TIMED_OUT'],
    [418, 'REQUEST_REFUSED'],
    [302, 'PROTOCOL_VIOLATION'],
  ])('status %i is %s', async (status, code) => {
    const nscr = await clientOf({ expect: { path: `${API}/state` }, reply: { status } });
    await expect(nscr.state()).rejects.toMatchObject({ code });
  });

  test('a reply without end is not read to it', async () => {
    const nscr = await clientOf({
      expect: { path: `${API}/health` },
      reply: { body: `{"status":"${'x'.repeat(2_000_000)}"}` },
    });
    await expect(nscr.health()).rejects.toMatchObject({ code: 'RESPONSE_TOO_LARGE' });
  });
});
