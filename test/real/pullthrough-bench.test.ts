import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parseSynthetic, type RequestLine, startTestbed } from '../../src/testbed/index.ts';
import { freePort } from '../support/free-port.ts';
import { makeImage, makeIndex, treeOf, writeOciArchive } from '../support/image-archives.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { type DockerRegistry, startDockerRegistry } from '../support/servers/docker-registry.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { upstreamOf } from '../support/testbed-upstream.ts';

// The promise of pullthrough-bench on real servers: its figures are theirs, image for image, and what a cache
// does to its upstream is measured.
const describeReal = requireServers('docker-registry');

const SPEC = 'images=40,layers=2,sizes=20KiB:1,200KiB:1,batches=4';
/** A configuration and two layers. */
const BLOBS = 3;
const PLATFORM = ['--platform', 'linux/amd64'];

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

async function openDockerRegistry(proxyUpstream?: string): Promise<DockerRegistry> {
  const registry = await startDockerRegistry(proxyUpstream === undefined ? {} : { proxyUpstream });
  cleanup.defer(registry.close);
  return registry;
}

/** GETs that distribution says it answered with 200. */
async function servedBy({ dir }: DockerRegistry): Promise<{ manifests: number; blobs: string[] }> {
  const lines = (await readFile(join(dir, 'log'), 'utf8'))
    .split('\n')
    .filter((line) => line.includes('msg="response completed"') && / http\.request\.method=GET /.test(line))
    .filter((line) => / http\.response\.status=200 /.test(line));
  const digests = lines.flatMap(
    (line) => / http\.request\.uri="?[^" ]*\/blobs\/(sha256:\w+)/.exec(line)?.[1] ?? [],
  );
  return {
    manifests: lines.filter((line) => / http\.request\.uri="?[^" ]*\/manifests\//.test(line)).length,
    blobs: digests,
  };
}

function bench(cache: string, upstream: readonly string[], argv: readonly string[]): Promise<RunResult> {
  return runCommand('pullthrough-bench', ['--pullthrough-url', cache, ...upstream, ...argv, '--json']);
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into the result
function resultOf(run: RunResult, exitCode = 0): any {
  expect(run.exitCode, run.stderr + run.stdout).toBe(exitCode);
  return run.json().result;
}

describeReal('with images that were pushed to docker-registry', () => {
  let upstream: DockerRegistry;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  /** The only layer that `team/app0-0003` has to itself. */
  let ownLayer: string;

  beforeAll(async () => {
    upstream = await startDockerRegistry();
    folder = await temporaryFolder('pullthrough');
    const images = [];
    for (const pattern of ['0001', '0002', '0003']) {
      for (const at of [0, 1, 2]) {
        const names = [`team/app${at}-${pattern}:v1`];
        const seed = names[0] as string;
        images.push(await makeImage({ seed, names, layers: [{ size: 30_000 }, { size: 300 }] }));
      }
    }
    const parts = await Promise.all(
      ['amd64', 'arm64'].map((architecture) =>
        makeImage({ seed: `multi ${architecture}`, platform: { os: 'linux', architecture } }),
      ),
    );
    const multi = makeIndex({ images: parts, names: ['team/multi-0004:v1'] });
    const archive = join(folder.path, 'images.tar');
    await writeOciArchive(archive, [...images, multi]);
    const argv = [archive, '--registry-url', upstream.url, '--platform', 'all', '--json'];
    resultOf(await runCommand('push-tar', argv));
    const [first] = (await treeOf(images[6] as (typeof images)[number])).blobs.keys();
    ownLayer = String(first);
  });
  afterAll(async () => {
    await upstream?.close();
    await folder?.remove();
  });

  test('the tallies are what docker-registry as the cache counted', async () => {
    const cache = await openDockerRegistry(upstream.url);
    const argv = ['--path-style', 'mirror', '--patterns=-0001,-0002,multi', '--max-pulls=60', ...PLATFORM];
    const more = ['--iteration-seconds=1', '--tally-seconds=1', '--on-error=continue'];
    const result = resultOf(await bench(cache.url, ['--registry-url', upstream.url], [...argv, ...more]));
    const told = result.tallies.reduce((sum: number, { images }: { images: number }) => sum + images, 0);
    expect(result.totals).toMatchObject({ images: told, failed: 0, errors: {} });
    const served = await servedBy(cache);
    expect(result.requests).toMatchObject({
      manifests: served.manifests,
      blobs: served.blobs.length,
      distinctBlobs: new Set(served.blobs).size,
      distinctBlobsExact: true,
    });
    expect(served.blobs).toHaveLength(told * BLOBS);
    // A machine that is busy does not come so far before the time is over: five steps of a second.
    if (result.durationMs < 5000) expect(told).toBe(60);
  });

  test('each cold pass with ociregistry’s prune goes to the upstream again', async () => {
    const lines: RequestLine[] = [];
    const cache = await startTestbed({
      upstream: upstreamOf({ host: '127.0.0.1', port: upstream.port }),
      onRequest: (line) => lines.push(line),
    });
    cleanup.defer(() => cache.close());
    const before = (await servedBy(upstream)).blobs.length;
    const argv = ['--patterns=-0001', '--prune', '--max-pulls=9', ...PLATFORM];
    const result = resultOf(await bench(cache.url, ['--registry-url', upstream.url], argv));
    expect(result).toMatchObject({ totals: { images: 9, failed: 0 }, coldRuns: { failed: 0 } });
    const gets = lines.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
    expect(gets).toHaveLength(9 * BLOBS);
    expect((await servedBy(upstream)).blobs.length - before).toBe(9 * BLOBS);
  });

  test('a layer that is broken in the upstream’s storage is an error and no pull', async () => {
    const cache = await openDockerRegistry(upstream.url);
    const hex = ownLayer.slice('sha256:'.length);
    const file = join(upstream.dir, 'storage/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
    const bytes = await readFile(file);
    await writeFile(file, Buffer.from(bytes).fill(0, bytes.length >> 1));
    const argv = ['--path-style=mirror', '--patterns=-0003', '--scenario=cold-vs-warm', ...PLATFORM];
    const upstreamFlags = ['--registry-url', upstream.url];
    const result = resultOf(await bench(cache.url, upstreamFlags, argv), 1);
    // The two others are whole, each pulled twice; the broken one has no second pull.
    expect(result.totals).toMatchObject({ images: 4, failed: 1, errors: { digest: 1 } });
  });
});

describeReal('docker-registry as a cache of the synthetic upstream', () => {
  /** distribution does not start before it has reached its upstream: one is there until it has. */
  async function openCache(): Promise<{ cache: DockerRegistry; upstream: string[] }> {
    const port = await freePort();
    const early = await startTestbed({ synthetic: parseSynthetic(SPEC), port });
    const cache = await openDockerRegistry(early.url);
    await early.close();
    const upstream = ['--upstream', `synthetic:${SPEC}`, '--upstream-port', String(port)];
    return { cache, upstream: [...upstream, '--path-style=mirror'] };
  }

  test('each image cold and warm: what it fetched is told', async () => {
    const { cache, upstream } = await openCache();
    const argv = ['--scenario=cold-vs-warm', '--patterns=-0001,-0002'];
    const result = resultOf(await bench(cache.url, upstream, argv));
    const served = await servedBy(cache);
    expect(result).toMatchObject({
      totals: { images: 40, failed: 0 },
      requests: { manifests: served.manifests, blobs: served.blobs.length, distinctBlobs: 20 * BLOBS },
    });
    const { amplification, blobGets } = result.upstreamTraffic;
    expect(amplification).toBe(blobGets / (20 * BLOBS));
    expect(amplification).toBeGreaterThanOrEqual(1);
    process.stderr.write(
      `docker-registry, cold: amplification ${amplification.toFixed(2)}, cold/warm ${result.coldVsWarm.medianRatio.toFixed(2)}\n`,
    );
  });

  test('a herd: how often it fetches one blob for many', async () => {
    const { cache, upstream } = await openCache();
    const argv = ['--scenario=herd', '--clients=30', '--herd-images=4', '--kill-one', '--patterns=.*'];
    const run = await bench(cache.url, upstream, argv);
    // 1 is for its races (distribution#1006 and its like), which are what a herd is to find.
    expect([0, 1], run.stderr + run.stdout).toContain(run.exitCode);
    const { result } = run.json();
    expect(result.herd).toHaveLength(4);
    for (const { ok, failed, upstream: share, killed } of result.herd) {
      expect([ok + failed, killed]).toEqual([30, true]);
      expect(share.amplification).toBe(share.blobGets / BLOBS);
      expect(share.amplification).toBeGreaterThanOrEqual(1);
    }
    const { amplification, maxGetsOfOneBlob } = result.upstreamTraffic;
    const lost = result.herd.reduce((sum: number, { failed }: { failed: number }) => sum + failed, 0);
    process.stderr.write(
      `docker-registry, herd of 30: amplification ${amplification.toFixed(2)}, one blob ${maxGetsOfOneBlob} times, ${lost} of 120 pulls failed\n`,
    );
  });
});
