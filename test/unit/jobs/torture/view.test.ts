import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/index.ts';
import {
  DigestCounter,
  fingerprint,
  ManifestMemory,
  referencesOf,
} from '../../../../src/jobs/torture/manifest-memory.ts';
import { nscrView } from '../../../../src/jobs/torture/nscr-view.ts';
import { ociView } from '../../../../src/jobs/torture/oci-view.ts';
import { openView } from '../../../../src/jobs/torture/open-view.ts';
import { digestOf, parseManifest } from '../../../../src/oci/index.ts';
import type { RequestLine } from '../../../../src/testbed/index.ts';
import { startServer } from '../../../support/http-server.ts';
import {
  beginUpload,
  indexOf,
  OCI_INDEX,
  openTestbed,
  prepareImage,
  pushImage,
  putManifest,
} from '../../../support/testbed-client.ts';
import { connect } from './support.ts';

const { signal } = new AbortController();
const all = { maxRepositories: 100 };

describe('auto', () => {
  test('finds NSCR’s admin API', async () => {
    const client = await connect((await openTestbed()).url);
    expect((await openView(client, { api: 'auto', ...all }, signal)).api).toBe('nscr');
  });

  test('and finds it also when it is unwell', async () => {
    const client = await connect((await openTestbed({ faults: [{ effect: { health: 'unhealthy' } }] })).url);
    expect((await openView(client, { api: 'auto', ...all }, signal)).api).toBe('nscr');
  });

  test.each([
    ['nothing', { status: 404 }],
    ['a web page', { body: '<html>hello</html>' }],
  ])('takes /v2/ where there is %s', async (_, reply) => {
    const server = await startServer([
      { expect: { path: '/api/registry/health' }, reply },
      { expect: { path: '/api/registry/state' }, reply },
    ]);
    const client = await connect(server.origin.origin);
    expect((await openView(client, { api: 'auto', ...all }, signal)).api).toBe('oci');
  });

  test('says so when nobody is there', async () => {
    const testbed = await openTestbed();
    const client = await connect(testbed.url);
    await testbed.close();
    await expect(openView(client, { api: 'auto', ...all }, signal)).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
    });
  });
});

describe('both views of one registry', () => {
  test('show the same picture', async () => {
    const testbed = await openTestbed();
    const client = await connect(testbed.url);
    const one = await pushImage(testbed, 'team/app', 'v1');
    await putManifest(testbed, 'team/app', 'again', one.text);
    const two = await prepareImage(testbed, 'team/multi');
    await putManifest(testbed, 'team/multi', two.digest, two.text);
    await putManifest(testbed, 'team/multi', 'latest', indexOf([two], { mediaType: OCI_INDEX }));
    const expected = {
      repositories: 2,
      manifests: 3,
      blobs: 4,
      health: 'healthy',
      tagCounts: new Map([
        ['team/app', 2],
        ['team/multi', 1],
      ]),
      unreadable: 0,
      truncated: false,
    };
    expect(await nscrView(client, all).state(signal)).toMatchObject({
      ...expected,
      sessions: 0,
      api: 'nscr',
    });
    const oci = ociView(client, all);
    expect(await oci.state(signal)).toMatchObject({ ...expected, sessions: null, api: 'oci' });
    const details = await oci.repository('team/app', signal);
    expect(details.tags).toContainEqual({ tag: 'v1', hasManifest: true, digest: one.digest });
    expect(await nscrView(client, all).repository('team/app', signal)).toEqual(details);
  });

  test('of an empty one', async () => {
    const client = await connect((await openTestbed()).url);
    for (const view of [nscrView(client, all), ociView(client, all)]) {
      expect(await view.state(signal)).toMatchObject({ repositories: 0, manifests: 0, blobs: 0 });
      expect(await view.health(signal)).toMatchObject({ status: 'healthy', detail: null });
      expect(await view.repository('no/such', signal)).toMatchObject({ tagCount: 0, tags: [] });
    }
  });

  test('look only at what is wanted', async () => {
    const testbed = await openTestbed();
    const client = await connect(testbed.url);
    for (const name of ['a/one', 'a/two', 'b/one']) await pushImage(testbed, name, 'v1');
    for (const make of [nscrView, ociView]) {
      const filtered = await make(client, { repository: /^a\//g, maxRepositories: 10 }).state(signal);
      expect([...filtered.tagCounts.keys()].sort()).toEqual(['a/one', 'a/two']);
      const bounded = await make(client, { maxRepositories: 2 }).state(signal);
      expect(bounded.tagCounts.size).toBe(2);
      expect(bounded.truncated).toBe(true);
    }
  });
});

test('sessions are told with their age', async () => {
  const testbed = await openTestbed();
  const client = await connect(testbed.url);
  await beginUpload(testbed, 'team/app');
  const { sessions } = await nscrView(client, all).sessions(signal);
  expect(sessions).toHaveLength(1);
  expect(sessions?.[0]?.durationMs).toBeGreaterThanOrEqual(0);
  expect((await ociView(client, all).sessions(signal)).sessions).toBeNull();
});

describe('/v2/ alone', () => {
  test('fetches a manifest once, and each new one', async () => {
    const lines: RequestLine[] = [];
    const testbed = await openTestbed({ onRequest: (line) => void lines.push(line) });
    const view = ociView(await connect(testbed.url), all);
    await pushImage(testbed, 'team/app', 'v1');
    const gets = (): number =>
      lines.filter(({ method, path }) => method === 'GET' && path.includes('/manifests/')).length;
    await view.state(signal);
    await view.state(signal);
    expect(gets()).toBe(1);
    await pushImage(testbed, 'team/app', 'v1');
    expect(await view.state(signal)).toMatchObject({ manifests: 1, blobs: 2 });
    expect(gets()).toBe(2);
  });

  test('many repositories, little memory', async () => {
    const testbed = await openTestbed();
    for (let at = 0; at < 30; at++) await pushImage(testbed, `many/r${at}`, 'v1');
    const view = ociView(await connect(testbed.url), all, { remembered: 20 });
    const state = await view.state(signal);
    expect(state).toMatchObject({ repositories: 30, manifests: 30, blobs: 60 });
    expect(view.remembered).toBeLessThanOrEqual(20);
    expect(await view.state(signal)).toMatchObject({ manifests: 30, blobs: 60 });
    const counted = await ociView(await connect(testbed.url), all, { counted: 10 }).state(signal);
    expect(counted).toMatchObject({ manifests: 10, blobs: 10, truncated: true });
  });

  test('a repository that cannot be read is left out of the sums, and that is said', async () => {
    const testbed = await openTestbed({
      faults: [{ match: { kind: 'tags', repository: 'bad' }, effect: { status: 500 } }],
    });
    await pushImage(testbed, 'bad', 'v1');
    await pushImage(testbed, 'good', 'v1');
    expect(await ociView(await connect(testbed.url), all).state(signal)).toMatchObject({
      repositories: 2,
      manifests: 1,
      unreadable: 1,
      health: 'degraded',
    });
  });

  test.each([
    ['tag list', 'GET tags repository=bad status=500 first=1'],
    ['tag', 'HEAD manifests repository=bad status=503 first=2'],
    ['manifest', 'GET manifests repository=bad status=500 first=1'],
  ])('a %s that can be read a moment later is no gap', async (_, fault) => {
    const testbed = await openTestbed();
    testbed.faults.add(fault);
    await pushImage(testbed, 'bad', 'v1');
    await pushImage(testbed, 'good', 'v1');
    expect(await ociView(await connect(testbed.url), all).state(signal)).toMatchObject({
      ...{ repositories: 2, manifests: 2, unreadable: 0, health: 'healthy' },
    });
    expect(testbed.faults.counts()[0]?.fired).toBeGreaterThan(0);
  });

  test('a registry that is down is not asked three times for everything', async () => {
    const lines: RequestLine[] = [];
    const testbed = await openTestbed({ onRequest: (line) => void lines.push(line) });
    for (let at = 0; at < 150; at++) await pushImage(testbed, `many/r${at}`, 'v1');
    testbed.faults.add('tags status=500');
    const client = await connect(testbed.url);
    const clock = { ...systemClock, sleep: () => systemClock.sleep(1) };
    const state = await ociView({ ...client, clock }, { maxRepositories: 1000 }).state(signal);
    expect(state.unreadable).toBe(150);
    expect(lines.filter(({ path }) => path.includes('/tags/'))).toHaveLength(250);
  });

  test('health is what /v2/ answers', async () => {
    const testbed = await openTestbed({ faults: [{ match: { kind: 'base' }, effect: { status: 503 } }] });
    expect(await ociView(await connect(testbed.url), all).health(signal)).toMatchObject({
      status: 'unhealthy',
      detail: 'GET /v2/ answered 503',
    });
  });
});

describe('what is remembered', () => {
  test('is bounded, and what was asked for last stays', () => {
    const memory = new ManifestMemory(9);
    const references = { manifests: [], blobs: [0, 0] };
    const digests = ['a', 'b', 'c', 'd'].map((text) => digestOf(text));
    const [a, b, c, d] = digests as [(typeof digests)[0], ...typeof digests];
    for (const digest of [a, b, c]) memory.set(digest as never, references);
    expect(memory.kept).toBe(9);
    memory.get(a as never);
    memory.set(d as never, references);
    expect(memory.kept).toBe(9);
    expect(memory.get(b as never)).toBeUndefined();
    expect(memory.get(a as never)).toBe(references);
    memory.set(a as never, { manifests: [], blobs: Array<number>(100).fill(0) });
    expect(memory.kept).toBe(0);
  });

  test('different digests are counted, once, up to a bound', () => {
    const counter = new DigestCounter(2);
    const added = ['x', 'x', 'y', 'z', 'y'].map((text) => counter.add(fingerprint(digestOf(text))));
    expect(added).toEqual([true, false, true, false, false]);
    expect([counter.size, counter.full]).toEqual([2, true]);
  });

  test('an artifact’s layers are blobs whatever they call themselves', () => {
    const layer = { mediaType: OCI_INDEX, digest: digestOf('layer'), size: 1 };
    const manifest = parseManifest(
      Buffer.from(
        JSON.stringify({ schemaVersion: 2, config: { ...layer, mediaType: 'a/b' }, layers: [layer] }),
      ),
    );
    const { manifests, blobs } = referencesOf(manifest);
    expect(manifests).toEqual([]);
    expect(blobs).toHaveLength(2);
  });
});
