import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { parseSynthetic, startTestbed, type Testbed } from '../../../src/testbed/index.ts';
import { LayerMaker } from '../../../src/testbed/synthetic/layers.ts';
import { SyntheticNames } from '../../../src/testbed/synthetic/names.ts';
import { SyntheticStorage } from '../../../src/testbed/synthetic/storage.ts';
import {
  type Answer,
  call,
  codeOf,
  digestOf,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
  openTestbed,
  unknownDigest,
} from '../../support/testbed-client.ts';

const open = (spec: string): Promise<Testbed> => openTestbed({ synthetic: parseSynthetic(spec) });

const get = (testbed: Testbed, path: string, headers: Record<string, string> = {}): Promise<Answer> =>
  call(testbed, 'GET', `/v2/${path}`, { headers });

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Everything of an image, every digest and size compared. */
async function pull(testbed: Testbed, repository: string, reference: string) {
  const manifest = await get(testbed, `${repository}/manifests/${reference}`);
  expect(manifest.status).toBe(200);
  expect(manifest.headers['content-type']).toBe(OCI_MANIFEST);
  expect(manifest.headers['docker-content-digest']).toBe(digestOf(manifest.body));
  const { config, layers } = manifest.json as { config: Descriptor; layers: Descriptor[] };
  const blobs: Buffer[] = [];
  for (const { digest, size } of [config, ...layers]) {
    const blob = await get(testbed, `${repository}/blobs/${digest}`);
    expect([blob.status, digestOf(blob.body), blob.body.length]).toEqual([200, digest, size]);
    blobs.push(blob.body);
  }
  expect(config.mediaType).toBe(OCI_CONFIG);
  expect(layers.map(({ mediaType }) => mediaType)).toEqual(layers.map(() => OCI_LAYER));
  const [configBytes = Buffer.alloc(0), ...layerBytes] = blobs;
  const document = JSON.parse(configBytes.toString());
  expect(document.rootfs).toEqual({ type: 'layers', diff_ids: layers.map(({ digest }) => digest) });
  expect(document.history).toHaveLength(layers.length);
  return { manifest, document, digests: [config, ...layers].map(({ digest }) => digest), layerBytes };
}

async function entriesOf(tar: Buffer): Promise<readonly { name: string; bytes: Buffer }[]> {
  const entries: { name: string; bytes: Buffer }[] = [];
  const reader = extract();
  Readable.from([tar]).pipe(reader);
  for await (const entry of reader) {
    expect([entry.header.type, entry.header.mode]).toEqual(['file', 0o644]);
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    entries.push({ name: entry.header.name, bytes: Buffer.concat(chunks) });
  }
  return entries;
}

describe('synthetic images', () => {
  it('are whole: every digest is that of the bytes, every layer a tar of one file that cannot be compressed', async () => {
    const testbed = await open('images=20,layers=3,sizes=50KiB:2,2KiB:1,17MiB:1,seed=1');
    const sizes = new Set<number>();
    for (const number of [1, 7, 20]) {
      const repository = `synthetic/image${String(number).padStart(6, '0')}-${String(((number - 1) % 10) + 1).padStart(4, '0')}`;
      const { layerBytes, document } = await pull(testbed, repository, 'latest');
      expect(layerBytes).toHaveLength(3);
      expect(document.os).toBe('linux');
      for (const layer of layerBytes) {
        sizes.add(layer.length);
        const [file, ...more] = await entriesOf(layer);
        expect([file?.name, file?.bytes.length, more.length]).toEqual([
          'synthetic.bin',
          layer.length - 1536,
          0,
        ]);
        if (layer.length === 50 * 1024) expect(gzipSync(layer).length).toBeGreaterThan(layer.length * 0.95);
      }
    }
    expect(sizes.size).toBeGreaterThan(1);
  });

  it('are the same for a seed, others for another, and never twice', async () => {
    const digestsOf = async (spec: string): Promise<string[]> => {
      const testbed = await open(spec);
      const all: string[] = [];
      for (const { repository, tag } of await listed(testbed)) {
        const { manifest, digests } = await pull(testbed, repository, tag);
        all.push(digestOf(manifest.body), ...digests);
      }
      return all;
    };
    const spec = 'images=12,layers=2,sizes=2KiB:1,4KiB:1';
    const first = await digestsOf(`${spec},seed=5`);
    expect(first).toHaveLength(12 * 4);
    expect(new Set(first).size).toBe(first.length);
    expect(await digestsOf(`${spec},seed=5`)).toEqual(first);
    const other = new Set(await digestsOf(`${spec},seed=6`));
    expect(first.filter((digest) => other.has(digest))).toEqual([]);
    // How they are spread is no matter of theirs.
    expect(new Set(await digestsOf(`${spec},seed=5,repositories=3`))).toEqual(new Set(first));
  });

  it('with index: a tag names an index of two platforms', async () => {
    const testbed = await open('images=2,layers=1,sizes=2KiB,index');
    const repository = 'synthetic/image000002-0002';
    const index = await get(testbed, `${repository}/manifests/latest`);
    expect(index.headers['content-type']).toBe(OCI_INDEX);
    const { manifests } = index.json as {
      manifests: (Descriptor & { platform: { architecture: string } })[];
    };
    const all: string[] = [];
    for (const { digest, size, platform } of manifests) {
      const { manifest, document, digests } = await pull(testbed, repository, digest);
      expect([digestOf(manifest.body), manifest.body.length]).toEqual([digest, size]);
      expect(document).toMatchObject(platform);
      all.push(...digests);
    }
    expect(new Set(manifests.map(({ platform }) => platform.architecture)).size).toBe(2);
    expect(new Set(all).size).toBe(4);
  });

  it('are found by digest in their repository alone, also when nobody asked for their tag', async () => {
    const spec = 'images=300,layers=1,sizes=2KiB,repositories=2';
    const known = await open(spec);
    const { manifest, digests } = await pull(known, 'synthetic/image000001-0001', 'v000150');
    const testbed = await open(spec);
    const [config] = digests;
    const statuses = async (repository: string): Promise<number[]> => [
      (await get(testbed, `${repository}/manifests/${digestOf(manifest.body)}`)).status,
      (await get(testbed, `${repository}/blobs/${config}`)).status,
      (await call(testbed, 'HEAD', `/v2/${repository}/blobs/${config}`)).status,
    ];
    expect(await statuses('synthetic/image000002-0002')).toEqual([404, 404, 404]);
    expect(await statuses('synthetic/image000001-0001')).toEqual([200, 200, 200]);
    expect(await statuses('synthetic/image000002-0002')).toEqual([404, 404, 404]);
  });

  it('serve ranges, across the parts a layer is made of', async () => {
    const testbed = await open('images=1,layers=1,sizes=40MiB');
    const repository = 'synthetic/image000001-0001';
    const { layers } = (await get(testbed, `${repository}/manifests/latest`)).json;
    const path = `${repository}/blobs/${layers[0].digest}`;
    const whole = (await get(testbed, path)).body;
    const size = 40 * 1024 * 1024;
    const pool = 16 * 1024 * 1024;
    for (const [start, end] of [
      [0, 600],
      [511, 512],
      [pool + 500, pool + 520],
      [size - 1100, size - 1],
      [size - 1, size - 1],
    ] as const) {
      const part = await get(testbed, path, { range: `bytes=${start}-${end}` });
      expect(part.status).toBe(206);
      expect(part.headers['content-range']).toBe(`bytes ${start}-${end}/${size}`);
      expect(part.body.equals(whole.subarray(start, end + 1))).toBe(true);
    }
    expect((await get(testbed, path, { range: `bytes=${size}-` })).status).toBe(416);
  });

  it('know nothing else', async () => {
    const testbed = await open('images=10,layers=1,sizes=2KiB');
    for (const [path, code] of [
      ['synthetic/image000011-0001/manifests/latest', 'NAME_UNKNOWN'],
      ['synthetic/image000001-0002/manifests/latest', 'NAME_UNKNOWN'],
      ['synthetic/image1-0001/tags/list', 'NAME_UNKNOWN'],
      ['synthetic/image0000001-0001/tags/list', 'NAME_UNKNOWN'],
      ['app/blobs/sha256:00', 'DIGEST_INVALID'],
      ['synthetic/image000001-0001/manifests/v000001', 'MANIFEST_UNKNOWN'],
      [`synthetic/image000001-0001/manifests/${unknownDigest()}`, 'MANIFEST_UNKNOWN'],
      [`synthetic/image000001-0001/blobs/${unknownDigest()}`, 'BLOB_UNKNOWN'],
    ] as const) {
      expect([path, codeOf(await get(testbed, path))]).toEqual([path, code]);
    }
    const referrers = await get(testbed, `synthetic/image000001-0001/referrers/${unknownDigest()}`);
    expect([referrers.status, referrers.json.manifests]).toEqual([200, []]);
  });

  it.each([
    ['POST', '/v2/synthetic/image000001-0001/blobs/uploads/'],
    ['PUT', '/v2/synthetic/image000001-0001/manifests/latest'],
    ['DELETE', '/v2/synthetic/image000001-0001/manifests/latest'],
    ['PATCH', '/v2/new/blobs/uploads/1'],
  ])('take no %s', async (method, path) => {
    const testbed = await open('images=10,layers=1,sizes=2KiB');
    const answer = await call(testbed, method, path);
    expect([answer.status, codeOf(answer)]).toEqual([405, 'UNSUPPORTED']);
  });

  it('meet faults like any other', async () => {
    const testbed = await open('images=10,layers=1,sizes=2KiB');
    testbed.faults.add(
      'GET blobs nth=2 status=503; GET manifests truncate=50%; catalog forget=synthetic/image000001-*',
    );
    const repository = 'synthetic/image000001-0001';
    await expect(get(testbed, `${repository}/manifests/latest`)).rejects.toThrow();
    testbed.faults.remove('fault-2');
    const { config } = (await get(testbed, `${repository}/manifests/latest`)).json;
    const statuses = [1, 2, 3].map(() => get(testbed, `${repository}/blobs/${config.digest}`));
    expect((await Promise.all(statuses)).map(({ status }) => status).sort()).toEqual([200, 200, 503]);
    expect((await get(testbed, '_catalog')).json.repositories).toHaveLength(9);
  });

  it.each([[{ dir: '/nowhere' }], [{ upstream: { fetch: () => Promise.reject(new Error('never asked')) } }]])(
    'go with neither a folder nor an upstream',
    async (options) => {
      const synthetic = parseSynthetic('images=1');
      await expect(startTestbed({ ...options, synthetic })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    },
  );

  it('are checked when they were not parsed', async () => {
    const synthetic = { ...parseSynthetic('images=5'), batches: 6 };
    await expect(startTestbed({ synthetic })).rejects.toMatchObject({ code: 'USAGE' });
  });
});

/** All images by the catalog's and the tags' pages. */
async function listed(testbed: Testbed, pageSize = 5): Promise<{ repository: string; tag: string }[]> {
  const walk = async (start: string, field: string): Promise<string[]> => {
    const names: string[] = [];
    for (let path: string | undefined = start; path !== undefined; ) {
      const page = await get(testbed, path);
      names.push(...(page.json[field] as string[]));
      path = /^<\/v2\/([^>]+)>; rel="next"$/.exec(String(page.headers['link']))?.[1];
    }
    return names;
  };
  const found: { repository: string; tag: string }[] = [];
  for (const repository of await walk(`_catalog?n=${pageSize}`, 'repositories')) {
    for (const tag of await walk(`${repository}/tags/list?n=${pageSize}`, 'tags'))
      found.push({ repository, tag });
  }
  return found;
}

describe('names of synthetic images', () => {
  it('a batch’s number finds just its images, dealt evenly', async () => {
    const testbed = await open('images=230,layers=1,sizes=2KiB,batches=12');
    const images = (await listed(testbed, 100)).map(({ repository, tag }) => `${repository}:${tag}`);
    expect(images).toHaveLength(230);
    const counts = Array.from({ length: 13 }, (_, at) => {
      const pattern = new RegExp(`-${String(at + 1).padStart(4, '0')}`);
      return images.filter((image) => pattern.test(image)).length;
    });
    expect(counts).toEqual([20, 20, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 0]);
  });

  it.each([
    [10, 3],
    [9, 3],
    [1, 1],
    [8, 7],
  ])('%i images in %i repositories are all listed and all there', async (images, repositories) => {
    const testbed = await open(`images=${images},repositories=${repositories},layers=1,sizes=2KiB`);
    const found = await listed(testbed, 2);
    expect(new Set(found.map(({ repository }) => repository)).size).toBe(repositories);
    const digests = new Set<unknown>();
    for (const { repository, tag } of found) {
      const head = await call(testbed, 'HEAD', `/v2/${repository}/manifests/${tag}`);
      digests.add(head.headers['docker-content-digest']);
    }
    expect([found.length, digests.size]).toEqual([images, images]);
  });

  it('of 100,000 repositories: pages cover them once, in order, from any name', () => {
    const names = new SyntheticNames(parseSynthetic('images=100000,batches=77'));
    const first = names.repositories({ limit: 3, after: undefined });
    expect(first).toEqual({
      names: [1, 2, 3].map((number) => `synthetic/image00000${number}-000${number}`),
      more: true,
    });
    const seen = new Set<string>();
    let last: string | undefined;
    for (let more = true; more; ) {
      const page = names.repositories({ limit: 1000, after: last });
      for (const name of page.names) seen.add(name);
      ({ more } = page);
      last = page.names.at(-1);
    }
    expect(seen.size).toBe(100_000);
    expect(last).toBe('synthetic/image100000-0054');
    const following = (name: string): string | undefined =>
      names.repositories({ limit: 1, after: name }).names[0];
    expect(following('')).toBe('synthetic/image000001-0001');
    expect(following('synthetic/image050000')).toBe('synthetic/image050000-0027');
    expect(following('synthetic/image050000-0027')).toBe('synthetic/image050001-0028');
    expect(following('zzz')).toBeUndefined();
  });
});

describe('making synthetic images', () => {
  it('a layer’s digest is that of its bytes, for any size', () => {
    for (const bytes of [2048, 2560, 51_200, 16 * 1024 * 1024, 33 * 1024 * 1024]) {
      const maker = new LayerMaker(3, [{ bytes, weight: 1 }]);
      const layer = maker.layer('1/0');
      const hash = createHash('sha256');
      let size = 0;
      for (const part of maker.bytes(layer)) {
        hash.update(part);
        size += part.length;
      }
      expect([size, `sha256:${hash.digest('hex')}`]).toEqual([bytes, layer.digest]);
      expect(layer.size).toBe(bytes);
    }
  });

  it('sizes come as often as their weights say', () => {
    const maker = new LayerMaker(3, [
      { bytes: 2048, weight: 3 },
      { bytes: 4096, weight: 1 },
    ]);
    const sizes = Array.from({ length: 4000 }, (_, at) => maker.layer(String(at)).size);
    const share = sizes.filter((size) => size === 2048).length / 4000;
    expect(share).toBeGreaterThan(0.7);
    expect(share).toBeLessThan(0.8);
  });

  it('takes no more memory for many images than for few', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const spec = parseSynthetic('images=100000,layers=2,sizes=2KiB');
    const storage = new SyntheticStorage(spec);
    const names = new SyntheticNames(spec);
    const heapAfter = async (from: number, to: number): Promise<number> => {
      for (let number = from; number < to; number++) {
        await storage.resolveTag(names.repository(number), 'latest');
      }
      collect();
      return process.memoryUsage().heapUsed;
    };
    const few = await heapAfter(0, 2000);
    const many = await heapAfter(2000, 20_000);
    // 18,000 more images would be 100 MB if they were kept.
    expect(many - few).toBeLessThan(20_000_000);
    await storage.close();
  });
});
