import { describe, expect, test } from 'vitest';
import type { Archive } from '../../../../src/archive/index.ts';
import {
  type BlobPlan,
  blobsOf,
  type ManifestPlan,
  planImage,
  platformsOf,
} from '../../../../src/jobs/push-tar/image-plan.ts';
import { type Digest, digestOf, type Manifest, parsePlatform } from '../../../../src/oci/index.ts';
import {
  makeImage,
  makeIndex,
  type TestImage,
  treeOf,
  writeDockerArchive,
  writeOciArchive,
} from '../../../support/image-archives.ts';
import {
  addImage,
  addIndex,
  type BuiltDescriptor,
  LayoutBuilder,
  TYPES,
} from '../../../support/layout-builder.ts';
import { useTempFolder } from '../../../support/temp-folder.ts';
import { failure, useArchives } from '../../archive/support.ts';
import { recordingLog } from '../support.ts';

const folder = useTempFolder();
const open = useArchives();

type Options = Parameters<typeof planImage>[2];
const GZIP: Options = { compression: 'gzip', preserveDigests: false };
const AMD64 = { os: 'linux', architecture: 'amd64' };
const ARM64 = { os: 'linux', architecture: 'arm64' };

async function planOf(archive: Archive, options: Partial<Options> = {}, log = recordingLog()) {
  const plan = await planImage(archive, archive.images[0] as never, { ...GZIP, ...options }, log);
  leaveOut(plan);
  return plan;
}

/** As for a registry that has nothing of what the archive lacks. */
function leaveOut(plan: ManifestPlan): void {
  if (plan.kind === 'image') return;
  for (const child of plan.children) leaveOut(child);
  if (plan.absent.length > 0) plan.leaveOutAbsent();
}

/** Builds all of a plan, as if every packed layer had become bytes of that name. */
function build(plan: ManifestPlan): Manifest {
  if (plan.kind === 'index') return plan.build(plan.children.map(build));
  return plan.build((blob) =>
    blob.kind === 'stored' ? blob : { digest: packedDigest(blob.source.diffId), size: 7 },
  );
}

function packedDigest(diffId: string): Digest {
  return digestOf(`packed ${diffId}`);
}

function shown(blob: BlobPlan): object {
  const { kind, mediaType } = blob;
  return kind === 'stored'
    ? { kind, mediaType, digest: blob.digest, size: blob.size }
    : { kind, mediaType, diffId: blob.source.diffId, compression: blob.compression };
}

describe('docker-archive', () => {
  let image: TestImage;
  async function archiveOf(options: Parameters<typeof writeDockerArchive>[2] = {}): Promise<Archive> {
    image = await makeImage({ seed: 'plan', names: ['app:1'], layers: [{ size: 900 }, { size: 300 }] });
    await writeDockerArchive(folder('a.tar'), [image], options);
    return open(folder('a.tar'));
  }

  test('a configuration that many images share is read once', async () => {
    const archive = await archiveOf();
    const [first] = archive.images;
    if (first?.content.kind !== 'docker') throw new Error('no docker-archive');
    const { content } = first;
    let opened = 0;
    const open = () => {
      opened++;
      return content.config.open();
    };
    for (let index = 0; index < 3; index++) {
      const image = { ...first, index, content: { ...content, config: { ...content.config, open } } };
      expect(platformsOf(await planImage(archive, image, GZIP, recordingLog()))).toEqual(['linux/amd64']);
    }
    expect(opened).toBe(1);
  });

  test('plain layers are packed with gzip, into a manifest of docker’s', async () => {
    const plan = await planOf(await archiveOf());
    const config = digestOf(image.config);
    expect(blobsOf(plan).map(shown)).toEqual([
      { kind: 'stored', mediaType: TYPES.dockerConfig, digest: config, size: image.config.length },
      ...image.layers.map((layer) => ({
        kind: 'packed',
        mediaType: TYPES.dockerLayerGzip,
        diffId: layer.digest,
        compression: 'gzip',
      })),
    ]);
    expect(platformsOf(plan)).toEqual(['linux/amd64']);
    expect(build(plan)).toMatchObject({
      kind: 'image',
      mediaType: TYPES.dockerManifest,
      document: {
        schemaVersion: 2,
        mediaType: TYPES.dockerManifest,
        config: { mediaType: TYPES.dockerConfig, digest: config, size: image.config.length },
        layers: image.layers.map((layer) => ({
          mediaType: TYPES.dockerLayerGzip,
          digest: packedDigest(layer.digest),
          size: 7,
        })),
      },
    });
  });

  test('zstd makes it an OCI image, for docker’s manifest knows no zstd', async () => {
    const plan = await planOf(await archiveOf(), { compression: 'zstd' });
    expect(blobsOf(plan).map((blob) => blob.mediaType)).toEqual([
      TYPES.config,
      TYPES.layerZstd,
      TYPES.layerZstd,
    ]);
    expect(build(plan).mediaType).toBe(TYPES.manifest);
  });

  test.each([
    { compression: 'none' as const },
    { compression: 'gzip' as const, preserveDigests: true },
    { compression: 'zstd' as const, preserveDigests: true },
  ])('with %o plain layers go as they lie, under their diffIDs', async (options) => {
    const plan = await planOf(await archiveOf(), options);
    expect(blobsOf(plan).slice(1).map(shown)).toEqual(
      image.layers.map((layer) => ({
        kind: 'stored',
        mediaType: TYPES.dockerLayer,
        digest: layer.digest,
        size: layer.size,
      })),
    );
  });

  test.each([
    ['gzip', 'zstd', TYPES.dockerLayerGzip],
    ['zstd', 'gzip', TYPES.layerZstd],
  ] as const)('layers stored as %s stay so when %s is asked for', async (stored, wanted, mediaType) => {
    const plan = await planOf(await archiveOf({ compression: stored }), { compression: wanted });
    for (const blob of blobsOf(plan).slice(1)) {
      expect(blob).toMatchObject({ kind: 'packed', mediaType, source: { compression: stored } });
    }
  });

  test('one layer in several images is one piece of work, but not with another packing', async () => {
    const archive = await archiveOf();
    const keys = async (options: Partial<Options>): Promise<string[]> =>
      blobsOf(await planOf(archive, options)).map((blob) => blob.key);
    expect(await keys({})).toEqual(await keys({}));
    const all = [...(await keys({})), ...(await keys({ compression: 'zstd' })).slice(1)];
    expect(new Set(all).size).toBe(all.length);
  });

  test('another platform than its own is refused', async () => {
    const archive = await archiveOf();
    await expect(planOf(archive, { platform: parsePlatform('linux/arm64') })).rejects.toEqual(
      failure('PLATFORM_NOT_FOUND', 'image @0 (app:1) of', 'has no linux/arm64', 'It is linux/amd64.'),
    );
    expect((await planOf(archive, { platform: parsePlatform('linux/amd64') })).kind).toBe('image');
    expect((await planOf(archive, { platform: 'all' })).kind).toBe('image');
  });

  test('from docker 25 on the manifest is the archive’s own, with new layers', async () => {
    const archive = await archiveOf({ layout: 'docker25' });
    const log = recordingLog();
    const plan = await planOf(archive, {}, log);
    const stored = await treeOf(image, 'none');
    const built = build(plan);
    expect(built.digest).not.toBe(stored.root.digest);
    expect(built).toMatchObject({
      mediaType: TYPES.manifest,
      document: {
        config: { mediaType: TYPES.config, digest: digestOf(image.config) },
        layers: image.layers.map((layer) => ({
          mediaType: TYPES.layerGzip,
          digest: packedDigest(layer.digest),
          size: 7,
        })),
      },
    });
    expect(log.traces.join()).toContain(`manifest ${stored.root.digest} becomes ${built.digest}`);
    for (const options of [{ compression: 'none' as const }, { preserveDigests: true }]) {
      expect(build(await planOf(archive, options)).digest).toBe(stored.root.digest);
    }
  });
});

describe('OCI images', () => {
  test('compressed layers and their manifest stay byte for byte', async () => {
    const image = await makeImage({ seed: 'oci', names: ['app:1'] });
    await writeOciArchive(folder('a.tar'), [image]);
    const plan = await planOf(await open(folder('a.tar')), { compression: 'zstd' });
    const tree = await treeOf(image);
    const built = build(plan);
    expect(built.digest).toBe(tree.root.digest);
    expect(blobsOf(plan).map((blob) => (blob.kind === 'stored' ? blob.digest : 'packed'))).toEqual([
      digestOf(image.config),
      ...(await Promise.all(image.layers.map(async (layer) => (await layer.packed('gzip')).digest))),
    ]);
  });

  test('what is repacked keeps everything else of its manifest and descriptors', async () => {
    const layout = new LayoutBuilder();
    const plain = layout.add('plain layer', TYPES.layer, { annotations: { 'com.example.layer': 'one' } });
    const packed = layout.add('gzip layer', TYPES.layerGzip);
    const image = addImage(layout, {
      layers: [plain, packed],
      manifest: { annotations: { 'com.example.image': 'two' }, artifactType: 'application/x-example' },
    });
    await layout.write(folder('layout'), [image]);
    const built = build(await planOf(await open(folder('layout')), { compression: 'zstd' }));
    expect(built.document).toEqual({
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      artifactType: 'application/x-example',
      config: { mediaType: TYPES.config, digest: image.config.digest, size: image.config.size },
      layers: [
        {
          mediaType: TYPES.layerZstd,
          digest: packedDigest(plain.digest),
          size: 7,
          annotations: { 'com.example.layer': 'one' },
        },
        packed,
      ],
      annotations: { 'com.example.image': 'two' },
    });
  });

  test('an artifact that refers to another manifest is never rewritten', async () => {
    const layout = new LayoutBuilder();
    const plain = layout.add('sbom', TYPES.layer);
    const subject = { mediaType: TYPES.manifest, digest: digestOf('subject'), size: 9 };
    const image = addImage(layout, { layers: [plain], manifest: { subject } });
    await layout.write(folder('layout'), [image]);
    const plan = await planOf(await open(folder('layout')));
    expect(blobsOf(plan).every((blob) => blob.kind === 'stored')).toBe(true);
    expect(build(plan).digest).toBe(image.digest);
  });

  test('foreign layers stay in the manifest and are not pushed', async () => {
    const layout = new LayoutBuilder();
    const own = layout.add('own', TYPES.layerGzip);
    const foreign = {
      mediaType: TYPES.layerForeign,
      digest: digestOf('windows'),
      size: 99,
      urls: ['https://example.com/base'],
    };
    const image = addImage(layout, { layers: [foreign, own] });
    await layout.write(folder('layout'), [image]);
    const plan = await planOf(await open(folder('layout')));
    expect(blobsOf(plan).map((blob) => blob.key)).toEqual([image.config.digest, own.digest]);
    expect(build(plan).digest).toBe(image.digest);
  });

  test('a layer that the archive lacks must be in the registry already', async () => {
    const image = await makeImage({ seed: 'lacking', names: ['app:1'] });
    const [lost] = await Promise.all(image.layers.map((layer) => layer.packed('gzip')));
    await writeOciArchive(folder('a.tar'), [image], { omit: [lost?.digest as string] });
    const plan = await planOf(await open(folder('a.tar')));
    const absent = blobsOf(plan).filter((blob) => blob.kind === 'stored' && blob.source === undefined);
    expect(absent).toMatchObject([{ digest: lost?.digest, size: lost?.size }]);
  });

  test('an artifact whose configuration is no image’s has no platform', async () => {
    const layout = new LayoutBuilder();
    const config = layout.add('{}', TYPES.empty);
    const manifest = {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      artifactType: 'application/x-example',
      config,
      layers: [config],
    };
    await layout.write(folder('layout'), [layout.add(manifest, TYPES.manifest)]);
    expect(platformsOf(await planOf(await open(folder('layout'))))).toEqual([]);
  });
});

describe('indexes', () => {
  async function archiveOfIndex(omit: (images: TestImage[]) => Promise<string[]> = async () => []) {
    const amd64 = await makeImage({ seed: 'amd64', platform: AMD64 });
    const arm = await makeImage({
      seed: 'arm',
      platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
    });
    const index = makeIndex({ images: [amd64, arm], names: ['app:1'] });
    await writeOciArchive(folder('a.tar'), [index], { omit: await omit([amd64, arm]) });
    return { archive: await open(folder('a.tar')), index, amd64, arm };
  }

  test.each([undefined, 'all' as const])('platform %s: the whole index as it is', async (platform) => {
    const { archive, index } = await archiveOfIndex();
    const plan = await planOf(archive, { platform });
    expect(platformsOf(plan)).toEqual(['linux/amd64', 'linux/arm/v7']);
    expect(build(plan).digest).toBe((await treeOf(index)).root.digest);
  });

  test('one platform is pushed as an image', async () => {
    const { archive, arm } = await archiveOfIndex();
    const plan = await planOf(archive, { platform: parsePlatform('linux/arm/v7') });
    expect(plan.kind).toBe('image');
    expect(platformsOf(plan)).toEqual(['linux/arm/v7']);
    expect(build(plan).digest).toBe((await treeOf(arm)).root.digest);
    // Who does not name the variant takes the first that there is.
    expect((await planOf(archive, { platform: parsePlatform('linux/arm') })).kind).toBe('image');
  });

  test('a platform that is not there is refused with those that are', async () => {
    const { archive } = await archiveOfIndex();
    await expect(planOf(archive, { platform: parsePlatform('windows/amd64') })).rejects.toEqual(
      failure('PLATFORM_NOT_FOUND', 'no windows/amd64', 'Its platforms: linux/amd64, linux/arm/v7.'),
    );
  });

  test('plain layers change every digest up to the root', async () => {
    const image = await makeImage({ seed: 'amd64' });
    const index = makeIndex({ images: [makeIndex({ images: [image] })], names: ['app:1'] });
    await writeOciArchive(folder('a.tar'), [index], { compression: 'none' });
    const plan = await planOf(await open(folder('a.tar')));
    const built = build(plan);
    const inner = build(plan.kind === 'index' ? (plan.children[0] as ManifestPlan) : plan);
    expect(built.digest).not.toBe((await treeOf(index, 'none')).root.digest);
    expect(built).toMatchObject({
      document: { manifests: [{ digest: inner.digest, size: inner.bytes.length, mediaType: TYPES.index }] },
    });
  });

  describe('sparse', () => {
    const withoutArm = async ([, arm]: TestImage[]) => [(await treeOf(arm as TestImage)).root.digest];
    const withoutArmLayer = async ([, arm]: TestImage[]) => {
      const layer = await arm?.layers[1]?.packed('gzip');
      return [layer?.digest as string];
    };

    test.each([
      ['a manifest', withoutArm],
      ['a layer', withoutArmLayer],
    ])('what lacks %s is left out with a warning, and the index gets a new digest', async (_, omit) => {
      const { archive, index, amd64 } = await archiveOfIndex(omit);
      const log = recordingLog();
      const plan = await planOf(archive, {}, log);
      expect(log.warnings).toEqual([
        expect.stringMatching(/^image @0 \(app:1\) of .*: the archive lacks linux\/arm\/v7; the index is/),
      ]);
      expect(platformsOf(plan)).toEqual(['linux/amd64']);
      const built = build(plan);
      expect(built.digest).not.toBe((await treeOf(index)).root.digest);
      expect(built).toMatchObject({
        mediaType: TYPES.index,
        document: { manifests: [(await treeOf(amd64)).root] },
      });
    });

    test('what lacks a manifest keeps its digest where the registry has the rest', async () => {
      const { archive, index } = await archiveOfIndex(withoutArm);
      const plan = await planImage(archive, archive.images[0] as never, GZIP, recordingLog());
      if (plan.kind !== 'index') throw new Error('not an index');
      expect(plan.build(plan.children.map(build), true).digest).toBe((await treeOf(index)).root.digest);
    });

    test.each([{ platform: 'all' as const }, { preserveDigests: true }])(
      'is refused with %o',
      async (options) => {
        const { archive } = await archiveOfIndex(withoutArm);
        await expect(planOf(archive, options)).rejects.toEqual(
          failure('ARCHIVE_INVALID', 'names what the archive lacks: linux/arm/v7', '--platform'),
        );
      },
    );

    test('a platform that is there can be chosen, one that is only named cannot', async () => {
      const { archive } = await archiveOfIndex(withoutArm);
      const log = recordingLog();
      const plan = await planOf(archive, { platform: parsePlatform('linux/amd64') }, log);
      expect(plan.kind).toBe('image');
      expect(log.warnings).toEqual([]);
      await expect(planOf(archive, { platform: parsePlatform('linux/arm/v7') })).rejects.toEqual(
        failure('PLATFORM_NOT_FOUND', 'linux/amd64, linux/arm/v7 (named, but not in the archive)'),
      );
    });

    test('an index of which nothing is there is refused', async () => {
      const { archive } = await archiveOfIndex(async (images) =>
        Promise.all(images.map(async (image) => (await treeOf(image)).root.digest)),
      );
      await expect(planOf(archive)).rejects.toEqual(
        failure('ARCHIVE_INVALID', 'linux/amd64, linux/arm/v7', 'holds no image of this index whole'),
      );
    });

    test('an inner index of which nothing is there is left out like an image', async () => {
      const layout = new LayoutBuilder();
      const here = addImage(layout, { layers: [layout.add('here', TYPES.layerGzip)] });
      const gone = addImage(layout, { platform: ARM64, layers: [layout.add('gone', TYPES.layerGzip)] });
      const inner = addIndex(layout, [gone]);
      const root = addIndex(layout, [here, inner]);
      await layout.write(folder('layout'), [root], [gone.digest]);
      const log = recordingLog();
      const plan = await planOf(await open(folder('layout')), {}, log);
      expect(platformsOf(plan)).toEqual(['linux/amd64']);
      expect(log.warnings).toEqual([expect.stringContaining(inner.digest)]);
    });
  });

  test('an image that a manifest beside it has as its subject is left as it is', async () => {
    const layout = new LayoutBuilder();
    const image = addImage(layout, { layers: [layout.add('subject', TYPES.layer)] });
    const { mediaType, digest, size } = image;
    const signature = addImage(layout, {
      platform: { os: 'unknown', architecture: 'unknown' },
      layers: [layout.add('signature', 'application/octet-stream')],
      manifest: { subject: { mediaType, digest, size } },
    });
    await layout.write(folder('layout'), [addIndex(layout, [image, signature])]);
    const built = build(await planOf(await open(folder('layout'))));
    if (built.kind !== 'index') throw new Error('not an index');
    expect(built.document.manifests.map((entry) => entry.digest)).toEqual([image.digest, signature.digest]);
  });

  test('an image that an attestation names by digest is left as it is', async () => {
    const layout = new LayoutBuilder();
    const image = addImage(layout, { layers: [layout.add('pinned', TYPES.layer)] });
    const free = addImage(layout, { platform: ARM64, layers: [layout.add('free', TYPES.layer)] });
    const attestation = addImage(layout, {
      platform: { os: 'unknown', architecture: 'unknown' },
      layers: [layout.add('{"predicate":{}}', 'application/vnd.in-toto+json')],
      descriptor: {
        annotations: {
          'vnd.docker.reference.type': 'attestation-manifest',
          'vnd.docker.reference.digest': image.digest,
        },
      },
    });
    await layout.write(folder('layout'), [addIndex(layout, [image, free, attestation])]);
    const plan = await planOf(await open(folder('layout')));
    const built = build(plan);
    if (built.kind !== 'index') throw new Error('not an index');
    const [first, second, third] = built.document.manifests;
    expect(first?.digest).toBe(image.digest);
    expect(second?.digest).not.toBe(free.digest);
    expect(third).toMatchObject({
      digest: attestation.digest,
      annotations: { 'vnd.docker.reference.digest': image.digest },
    });
    // "unknown" is no platform to be told of.
    expect(platformsOf(plan)).toEqual(['linux/amd64', 'linux/arm64']);
  });

  test('a platform is found in an index inside the index', async () => {
    const layout = new LayoutBuilder();
    const wanted = addImage(layout, { platform: ARM64, layers: [layout.add('arm', TYPES.layerGzip)] });
    const other = addImage(layout, { layers: [layout.add('amd', TYPES.layerGzip)] });
    await layout.write(folder('layout'), [
      addIndex(layout, [addIndex(layout, [other]), addIndex(layout, [wanted])]),
    ]);
    const archive = await open(folder('layout'));
    expect(build(await planOf(archive, { platform: parsePlatform('linux/arm64') })).digest).toBe(
      wanted.digest,
    );
    await expect(planOf(archive, { platform: parsePlatform('linux/s390x') })).rejects.toEqual(
      failure('PLATFORM_NOT_FOUND', 'Its platforms: linux/amd64, linux/arm64.'),
    );
  });

  test('indexes nested deeper than four are refused', async () => {
    const layout = new LayoutBuilder();
    const nest = (image: BuiltDescriptor, depth: number): BuiltDescriptor =>
      depth === 0 ? image : addIndex(layout, [nest(image, depth - 1)]);
    const image = addImage(layout, { layers: [layout.add('deep', TYPES.layerGzip)] });
    await layout.write(folder('four'), [nest(image, 4)]);
    await layout.write(folder('five'), [nest(image, 5)]);
    expect(platformsOf(await planOf(await open(folder('four'))))).toEqual(['linux/amd64']);
    for (const platform of [undefined, parsePlatform('linux/amd64')]) {
      await expect(planOf(await open(folder('five')), { platform })).rejects.toEqual(
        failure('ARCHIVE_INVALID', 'nested deeper than 4'),
      );
    }
  });

  test('a child that is not what its digest says is refused', async () => {
    const layout = new LayoutBuilder();
    const image = addImage(layout, { layers: [layout.add('layer', TYPES.layerGzip)] });
    const root = addIndex(layout, [image]);
    layout.corrupt(image.digest, Buffer.alloc(image.size, 32));
    await layout.write(folder('layout'), [root]);
    await expect(planOf(await open(folder('layout')))).rejects.toEqual(
      failure('DIGEST_MISMATCH', image.digest),
    );
  });
});
