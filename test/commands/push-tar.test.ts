import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { PushTarResult } from '../../src/jobs/push-tar/index.ts';
import { openFront, refuse } from '../support/http-front.ts';
import {
  makeImage,
  makeIndex,
  type TestImage,
  treeOf,
  writeDockerArchive,
  writeOciArchive,
  writeOciLayout,
} from '../support/image-archives.ts';
import { addImage, LayoutBuilder, TYPES } from '../support/layout-builder.ts';
import { type RunOptions, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call, digestOf } from '../support/testbed-client.ts';
import { ended, openRegistry, type Registry } from './support.ts';

const folder = useTempFolder();

function push(argv: readonly string[], options?: RunOptions) {
  return runCommand('push-tar', argv, options);
}

/** Pushes with --json; the result of a run that must have ended with this code. */
async function pushJson(argv: readonly string[], options: RunOptions = {}, code = 0): Promise<PushTarResult> {
  return ended(code, await push([...argv, '--json'], options)).json().result;
}

/** What a tag points at, read by a client of the tests' own. */
async function digestAt(registry: Registry, repository: string, tag: string): Promise<string | undefined> {
  const answer = await call(registry, 'GET', `/v2/${repository}/manifests/${tag}`);
  return answer.status === 200 ? digestOf(answer.body) : undefined;
}

/** Two images in three tags and two repositories that share their first layer. */
async function twoImages(): Promise<[TestImage, TestImage]> {
  const app = await makeImage({
    seed: 'app',
    names: ['localhost:5000/team/app:1.0', 'localhost:5000/team/app:latest'],
    layers: [{ size: 40_000 }, { size: 500 }],
  });
  const tool = await makeImage({
    seed: 'tool',
    names: ['tool:2'],
    layers: [...app.layers.slice(0, 1), { size: 900 }],
  });
  return [app, tool];
}

async function oneImage(names: readonly string[] = ['app:1']): Promise<TestImage> {
  return makeImage({ seed: 'one', names, layers: [{ size: 30_000 }, { size: 700 }] });
}

describe('where to', () => {
  test('a registry: every stored name keeps its repository and tag, and is a line of the answer', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const run = ended(0, await push([folder('a.tar'), '--registry-url', registry.url]));
    const app = await digestAt(registry, 'team/app', '1.0');
    expect(run.stdout).toBe(
      [
        `${registry.name}/team/app:1.0@${app}`,
        `${registry.name}/team/app:latest@${app}`,
        `${registry.name}/tool:2@${await digestAt(registry, 'tool', '2')}`,
        '',
      ].join('\n'),
    );
    expect(await digestAt(registry, 'team/app', 'latest')).toBe(app);
    expect(run.stderr).toContain('3 tags');
  });

  test('a repository and tags of the user’s', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const result = await pushJson([
      ...[folder('a.tar'), '--registry-url', registry.url, '--repository', 'shop/app'],
      ...['--tag', 'v1', '--tag', 'v1.0'],
    ]);
    expect(result.images.map((image) => image.tags)).toEqual([
      [
        { reference: `${registry.name}/shop/app:v1`, status: 'pushed' },
        { reference: `${registry.name}/shop/app:v1.0`, status: 'pushed' },
      ],
    ]);
    const answer = await call(registry, 'GET', '/v2/_catalog');
    expect(answer.json.repositories).toEqual(['shop/app']);
  });

  test('references, in two registries, each blob once to each', async () => {
    const [first, second] = [await openRegistry(), await openRegistry()];
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const result = await pushJson([
      folder('a.tar'),
      ...['--to', `${first.name}/a/app:1`, '--to', `${first.name}/a/app:2`, '--to', `${second.name}/b/app`],
    ]);
    expect(result.totals).toMatchObject({ images: 2, tags: 3, blobs: 6, uploaded: 6 });
    expect(await digestAt(first, 'a/app', '2')).toBe(result.images[0]?.digest);
    expect(await digestAt(second, 'b/app', 'latest')).toBe(result.images[0]?.digest);
  });

  test('a reference without a registry belongs to --registry-url', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const run = ended(
      0,
      await push([folder('a.tar'), '--registry-url', registry.url, '--to', 'team/app:3', '-q']),
    );
    expect(run.stdout).toMatch(new RegExp(`^${registry.name}/team/app:3@sha256:`));
    expect(run.stderr).toBe('');
  });

  test('a reference by digest must come out as that', async () => {
    const registry = await openRegistry();
    const image = await oneImage();
    await writeDockerArchive(folder('a.tar'), [image], { layout: 'docker25' });
    const { digest } = (await treeOf(image, 'none')).root;
    const run = ended(0, await push([folder('a.tar'), '--to', `${registry.name}/app@${digest}`]));
    expect(run.stdout).toBe(`${registry.name}/app@${digest}\n`);

    const other = digestOf('something else');
    const wrong = ended(
      65,
      await push([folder('a.tar'), '--to', `${registry.name}/app:x@${other}`, '--json']),
    );
    expect(wrong.json().error).toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await digestAt(registry, 'app', 'x')).toBeUndefined();
  });

  test('stored names mapped, each with its tags', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const run = await push([
      ...[folder('a.tar'), '--registry-url', registry.url],
      ...['--map', 'localhost:5000/team=shop/new', '--map', 'docker.io/library=mirror'],
    ]);
    expect(ended(0, run).stdout.replaceAll(/@.*/g, '').trim().split('\n')).toEqual([
      `${registry.name}/shop/new/app:1.0`,
      `${registry.name}/shop/new/app:latest`,
      `${registry.name}/mirror/tool:2`,
    ]);
  });

  test('a map that meets no stored name pushes nothing', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const run = await push([folder('a.tar'), '--registry-url', registry.url, '--map', 'team/old=team/new']);
    expect(ended(64, run).stderr).toContain('no stored name begins like that');
    expect(registry.requests).toEqual([]);
  });

  test.each([
    [['--to', 'r.example.com/a', '--map', 'a=b'], '--to names the target in full'],
    [
      ['--registry-url', 'r.example.com', '--repository', 'a', '--map', 'a=b'],
      '--repository takes the place',
    ],
    [['--registry-url', 'r.example.com', '--map', 'a'], "invalid map 'a'"],
    [['--registry-url', 'r.example.com', '--map', 'a=B'], 'lowercase'],
    [['--registry-url', 'r.example.com', '--limit-rate', '12'], '--limit-rate'],
    [['--registry-url', 'r.example.com', '--limit-rate', '10B/s'], '10B/s is too slow'],
    [['--registry-url', 'r.example.com', '--dry-run', '--digest-file', 'x'], 'a dry run pushes nothing'],
    [['--registry-url', 'r.example.com', '--digest-file', '-'], '--digest-file: standard output is for the'],
    [[], 'where to? Neither --to nor --registry-url is given'],
    [['--to', 'r.example.com/a', '--tag', 'x'], '--to names the target in full'],
    [['--to', 'r.example.com/a', '--repository', 'b'], '--to names the target in full'],
    [['--to', 'r.example.com/A'], 'a repository must be lowercase'],
    [['--to', 'https://r.example.com/a'], 'a reference has no scheme'],
    [['--registry-url', 'ftp://r.example.com'], "scheme 'ftp' is neither http nor https"],
    [['--registry-url', 'r.example.com', '--tag', '-x'], 'not a tag'],
    [['--registry-url', 'r.example.com', '--concurrency', '0'], '--concurrency'],
    [['--registry-url', 'r.example.com', '--compression', 'xz'], '--compression'],
    [['--registry-url', 'r.example.com', '--chunk-size', 'many'], "--chunk-size: invalid size 'many'"],
    [['--registry-url', 'r.example.com', '--platform', 'arm'], "--platform: invalid platform 'arm'"],
  ])('%o is a usage error', async (flags, message) => {
    const run = ended(64, await push([folder('never-opened.tar'), ...flags]));
    expect(run.stderr).toContain(message);
    expect(run.stdout).toBe('');
  });

  test('two images under one name are refused before anything is sent', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const run = ended(
      64,
      await push([folder('a.tar'), '--registry-url', registry.url, '--repository', 'x', '--tag', 'y']),
    );
    expect(run.stderr).toContain(`would both become ${registry.name}/x:y`);
    expect(registry.requests).toEqual([]);
  });
});

describe('what', () => {
  test.each([
    ['@1', 'tool:2'],
    ['tool:2', 'tool:2'],
    ['localhost:5000/team/app', 'team/app:1.0'],
  ])('--image %s is that one', async (selector, expected) => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const result = await pushJson([folder('a.tar'), '--registry-url', registry.url, '--image', selector]);
    expect(result.images).toHaveLength(1);
    expect(result.images[0]?.tags[0]?.reference).toBe(`${registry.name}/${expected}`);
  });

  test('an image that is not there is 66, with what is', async () => {
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const run = ended(
      66,
      await push([folder('a.tar'), '--to', 'r.example.com/a', '--image', 'nothing:1', '--json']),
    );
    expect(run.json().error).toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: "no image 'nothing:1' in the archive",
      hints: [expect.stringContaining('@1 tool:2')],
    });
  });

  test('several archives go in one call and share their blobs', async () => {
    const registry = await openRegistry();
    const [app, tool] = await twoImages();
    await writeDockerArchive(folder('a.tar'), [app]);
    await writeDockerArchive(folder('b.tar'), [tool]);
    const { totals, images } = await pushJson([
      folder('a.tar'),
      folder('b.tar'),
      '--registry-url',
      registry.url,
    ]);
    expect(images.map((image) => image.archive)).toEqual([folder('a.tar'), folder('b.tar')]);
    expect(totals).toMatchObject({ images: 2, tags: 3, blobs: 6, uploaded: 5, mounted: 1 });
  });

  test.each(['none', 'gzip', 'zstd'] as const)('standard input, packed with %s', async (outer) => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()], { outer });
    const stdin = await readFile(folder('a.tar'));
    const result = await pushJson(['-', '--to', `${registry.name}/app:1`], { stdin });
    expect(result.images[0]).toMatchObject({ archive: '-', names: ['app:1'] });
    expect(await digestAt(registry, 'app', '1')).toBe(result.images[0]?.digest);
  });

  test.each([
    ['docker-classic', (path: string, image: TestImage) => writeDockerArchive(path, [image])],
    [
      'docker-25',
      (path: string, image: TestImage) => writeDockerArchive(path, [image], { layout: 'docker25' }),
    ],
    ['oci', (path: string, image: TestImage) => writeOciArchive(path, [image])],
    [
      'oci-plain',
      (path: string, image: TestImage) => writeOciArchive(path, [image], { compression: 'none' }),
    ],
    ['layout', (path: string, image: TestImage) => writeOciLayout(path, [image], { compression: 'zstd' })],
  ])('%s is pushed whole', async (kind, write) => {
    const registry = await openRegistry();
    await write(folder(kind), await oneImage());
    const reference = `${registry.name}/kinds/${kind}:v1`;
    ended(0, await push([folder(kind), '--to', reference]));
    const check = await runCommand('inspect', [reference, '--check', '--deep', '--json']);
    expect(ended(0, check).json().result.subjects[0].check).toMatchObject({ blobs: 3, problems: [] });
  });

  test('an index goes with all its images, one platform of it alone', async () => {
    const registry = await openRegistry();
    const images = [
      await makeImage({ seed: 'amd64' }),
      await makeImage({ seed: 'arm64', platform: { os: 'linux', architecture: 'arm64' } }),
    ];
    const index = makeIndex({ images, names: ['app:1'] });
    await writeOciArchive(folder('a.tar'), [index]);
    const whole = await pushJson([folder('a.tar'), '--registry-url', registry.url]);
    expect(whole.images[0]).toMatchObject({
      digest: (await treeOf(index)).root.digest,
      platforms: ['linux/amd64', 'linux/arm64'],
      manifests: [
        { status: 'pushed', platform: 'linux/amd64' },
        { status: 'pushed', platform: 'linux/arm64' },
        { status: 'pushed', mediaType: TYPES.index },
      ],
    });
    const arm = (await treeOf(images[1] as TestImage)).root.digest;
    const one = await pushJson([
      ...[folder('a.tar'), '--registry-url', registry.url, '--tag', 'arm', '--platform', 'linux/arm64'],
    ]);
    expect(one.images[0]).toMatchObject({ digest: arm, platforms: ['linux/arm64'] });
    expect(one.totals).toMatchObject({ uploaded: 0, existing: 3 });
    expect(await digestAt(registry, 'app', 'arm')).toBe(arm);

    const none = await push([
      ...[folder('a.tar'), '--registry-url', registry.url, '--platform', 'linux/s390x'],
    ]);
    expect(ended(66, none).stderr).toContain('has no linux/s390x');
  });

  test('a sparse index goes without what is not there, and says so', async () => {
    const registry = await openRegistry();
    const arm = await makeImage({ seed: 'arm64', platform: { os: 'linux', architecture: 'arm64' } });
    const index = makeIndex({ images: [await makeImage({ seed: 'amd64' }), arm], names: ['app:1'] });
    await writeOciArchive(folder('a.tar'), [index], { omit: [(await treeOf(arm)).root.digest] });
    const run = ended(0, await push([folder('a.tar'), '--registry-url', registry.url, '--json']));
    expect(run.json().warnings).toEqual([expect.stringContaining('the archive lacks linux/arm64')]);
    expect(run.stderr).toContain('warning: image @0');
    expect(run.json().result.images[0].platforms).toEqual(['linux/amd64']);
    for (const flags of [['--platform', 'all'], ['--preserve-digests']]) {
      const refused = ended(
        65,
        await push([folder('a.tar'), '--registry-url', registry.url, ...flags, '--json']),
      );
      expect(refused.json().error.code).toBe('ARCHIVE_INVALID');
    }
  });

  test('a blob that neither the archive nor the registry has is 65', async () => {
    const registry = await openRegistry();
    const image = await oneImage();
    const lost = await image.layers[1]?.packed('gzip');
    await writeOciArchive(folder('whole.tar'), [image]);
    await writeOciArchive(folder('lacking.tar'), [image], { omit: [lost?.digest as string] });
    const run = ended(65, await push([folder('lacking.tar'), '--registry-url', registry.url, '--json']));
    expect(run.json().error).toMatchObject({
      code: 'ARCHIVE_INVALID',
      message: expect.stringContaining(`blob ${lost?.digest} is neither in the archive nor in`),
    });
    expect(await digestAt(registry, 'app', '1')).toBeUndefined();
    // Where the registry has it, nothing is missing.
    ended(0, await push([folder('whole.tar'), '--registry-url', registry.url]));
    ended(0, await push([folder('lacking.tar'), '--registry-url', registry.url, '--tag', '2']));
  });

  test('foreign layers are not asked for', async () => {
    const registry = await openRegistry();
    const layout = new LayoutBuilder();
    const foreign = { mediaType: TYPES.layerForeign, digest: digestOf('base'), size: 5, urls: ['http://x/'] };
    const image = addImage(layout, { layers: [foreign, layout.add('own', TYPES.layerGzip)] });
    await layout.write(folder('layout'), [image]);
    const result = await pushJson([folder('layout'), '--to', `${registry.name}/win:1`]);
    expect(result.images[0]).toMatchObject({ digest: image.digest, blobs: [{}, {}] });
    expect(registry.requests.some((line) => line.path.includes(foreign.digest))).toBe(false);
  });
});

describe('the answer', () => {
  test('tells the truth about bytes, blobs and time', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const began = performance.now();
    const { images, totals, dryRun } = await pushJson([folder('a.tar'), '--registry-url', registry.url]);
    expect(dryRun).toBe(false);
    expect(totals.sentBytes).toBe(registry.bytesIn());
    expect(totals.durationMs).toBeLessThanOrEqual(Math.ceil(performance.now() - began));
    for (const image of images) {
      const repository = image.repository.slice(registry.name.length + 1);
      for (const blob of image.blobs) {
        const answer = await call(registry, 'HEAD', `/v2/${repository}/blobs/${blob.digest}`);
        expect(answer.headers['content-length']).toBe(String(blob.sizeBytes));
        expect(blob.sentBytes).toBe(blob.status === 'uploaded' ? blob.sizeBytes : 0);
      }
      for (const manifest of image.manifests) {
        const answer = await call(registry, 'GET', `/v2/${repository}/manifests/${manifest.digest}`);
        expect([digestOf(answer.body), answer.body.length]).toEqual([manifest.digest, manifest.sizeBytes]);
        expect(manifest.sentBytes).toBe(manifest.sizeBytes * image.tags.length);
        expect(answer.headers['content-type']).toBe(manifest.mediaType);
      }
      const parts = [...image.blobs, ...image.manifests];
      expect(image.sizeBytes).toBe(parts.reduce((sum, part) => sum + part.sizeBytes, 0));
    }
    expect(images.map((image) => image.blobs.map((blob) => blob.status).sort())).toEqual([
      ['uploaded', 'uploaded', 'uploaded'],
      ['mounted', 'uploaded', 'uploaded'],
    ]);
    expect(totals).toMatchObject({ images: 2, tags: 3, blobs: 6, uploaded: 5, mounted: 1, existing: 0 });
  });

  test('of a second push is that nothing was sent', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const argv = [folder('a.tar'), '--registry-url', registry.url];
    const env = { XDG_CACHE_HOME: folder('cache') };
    const first = await pushJson(argv, { env });
    const sent = registry.bytesIn();
    const { images, totals } = await pushJson(argv, { env });
    expect(registry.bytesIn()).toBe(sent);
    expect(totals).toMatchObject({ tags: 3, blobs: 6, uploaded: 0, mounted: 0, existing: 6, sentBytes: 0 });
    expect(images.flatMap((image) => image.tags.map((tag) => tag.status))).toEqual(Array(3).fill('exists'));
    expect(images.flatMap((image) => image.manifests.map((one) => one.status))).toEqual(
      Array(2).fill('exists'),
    );
    expect(images.map((image) => image.digest)).toEqual(first.images.map((image) => image.digest));
    expect((await readFile(folder('cache', 'regops', 'layers.jsonl'), 'utf8')).length).toBeGreaterThan(0);
  });

  test('without the cache is that layers of unknown digest were sent again, and no more than that', async () => {
    const registry = await openRegistry();
    const image = await oneImage();
    await writeDockerArchive(folder('a.tar'), [image]);
    const argv = [folder('a.tar'), '--registry-url', registry.url, '--no-cache'];
    const env = { XDG_CACHE_HOME: folder('cache') };
    const first = await pushJson(argv, { env });
    const before = registry.bytesIn();
    const second = await pushJson(argv, { env });
    expect(second.totals.sentBytes).toBe(registry.bytesIn() - before);
    expect(second.totals).toMatchObject({ uploaded: 2, existing: 1 });
    expect(second.images[0]?.digest).toBe(first.images[0]?.digest);
    await expect(readFile(folder('cache', 'regops', 'layers.jsonl'))).rejects.toThrow('ENOENT');
  });

  test('a push of stored blobs sends nothing twice, cache or not', async () => {
    const registry = await openRegistry();
    await writeOciArchive(folder('a.tar'), [await oneImage()]);
    const argv = [folder('a.tar'), '--registry-url', registry.url, '--no-cache'];
    await pushJson(argv);
    expect((await pushJson(argv)).totals).toMatchObject({ sentBytes: 0, existing: 3, uploaded: 0 });
  });

  test('of a dry run is what would be done, and nothing is', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const argv = [folder('a.tar'), '--registry-url', registry.url, '--dry-run'];
    const env = { XDG_CACHE_HOME: folder('cache') };
    const planned = await pushJson(argv, { env });
    expect(registry.requests.every(({ method }) => method === 'GET' || method === 'HEAD')).toBe(true);
    expect(planned).toMatchObject({ dryRun: true, totals: { tags: 0, blobs: 6, uploaded: 0, sentBytes: 0 } });
    expect(planned.images.flatMap((image) => image.tags.map((tag) => tag.status))).toEqual(
      Array(3).fill('planned'),
    );
    expect(ended(0, await push(argv)).stdout).toBe(
      ['team/app:1.0', 'team/app:latest', 'tool:2'].map((name) => `${registry.name}/${name}\n`).join(''),
    );

    // Once it is pushed, and the cache knows the digests, a dry run sees that all is there.
    const pushed = await pushJson([folder('a.tar'), '--registry-url', registry.url], { env });
    const again = await pushJson(argv, { env });
    expect(again.totals).toMatchObject({ tags: 3, existing: 6 });
    expect(again.images.map((image) => image.digest)).toEqual(pushed.images.map((image) => image.digest));
  });

  test('goes whole into a file, and its summary stays on stdout', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const run = await push([folder('a.tar'), '--registry-url', registry.url, '--json', '-o', folder('out')]);
    expect(ended(0, run).stdout).toMatch(/^1 tag, 3 blobs: 3 uploaded, 0 mounted, 0 there already; sent /);
    expect(JSON.parse(await readFile(folder('out'), 'utf8')).result.totals.uploaded).toBe(3);
  });
});

describe('an index that names more than the archive holds', () => {
  test.each([[[]], [['--platform', 'all']], [['--preserve-digests']]])(
    'keeps its digest where an earlier push brought the rest (%j)',
    async (flags) => {
      const registry = await openRegistry();
      const amd64 = await makeImage({ seed: 'amd64' });
      const arm = await makeImage({ seed: 'arm', platform: { os: 'linux', architecture: 'arm64' } });
      const index = makeIndex({ images: [amd64, arm], names: ['app:1'] });
      const armTree = await treeOf(arm);
      await writeOciArchive(folder('sparse.tar'), [index], { omit: [...armTree.blobs.keys()] });
      await writeOciArchive(folder('arm.tar'), [arm]);
      const argv = (archive: string, tag: string) => [folder(archive), '--to', `${registry.name}/app:${tag}`];
      await pushJson(argv('arm.tar', 'arm'));
      const { images } = await pushJson([...argv('sparse.tar', '1'), ...flags]);
      expect(images[0]?.digest).toBe((await treeOf(index)).root.digest);
      // Elsewhere the rest is missing.
      const other = [folder('sparse.tar'), '--to', `${registry.name}/other:1`, ...flags];
      if (flags.length > 0) ended(65, await push(other));
      else expect((await pushJson(other)).images[0]?.digest).not.toBe(images[0]?.digest);
    },
  );
});

describe('beside the answer', () => {
  test('ndjson has a line for everything that happens, the answer last', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const run = await push([folder('a.tar'), '--registry-url', registry.url, '--format', 'ndjson']);
    const events = ended(0, run).events('push-tar.events');
    const ofType = (type: string) => events.filter((event) => event.type === type);
    expect(events[0]).toMatchObject({ type: 'plan', plan: { images: 2, blobs: 6 } });
    expect(
      ofType('blob')
        .map(({ blob }) => blob.status)
        .sort(),
    ).toEqual(['mounted', 'uploaded', 'uploaded', 'uploaded', 'uploaded', 'uploaded']);
    expect(ofType('manifest')).toHaveLength(2);
    expect(ofType('tag').map(({ tag, digest }) => `${tag.reference}@${digest}`)).toEqual(
      events
        .at(-1)
        .result.images.flatMap((image: PushTarResult['images'][number]) =>
          image.tags.map(({ reference }) => `${reference}@${image.digest}`),
        ),
    );
    expect(events.at(-1)).toMatchObject({ type: 'result', ok: true });
  });

  test('--digest-file has the digest of each image, once', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const argv = [folder('a.tar'), '--registry-url', registry.url, '--digest-file', folder('digests')];
    const { images } = await pushJson(argv);
    expect(await readFile(folder('digests'), 'utf8')).toBe(`${images[0]?.digest}\n${images[1]?.digest}\n`);
  });

  test('a digest file that cannot be written is 73, and the answer is given all the same', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const argv = [folder('a.tar'), '--registry-url', registry.url, '--digest-file', folder()];
    const answer = ended(73, await push([...argv, '--json'])).json();
    expect(answer).toMatchObject({ error: { code: 'OUTPUT_FAILED' }, result: { totals: { tags: 1 } } });
  });

  test('a push that fails writes none', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const front = await openFront(registry, (request, response) =>
      request.method === 'POST' ? refuse(response, 403, 'DENIED') : false,
    );
    const argv = [folder('a.tar'), '--registry-url', front.url, '--digest-file', folder('digests')];
    ended(77, await push(argv));
    await expect(readFile(folder('digests'))).rejects.toThrow('ENOENT');
  });
});

describe('how', () => {
  test('an OCI layout keeps the digests it has, unless a packing is asked for', async () => {
    const registry = await openRegistry();
    const image = await oneImage();
    await writeOciArchive(folder('a.tar'), [image], { compression: 'none' });
    const { digest } = (await treeOf(image, 'none')).root;
    const argv = [folder('a.tar'), '--registry-url', registry.url];
    expect((await pushJson(argv)).images[0]?.digest).toBe(digest);
    expect((await pushJson([...argv, '--compression', 'gzip'])).images[0]?.digest).not.toBe(digest);
  });

  test('a limited rate changes nothing of what arrives', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    ended(0, await push([folder('a.tar'), '--registry-url', registry.url, '--limit-rate', '1MiB/s']));
    ended(0, await runCommand('inspect', [`${registry.name}/team/app:1.0`, '--check', '--deep']));
  });

  test.each(['gzip', 'zstd', 'none'] as const)('layers are packed with %s', async (compression) => {
    const registry = await openRegistry();
    const image = await oneImage();
    await writeDockerArchive(folder('a.tar'), [image]);
    const result = await pushJson([
      ...[folder('a.tar'), '--registry-url', registry.url, '--compression', compression],
    ]);
    const types = result.images[0]?.blobs.slice(1).map((blob) => blob.mediaType);
    const expected = { gzip: TYPES.dockerLayerGzip, zstd: TYPES.layerZstd, none: TYPES.dockerLayer };
    expect(types).toEqual(Array(2).fill(expected[compression]));
    const checked = await runCommand('inspect', [`${registry.name}/app:1`, '--check', '--deep']);
    ended(0, checked);
  });

  test('--compression-level makes other bytes, and one that the packing lacks is refused', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const size = async (level: string): Promise<number> =>
      (
        await pushJson([
          ...[folder('a.tar'), '--registry-url', registry.url, '--tag', `l${level}`],
          ...['--compression-level', level],
        ])
      ).images[0]?.sizeBytes ?? 0;
    expect(await size('9')).toBeLessThan(await size('1'));
    const run = await push([
      ...[folder('a.tar'), '--registry-url', registry.url, '--compression-level', '12'],
    ]);
    expect(ended(64, run).stderr).toContain('gzip has no level 12');
  });

  test.each(['docker', 'oci'])('in chunks of a %s archive', async (kind) => {
    const registry = await openRegistry();
    const image = await oneImage();
    if (kind === 'oci') await writeOciArchive(folder('a.tar'), [image]);
    else await writeDockerArchive(folder('a.tar'), [image]);
    const argv = [folder('a.tar'), '--registry-url', registry.url, '--chunk-size', '4KiB'];
    const { totals, images } = await pushJson(argv);
    expect(totals).toMatchObject({ uploaded: 3, sentBytes: registry.bytesIn() });
    const patches = registry.requests.filter(({ method }) => method === 'PATCH');
    expect(patches.length).toBeGreaterThanOrEqual(4);
    expect(Math.max(...patches.map((line) => line.bytesIn))).toBe(4096);
    expect(await digestAt(registry, 'app', '1')).toBe(images[0]?.digest);
    ended(0, await runCommand('inspect', [`${registry.name}/app:1`, '--check', '--deep']));
  });

  test('one blob at a time, if that is wished', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    let [open, most] = [0, 0];
    const front = await openFront(registry, (request, response) => {
      if (request.method !== 'PATCH' && request.method !== 'PUT') return false;
      most = Math.max(most, ++open);
      response.once('close', () => open--);
      return false;
    });
    ended(0, await push([folder('a.tar'), '--registry-url', front.url, '-c', '1']));
    expect(most).toBe(1);
  });

  test('a registry that does not mount gets the blob once more', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const front = await openFront(registry, (request, response) =>
      request.url?.includes('mount=') ? refuse(response, 400, 'UNSUPPORTED') : false,
    );
    const result = await pushJson([folder('a.tar'), '--registry-url', front.url]);
    expect(result.totals).toMatchObject({ uploaded: 6, mounted: 0, sentBytes: registry.bytesIn() });
  });

  test.each(['docker', 'oci'])(
    'what a %s archive holds is sent again when the registry only says that it has it',
    async (kind) => {
      const registry = await openRegistry();
      const image = await oneImage();
      if (kind === 'oci') await writeOciArchive(folder('a.tar'), [image]);
      else await writeDockerArchive(folder('a.tar'), [image]);
      const env = { XDG_CACHE_HOME: folder('cache') };
      const elsewhere = await openRegistry();
      // So that the digest of its layers is known, and asked for.
      await pushJson([folder('a.tar'), '--registry-url', elsewhere.url], { env });
      const front = await openFront(registry, (request, response) => {
        if (request.method !== 'HEAD' || !request.url?.includes('/blobs/')) return false;
        response.writeHead(200).end();
        return true;
      });
      const result = await pushJson([folder('a.tar'), '--registry-url', front.url], { env });
      expect(result.images[0]?.tags).toMatchObject([{ status: 'pushed' }]);
      ended(0, await runCommand('inspect', [`${registry.name}/app:1`, '--check', '--deep']));
    },
  );

  test('a registry that lost a blob meanwhile gets it again', async () => {
    const registry = await openRegistry();
    await writeOciArchive(folder('a.tar'), [await oneImage()]);
    let refused = 0;
    const front = await openFront(registry, (request, response) => {
      if (request.method !== 'PUT' || !request.url?.includes('/manifests/') || refused++ > 0) return false;
      request.resume();
      return refuse(response, 404, 'MANIFEST_BLOB_UNKNOWN');
    });
    const result = await pushJson([folder('a.tar'), '--registry-url', front.url]);
    expect(refused).toBe(2);
    expect(result.images[0]?.tags).toMatchObject([{ status: 'pushed' }]);
  });
});

describe('what is remembered', () => {
  test('another repository of the registry gets every blob by mount, and nothing is compressed', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const env = { XDG_CACHE_HOME: folder('cache') };
    const push = (repository: string) =>
      pushJson([folder('a.tar'), '--to', `${registry.name}/${repository}:1`], { env });
    const first = await push('one/app');
    const second = await push('two/app');
    expect(second.totals).toMatchObject({ uploaded: 0, mounted: 3 });
    expect(second.images[0]?.digest).toBe(first.images[0]?.digest);
  });

  test('a repository that has lost its blobs is no hindrance', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const env = { XDG_CACHE_HOME: folder('cache') };
    const target = (repository: string) => [folder('a.tar'), '--to', `${registry.name}/${repository}:1`];
    const { images } = await pushJson(target('one/app'), { env });
    for (const { digest } of images[0]?.blobs ?? []) {
      await call(registry, 'DELETE', `/v2/one/app/blobs/${digest}`);
    }
    const second = await pushJson(target('two/app'), { env });
    expect(second.totals).toMatchObject({ uploaded: 3, mounted: 0 });
    const third = await pushJson(target('three/app'), { env });
    expect(third.totals).toMatchObject({ uploaded: 0, mounted: 3 });
  });

  test.each(['the same repository', 'another one'])(
    'a wrong size is forgotten, and the push goes on (%s)',
    async (where) => {
      const registry = await openRegistry();
      await writeDockerArchive(folder('a.tar'), [await oneImage()]);
      const env = { XDG_CACHE_HOME: folder('cache') };
      const target = (repository: string) => [folder('a.tar'), '--to', `${registry.name}/${repository}:1`];
      const first = await pushJson(target('one/app'), { env });
      const cache = folder('cache', 'regops', 'layers.jsonl');
      const wrong = (await readFile(cache, 'utf8')).replaceAll(
        /"size":(\d+)/g,
        (_, size) => `"size":${Number(size) + 1}`,
      );
      await writeFile(cache, wrong);
      const repository = where === 'another one' ? 'two/app' : 'one/app';
      const healed = await pushJson(target(repository), { env });
      expect(healed.images[0]?.digest).toBe(first.images[0]?.digest);
      expect((await pushJson(target(repository), { env })).totals).toMatchObject({ sentBytes: 0 });
    },
  );

  test('with --no-cache nothing is', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const env = { XDG_CACHE_HOME: folder('cache') };
    for (const repository of ['one/app', 'two/app']) {
      const argv = [folder('a.tar'), '--to', `${registry.name}/${repository}:1`, '--no-cache'];
      expect((await pushJson(argv, { env })).totals).toMatchObject({ uploaded: 3 });
    }
  });
});

describe('what cannot be finished', () => {
  test('a refusal in the middle leaves a partial result beside the error', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), await twoImages());
    const front = await openFront(registry, (request, response) => {
      if (request.method !== 'PUT' || !request.url?.startsWith('/v2/tool/manifests/')) return false;
      request.resume();
      return refuse(response, 403, 'DENIED', 'not yours');
    });
    const argv = [folder('a.tar'), '--registry-url', front.url];
    const run = ended(77, await push([...argv, '--json']));
    const { result, error, ok } = run.json();
    expect(ok).toBe(false);
    expect(error).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining('answered 403 (DENIED not yours)'),
    });
    expect(result.images.map((image: { tags: unknown }) => image.tags)).toEqual([
      [
        { reference: `${front.host}/team/app:1.0`, status: 'pushed' },
        { reference: `${front.host}/team/app:latest`, status: 'pushed' },
      ],
      [{ reference: `${front.host}/tool:2`, status: 'planned' }],
    ]);
    expect(result.totals).toMatchObject({ tags: 2, blobs: 6 });
    // As text: the tags that are in place on stdout, the error on stderr.
    const text = ended(77, await push(argv));
    expect(text.stdout.trimEnd().split('\n')).toEqual([
      expect.stringContaining(`${front.host}/team/app:1.0@sha256:`),
      expect.stringContaining(`${front.host}/team/app:latest@sha256:`),
    ]);
    expect(text.stderr).toContain('error: push of manifest');
  });

  test('no tag is set before all below it is there', async () => {
    const registry = await openRegistry();
    await writeOciArchive(folder('a.tar'), [await oneImage()]);
    const front = await openFront(registry, (request, response) => {
      if (request.method !== 'POST') return false;
      return refuse(response, 403, 'DENIED');
    });
    const run = ended(77, await push([folder('a.tar'), '--registry-url', front.url]));
    expect(run.stdout).toBe('');
    expect(front.seen.some((line) => line.startsWith('PUT'))).toBe(false);
  });

  test.each([
    ['a docker-archive, compressed on the way', writeDockerArchive],
    ['an oci-archive', writeOciArchive],
  ])('an interrupt cancels the open uploads of %s: 130 and a partial result', async (_, write) => {
    const registry = await openRegistry();
    await write(folder('a.tar'), [await oneImage()]);
    let stalled = 0;
    let allStalled: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      allStalled = resolve;
    });
    // Takes the bytes of all three blobs and never answers.
    const front = await openFront(registry, (request) => {
      if (request.method !== 'PATCH' && !(request.method === 'PUT' && request.url?.includes('/uploads/')))
        return false;
      request.resume();
      if (++stalled === 3) allStalled();
      return true;
    });
    const run = await push([folder('a.tar'), '--registry-url', front.url, '--json'], {
      whileRunning: async (signal) => {
        await begun;
        signal('SIGINT');
      },
    });
    const answer = ended(130, run).json();
    expect(answer).toMatchObject({
      ok: false,
      exitCode: 130,
      interrupted: true,
      error: { code: 'INTERRUPTED' },
      result: { totals: { tags: 0 } },
    });
    const uploads = (method: string): number =>
      front.seen.filter((line) => line.startsWith(`${method} `) && line.includes('/uploads/')).length;
    expect([uploads('POST'), uploads('DELETE')]).toEqual([3, 3]);
  });

  test('an archive that ends too early is 65', async () => {
    const registry = await openRegistry();
    await writeDockerArchive(folder('a.tar'), [await oneImage()]);
    const whole = await readFile(folder('a.tar'));
    const run = await push(['-', '--registry-url', registry.url, '--json'], {
      stdin: whole.subarray(0, whole.length / 2),
    });
    expect(ended(65, run).json()).toMatchObject({ result: null, error: { code: 'ARCHIVE_INVALID' } });
    expect(registry.bytesIn()).toBe(0);
  });

  test('a layer whose bytes are not its diffID is 65, and is not committed', async () => {
    const registry = await openRegistry();
    const image = await oneImage();
    await writeDockerArchive(folder('a.tar'), [image]);
    const bytes = await readFile(folder('a.tar'));
    // The first layer's first file: a kilobyte after its headers.
    const at = bytes.indexOf('file-0.bin') + 1024;
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    const run = await push(['-', '--registry-url', registry.url, '--json'], { stdin: bytes });
    expect(ended(65, run).json().error).toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await digestAt(registry, 'app', '1')).toBeUndefined();
  });
});

test('on a terminal there are bars on stderr, and the sums under the answer', async () => {
  const registry = await openRegistry();
  await writeDockerArchive(folder('a.tar'), [await oneImage()]);
  const run = ended(0, await push([folder('a.tar'), '--registry-url', registry.url], { tty: 100 }));
  expect(run.stdout).toMatch(
    new RegExp(`^${registry.name}/app:1@sha256:[0-9a-f]{64}\\n\\n1 tag, 3 blobs: 3 uploaded, `),
  );
  expect(run.stderr).toContain('\u001b[?25l');
  expect(run.stderr.lastIndexOf('\u001b[?25h')).toBeGreaterThan(run.stderr.lastIndexOf('\u001b[?25l'));
});
