import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Log } from '../../../src/base/index.ts';
import type { Upstream, UpstreamRequest } from '../../../src/testbed/index.ts';
import { startTestbed } from '../../../src/testbed/index.ts';
import {
  call,
  digestOf,
  indexOf,
  openTestbed,
  openTestbedOn,
  pushBlob,
  pushImage,
  putManifest,
  STORAGE_KINDS,
  temporaryFolder,
  unknownDigest,
} from '../../support/testbed-client.ts';
import { upstreamOf } from '../../support/testbed-upstream.ts';

/** An upstream that answers everything with this. */
function answering(
  status: number,
  body: string | Buffer = '',
  headers: Record<string, string> = {},
): Upstream & { readonly asked: UpstreamRequest[] } {
  const asked: UpstreamRequest[] = [];
  return {
    asked,
    async fetch(request) {
      asked.push(request);
      return { status, headers, body: Readable.from(request.method === 'HEAD' ? [] : [Buffer.from(body)]) };
    },
  };
}

describe.each(STORAGE_KINDS)('pull-through (%s)', (kind) => {
  it('fetches what is missing once, verified, and serves it from then on', async () => {
    const origin = await openTestbed();
    const image = await pushImage(origin, 'team/app', '1');
    const upstream = upstreamOf(origin);
    const cache = await openTestbedOn(kind, { upstream });
    for (let turn = 0; turn < 2; turn++) {
      const manifest = await call(cache, 'GET', '/v2/team/app/manifests/1');
      expect(manifest.body.toString()).toBe(image.text);
      expect(manifest.headers['docker-content-digest']).toBe(image.digest);
      for (const digest of [image.config, image.layer]) {
        const blob = await call(cache, 'GET', `/v2/team/app/blobs/${digest}`);
        expect(digestOf(blob.body)).toBe(digest);
      }
    }
    expect(upstream.asked.filter((line) => line.startsWith('GET'))).toEqual([
      `GET /v2/team/app/manifests/${image.digest}`,
      `GET /v2/team/app/blobs/${image.config}`,
      `GET /v2/team/app/blobs/${image.layer}`,
    ]);
    expect((await call(cache, 'GET', '/v2/team/app/tags/list')).json.tags).toEqual(['1']);
  });

  it('follows a tag that moves, on GET and on HEAD', async () => {
    const origin = await openTestbed();
    const old = await pushImage(origin, 'app', 'latest');
    const cache = await openTestbedOn(kind, { upstream: upstreamOf(origin) });
    expect((await call(cache, 'GET', '/v2/app/manifests/latest')).body.toString()).toBe(old.text);
    const fresh = await pushImage(origin, 'app', 'latest');
    const head = await call(cache, 'HEAD', '/v2/app/manifests/latest');
    expect(head.headers['docker-content-digest']).toBe(fresh.digest);
    expect((await call(cache, 'GET', '/v2/app/manifests/latest')).body.toString()).toBe(fresh.text);
    expect((await call(cache, 'GET', `/v2/app/manifests/${old.digest}`)).body.toString()).toBe(old.text);
  });

  it('serves what it has when the upstream cannot be reached, and says so once', async () => {
    const origin = await startTestbed();
    const image = await pushImage(origin, 'app', '1');
    const other = await pushImage(origin, 'app', '2');
    const warnings: string[] = [];
    const log: Log = { warn: (message) => warnings.push(message), info() {}, trace() {} };
    const cache = await openTestbedOn(kind, { upstream: upstreamOf(origin), log });
    await call(cache, 'GET', '/v2/app/manifests/1');
    await call(cache, 'GET', `/v2/app/blobs/${image.layer}`);
    await origin.close();
    for (let turn = 0; turn < 2; turn++) {
      const stored = await call(cache, 'GET', '/v2/app/manifests/1');
      expect(stored.body.toString()).toBe(image.text);
    }
    expect(warnings).toHaveLength(1);
    expect((await call(cache, 'GET', `/v2/app/blobs/${image.layer}`)).status).toBe(200);
    for (const path of ['manifests/2', `manifests/${other.digest}`, `blobs/${other.layer}`]) {
      expect((await call(cache, 'GET', `/v2/app/${path}`)).status).toBe(502);
    }
  });

  it('passes on an index with its children', async () => {
    const origin = await openTestbed();
    const children = [await pushImage(origin, 'app', 'a'), await pushImage(origin, 'app', 'b')];
    await putManifest(origin, 'app', 'multi', indexOf(children));
    const cache = await openTestbedOn(kind, { upstream: upstreamOf(origin) });
    const index = await call(cache, 'GET', '/v2/app/manifests/multi');
    for (const { digest } of index.json.manifests as { digest: string }[]) {
      const child = await call(cache, 'GET', `/v2/app/manifests/${digest}`);
      expect(digestOf(child.body)).toBe(digest);
    }
  });

  it('serves ranges of what it has just fetched', async () => {
    const origin = await openTestbed();
    const digest = await pushBlob(origin, 'app', '0123456789');
    const cache = await openTestbedOn(kind, { upstream: upstreamOf(origin) });
    const part = await call(cache, 'GET', `/v2/app/blobs/${digest}`, { headers: { range: 'bytes=3-4' } });
    expect([part.status, part.body.toString()]).toEqual([206, '34']);
  });
});

describe('pull-through', () => {
  it('asks for the size alone on HEAD', async () => {
    const origin = await openTestbed();
    const digest = await pushBlob(origin, 'app', '0123456789');
    const upstream = upstreamOf(origin);
    const cache = await openTestbed({ upstream });
    const head = await call(cache, 'HEAD', `/v2/app/blobs/${digest}`);
    expect([head.status, head.headers['content-length']]).toEqual([200, '10']);
    expect(upstream.asked).toEqual([`HEAD /v2/app/blobs/${digest}`]);
  });

  it('fetches a blob once for all who ask at the same time, also when the first one leaves', async () => {
    const bytes = Buffer.alloc(2_000_000, 'layer');
    const digest = digestOf(bytes);
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let fetches = 0;
    const upstream: Upstream = {
      async fetch() {
        fetches++;
        await released;
        return {
          status: 200,
          headers: {},
          body: Readable.from([bytes.subarray(0, 999), bytes.subarray(999)]),
        };
      },
    };
    const cache = await openTestbed({ upstream });
    const impatient = new AbortController();
    const left = fetch(`${cache.url}/v2/app/blobs/${digest}`, { signal: impatient.signal });
    const stayed = Array.from({ length: 5 }, () => call(cache, 'GET', `/v2/app/blobs/${digest}`));
    impatient.abort();
    await expect(left).rejects.toThrow();
    release();
    for (const answer of await Promise.all(stayed)) expect(answer.body.equals(bytes)).toBe(true);
    expect(fetches).toBe(1);
  });

  it('never shows content whose digest is wrong, and tries again the next time', async () => {
    const bytes = Buffer.from('the real content');
    const digest = digestOf(bytes);
    const bodies = [Buffer.from('forged'), bytes.subarray(0, 5), bytes];
    const dir = await temporaryFolder();
    const upstream: Upstream = {
      async fetch() {
        return { status: 200, headers: {}, body: Readable.from([bodies.shift()]) };
      },
    };
    const cache = await openTestbed({ upstream, dir });
    for (const expected of [502, 502, 200]) {
      const answer = await call(cache, 'GET', `/v2/app/blobs/${digest}`);
      expect(answer.status).toBe(expected);
    }
    expect((await call(cache, 'GET', `/v2/app/blobs/${digest}`)).body.toString()).toBe('the real content');
  });

  it('never shows a manifest that is wrong or too large', async () => {
    const digest = unknownDigest();
    for (const body of ['{}', 'x'.repeat(5 * 1024 * 1024), '{"schemaVersion":2,"manifests":[]}']) {
      const cache = await openTestbed({ upstream: answering(200, body) });
      expect((await call(cache, 'GET', `/v2/app/manifests/${digest}`)).status).toBe(502);
    }
  });

  it('takes the digest from the content when the upstream does not tell it', async () => {
    const text = JSON.stringify(indexOf([]));
    const upstream = answering(200, text, { 'content-type': 'application/vnd.oci.image.index.v1+json' });
    const cache = await openTestbed({ upstream });
    const answer = await call(cache, 'GET', '/v2/app/manifests/1');
    expect([answer.status, answer.headers['docker-content-digest']]).toEqual([200, digestOf(text)]);
  });

  it.each([
    [404, 404],
    [401, 502],
    [403, 502],
    [429, 429],
    [500, 502],
    [503, 502],
    [302, 502],
  ])('turns an upstream’s %i into %i', async (status, expected) => {
    const cache = await openTestbed({ upstream: answering(status, 'some text') });
    for (const path of ['manifests/1', `manifests/${unknownDigest()}`, `blobs/${unknownDigest()}`]) {
      expect((await call(cache, 'GET', `/v2/app/${path}`)).status).toBe(expected);
    }
    expect((await call(cache, 'HEAD', `/v2/app/blobs/${unknownDigest()}`)).status).toBe(expected);
  });

  it('asks for nothing but checked names', async () => {
    const upstream = answering(200);
    const cache = await openTestbed({ upstream });
    for (const path of ['/v2/a/../../x/manifests/1', '/v2/app/manifests/..', '/v2/app/blobs/sha256:..%2Fx']) {
      await call(cache, 'GET', path);
    }
    expect(upstream.asked).toEqual([]);
  });

  it('still takes pushes, which stay here', async () => {
    const origin = await openTestbed();
    const cache = await openTestbed({ upstream: upstreamOf(origin) });
    const image = await pushImage(cache, 'own/app', '1');
    expect((await call(cache, 'GET', '/v2/own/app/manifests/1')).body.toString()).toBe(image.text);
    expect((await call(origin, 'GET', '/v2/own/app/manifests/1')).status).toBe(404);
  });
});
