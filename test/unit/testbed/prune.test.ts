import { describe, expect, it } from 'vitest';
import type { Testbed, TestbedOptions } from '../../../src/testbed/index.ts';
import {
  type Answer,
  call,
  descriptorOf,
  indexOf,
  OCI_CONFIG,
  OCI_LAYER,
  OCI_MANIFEST,
  openTestbed,
  openTestbedOn,
  pushBlob,
  pushImage,
  putManifest,
  STORAGE_KINDS,
} from '../../support/testbed-client.ts';
import { upstreamOf } from '../../support/testbed-upstream.ts';

const prune = (cache: Testbed, query: Record<string, string>): Promise<Answer> =>
  call(cache, 'DELETE', `/cmd/prune?${new URLSearchParams(query)}`);

const all = { type: 'pattern', expr: '', dryRun: 'false', count: '-1' };

async function tagsOf(cache: Testbed, repository: string): Promise<string[]> {
  return (await call(cache, 'GET', `/v2/${repository}/tags/list`)).json.tags;
}

/** Pulls a tag with all that hangs on it; gives the digests of its blobs. */
async function pull(cache: Testbed, repository: string, reference: string): Promise<string[]> {
  const { manifests, config, layers } = (await call(cache, 'GET', `/v2/${repository}/manifests/${reference}`))
    .json;
  const digests: string[] = [];
  for (const { digest } of manifests ?? []) digests.push(...(await pull(cache, repository, digest)));
  for (const { digest } of config ? [config, ...layers] : []) {
    expect((await call(cache, 'GET', `/v2/${repository}/blobs/${digest}`)).status).toBe(200);
    digests.push(digest);
  }
  return digests;
}

async function cacheOf(origin: Testbed, options: TestbedOptions = {}) {
  const upstream = upstreamOf(origin);
  const cache = await openTestbed({ ...options, upstream });
  return { cache, domain: upstream.domain as string };
}

describe('prune', () => {
  it.each(STORAGE_KINDS)('makes the next pull go to the upstream again (%s)', async (kind) => {
    const origin = await openTestbed();
    for (const batch of ['0001', '0002']) await pushImage(origin, `image-${batch}`, '1');
    const cache = await openTestbedOn(kind, { upstream: upstreamOf(origin) });
    const pullBoth = async (): Promise<void> => {
      for (const batch of ['0001', '0002']) await pull(cache, `image-${batch}`, '1');
    };
    await pullBoth();
    await pullBoth();
    expect(cache.traffic().upstream).toMatchObject({ manifestFetches: 2, blobFetches: 4 });
    const answer = await prune(cache, { ...all, expr: '-0001' });
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
    expect(answer.body.toString()).toBe(`pruned ${origin.host}:${origin.port}/image-0001:1\n`);
    await pullBoth();
    expect(cache.traffic().upstream).toMatchObject({ manifestFetches: 3, blobFetches: 6 });
    expect(await tagsOf(cache, 'image-0001')).toEqual(['1']);
  });

  it('matches upstream:port/repo:tag, with any of several expressions, anywhere in it', async () => {
    const origin = await openTestbed();
    for (const tag of ['v1', 'v2', 'v3']) await pushImage(origin, 'team/app', tag);
    const { cache, domain } = await cacheOf(origin);
    const pullAll = async (): Promise<void> => {
      for (const tag of ['v1', 'v2', 'v3']) await pull(cache, 'team/app', tag);
    };
    for (const [expr, left] of [
      [`^${domain}/team/app:v1$`, ['v2', 'v3']],
      ['v[12]$,nothing', ['v3']],
      [':v1,:v3', ['v2']],
      ['.', []],
      ['^team', ['v1', 'v2', 'v3']],
      [String(cache.port), ['v1', 'v2', 'v3']],
    ] as const) {
      await pullAll();
      await prune(cache, { ...all, expr });
      expect([expr, await tagsOf(cache, 'team/app')]).toEqual([expr, left]);
    }
  });

  it('is a dry run unless it is told otherwise, and takes 50 at most unless it is told', async () => {
    const origin = await openTestbed();
    const { cache, domain } = await cacheOf(origin);
    const image = await pushImage(origin, 'app', '1');
    for (let tag = 2; tag <= 60; tag++) await putManifest(origin, 'app', String(tag), image.text);
    for (let tag = 1; tag <= 60; tag++) await call(cache, 'GET', `/v2/app/manifests/${tag}`);
    const lines = async (query: Record<string, string>): Promise<string[]> =>
      (await prune(cache, { type: 'pattern', expr: 'app', ...query })).body.toString().trim().split('\n');
    expect(await lines({})).toHaveLength(50);
    expect((await lines({ count: '1' }))[0]).toBe(`would prune ${domain}/app:1`);
    for (const dryRun of ['true', '1', 'T']) expect(await lines({ dryRun, count: '-1' })).toHaveLength(60);
    expect(await tagsOf(cache, 'app')).toHaveLength(60);
    await lines({ dryRun: '0', count: '7' });
    expect(await tagsOf(cache, 'app')).toHaveLength(53);
    await lines({ dryRun: 'F' });
    expect(await tagsOf(cache, 'app')).toHaveLength(3);
    expect(await lines({ dryRun: 'false' })).toHaveLength(3);
    expect((await prune(cache, { ...all, expr: 'app' })).body.toString()).toBe('');
  });

  it('leaves what another image needs', async () => {
    const origin = await openTestbed();
    const shared = await pushBlob(origin, 'app', 'shared layer');
    const manifestWith = async (config: string) => ({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_CONFIG, digest: await pushBlob(origin, 'app', config), size: config.length },
      layers: [{ mediaType: OCI_LAYER, digest: shared, size: 12 }],
    });
    const one = await manifestWith('{"a":1}');
    for (const tag of ['one', 'same-as-one']) await putManifest(origin, 'app', tag, one);
    await putManifest(origin, 'app', 'two', await manifestWith('{"b":2}'));
    const { cache } = await cacheOf(origin);
    for (const tag of ['one', 'same-as-one', 'two']) await pull(cache, 'app', tag);
    const fetchedAfter = async (expr: string, tag: string) => {
      await prune(cache, { ...all, expr });
      cache.resetTraffic();
      await pull(cache, 'app', tag);
      return cache.traffic().upstream;
    };
    expect(await fetchedAfter(':one', 'one')).toMatchObject({ manifestFetches: 0, blobFetches: 0 });
    expect(await fetchedAfter('one', 'two')).toMatchObject({ manifestFetches: 0, blobFetches: 0 });
    expect(await fetchedAfter('never', 'one')).toMatchObject({ manifestFetches: 1, blobFetches: 1 });
    expect(await fetchedAfter('.', 'one')).toMatchObject({ manifestFetches: 1, blobFetches: 2 });
  });

  it('takes an index’s children along, but none that has a tag of its own or was never fetched', async () => {
    const origin = await openTestbed();
    const children = [
      await pushImage(origin, 'app', 'a'),
      await pushImage(origin, 'app', 'b'),
      await pushImage(origin, 'app', 'c'),
    ];
    await putManifest(origin, 'app', 'multi', indexOf(children));
    const { cache } = await cacheOf(origin);
    await call(cache, 'GET', '/v2/app/manifests/multi');
    await pull(cache, 'app', children[0]?.digest as string);
    await pull(cache, 'app', 'b');
    cache.resetTraffic();
    await prune(cache, { ...all, expr: ':multi' });
    expect(cache.traffic().upstream).toEqual({ manifestFetches: 0, blobFetches: 0, blobBytes: 0 });
    await pull(cache, 'app', 'b');
    expect(cache.traffic().upstream).toMatchObject({ manifestFetches: 0, blobFetches: 0 });
    await call(cache, 'GET', '/v2/app/manifests/multi');
    await pull(cache, 'app', descriptorOf(children[0] as never).digest);
    expect(cache.traffic().upstream).toMatchObject({ manifestFetches: 2, blobFetches: 2 });
  });

  it('by age: created when it was first pulled, accessed when it was last asked for', async () => {
    let now = 1_000_000_000_000;
    const clock = { now: () => now, sleep: async () => {} };
    const origin = await openTestbed();
    for (const tag of ['1', '2', '3']) await pushImage(origin, 'app', tag);
    const { cache } = await cacheOf(origin, { clock });
    const hour = 3_600_000;
    await pull(cache, 'app', '1');
    await pull(cache, 'app', '2');
    now += 30 * hour;
    await pull(cache, 'app', '2');
    await pull(cache, 'app', '3');
    now += hour;
    const matched = async (type: string, dur: string): Promise<string> => {
      const text = (await prune(cache, { type, dur })).body.toString();
      return [...text.matchAll(/:(\d)\n/g)].map(([, tag]) => tag).join('');
    };
    expect(await matched('created', '1d')).toBe('12');
    expect(await matched('accessed', '1d')).toBe('1');
    expect(await matched('accessed', '60m')).toBe('123');
    expect(await matched('created', '2d')).toBe('');
    await prune(cache, { type: 'created', dur: '1d', dryRun: 'false' });
    await pull(cache, 'app', '1');
    expect(await matched('created', '1d')).toBe('');
    expect(await tagsOf(cache, 'app')).toEqual(['1', '3']);
  });

  it.each([
    [{}, 'type is created, accessed or pattern'],
    [{ type: 'all' }, 'type is created, accessed or pattern'],
    [{ type: 'pattern' }, 'expr is missing'],
    [{ type: 'pattern', expr: '*' }, 'Nothing to repeat'.toLowerCase()],
    [{ type: 'pattern', expr: 'a,(' }, 'unterminated group'],
    [{ type: 'pattern', expr: 'x'.repeat(1001) }, 'longer than 1000 characters'],
    [{ type: 'pattern', expr: 'a', dryRun: 'yes' }, 'dryrun is true or false'],
    [{ type: 'pattern', expr: 'a', count: '-2' }, 'count is a number'],
    [{ type: 'pattern', expr: 'a', count: 'all' }, 'count is a number'],
    [{ type: 'created' }, 'dur is a duration'],
    [{ type: 'accessed', dur: '30' }, 'dur is a duration'],
  ])('refuses %o', async (query, message) => {
    const { cache } = await cacheOf(await openTestbed());
    const answer = await prune(cache, query as Record<string, string>);
    expect(answer.status).toBe(400);
    expect(answer.body.toString().toLowerCase()).toContain(message);
  });

  it('is there with an upstream only, and not for GET', async () => {
    expect((await prune(await openTestbed(), all)).status).toBe(404);
    const { cache } = await cacheOf(await openTestbed());
    expect((await call(cache, 'GET', '/cmd/prune')).status).toBe(405);
  });
});

describe('a cache addressed with its upstream’s name', () => {
  it('in the path, as ociregistry is', async () => {
    const origin = await openTestbed();
    const image = await pushImage(origin, 'team/app', '1');
    const { cache, domain } = await cacheOf(origin);
    for (const prefix of [domain, domain.replace(':', '%3A')]) {
      const base = `/v2/${prefix}/team/app`;
      expect((await call(cache, 'GET', `${base}/manifests/1`)).body.toString()).toBe(image.text);
      expect((await call(cache, 'GET', `${base}/manifests/${image.digest}`)).status).toBe(200);
      expect((await call(cache, 'HEAD', `${base}/blobs/${image.layer}`)).status).toBe(200);
      expect((await call(cache, 'GET', `${base}/blobs/${image.layer}`)).body).toHaveLength(1000);
      expect((await call(cache, 'GET', `${base}/tags/list`)).json).toEqual({ name: 'team/app', tags: ['1'] });
    }
    // It is one image, however it was asked for.
    expect((await call(cache, 'GET', '/v2/team/app/manifests/1')).status).toBe(200);
    expect(cache.traffic().upstream).toMatchObject({ manifestFetches: 1, blobFetches: 1 });
    expect((await call(cache, 'GET', '/v2/_catalog')).json.repositories).toEqual(['team/app']);
  });

  it('in the path, with tokens for the name that was used', async () => {
    const origin = await openTestbed();
    await pushImage(origin, 'team/app', '1');
    const { cache, domain } = await cacheOf(origin, { tokenAuth: true });
    const path = `/v2/${domain}/team/app/manifests/1`;
    const scope = `repository:${domain}/team/app:pull`;
    expect((await call(cache, 'GET', path)).headers['www-authenticate']).toContain(`scope="${scope}"`);
    const bearer = async (scope: string) => {
      const query = new URLSearchParams({ service: 'regops-testbed', scope });
      const { token } = (await call(cache, 'GET', `/token?${query}`)).json;
      return { headers: { authorization: `Bearer ${token}` } };
    };
    const named = await bearer(scope);
    expect((await call(cache, 'GET', path, named)).status).toBe(200);
    expect((await call(cache, 'GET', '/v2/team/app/manifests/1', named)).status).toBe(401);
    const local = await bearer('repository:team/app:pull');
    expect((await call(cache, 'GET', '/v2/team/app/manifests/1', local)).status).toBe(200);
    expect((await call(cache, 'GET', path, local)).status).toBe(401);
    for (const wrong of [`${domain}/../x`, `${domain}/Team/app`, `a b/app`, `${domain}/`]) {
      expect((await call(cache, 'GET', path, await bearer(`repository:${wrong}:pull`))).status).toBe(401);
    }
  });

  it('by ?ns=, as containerd does', async () => {
    const origin = await openTestbed();
    const image = await pushImage(origin, 'team/app', '1');
    const { cache, domain } = await cacheOf(origin);
    for (const path of ['manifests/1', `blobs/${image.config}`]) {
      for (const name of [domain, domain.toUpperCase()]) {
        expect((await call(cache, 'GET', `/v2/team/app/${path}?ns=${name}`)).status).toBe(200);
      }
    }
  });

  it.each([
    '/v2/team/app/manifests/1?ns=registry.example.com',
    '/v2/registry.example.com:5000/team/app/manifests/1',
  ])('not found with another: %s', async (path) => {
    const origin = await openTestbed();
    await pushImage(origin, 'team/app', '1');
    const { cache, domain } = await cacheOf(origin);
    const answer = await call(cache, 'GET', path);
    expect(answer.status).toBe(404);
    expect(answer.json.errors[0].message).toMatch(
      new RegExp(`pulls from ${domain} alone, not from registry.example.com`),
    );
  });

  it('still knows no names that cannot be', async () => {
    const origin = await openTestbed();
    const { cache, domain } = await cacheOf(origin);
    expect((await call(cache, 'GET', `/v2/${domain}/../x/manifests/1`)).status).toBe(400);
    expect((await call(cache, 'GET', `/v2/${domain}/${domain}/x/manifests/1`)).status).toBe(400);
    expect((await call(origin, 'GET', `/v2/${domain}/x/manifests/1`)).status).toBe(400);
    expect((await call(origin, 'GET', '/v2/x/manifests/1?ns=registry.example.com')).status).toBe(404);
  });
});
