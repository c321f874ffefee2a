import { describe, expect, test } from 'vitest';
import type { Archive } from '../../../../src/archive/index.ts';
import { readManifest } from '../../../../src/archive/index.ts';
import { archiveContent, type Content } from '../../../../src/jobs/inspect/content.ts';
import type { ImageView, IndexView, ProblemView } from '../../../../src/jobs/inspect/index.ts';
import { entryFor, viewDockerContent, viewManifest } from '../../../../src/jobs/inspect/view.ts';
import { digestOf, type Manifest, parsePlatform } from '../../../../src/oci/index.ts';
import { makeImage, treeOf, writeDockerArchive, writeOciArchive } from '../../../support/image-archives.ts';
import { addImage, addIndex, LayoutBuilder, TYPES } from '../../../support/layout-builder.ts';
import { useTempFolder } from '../../../support/temp-folder.ts';
import { failure, useArchives } from '../../archive/support.ts';

const folder = useTempFolder();
const open = useArchives();
const signal = new AbortController().signal;
type Options = Parameters<typeof viewManifest>[2];
const PLAIN: Options = { tree: false };

async function rootOf(archive: Archive): Promise<Manifest> {
  const { content } = archive.images[0] as Archive['images'][number];
  if (content.kind !== 'oci') throw new Error('not OCI');
  return readManifest(archive, content.root);
}

/** A layout read as a repository is: what is absent is a fault. */
function complete(archive: Archive): Content {
  return { ...archiveContent(archive), complete: true };
}

async function viewOf(options: Partial<Options> = {}, of: (archive: Archive) => Content = complete) {
  const archive = await open(folder('layout'));
  return viewManifest(await rootOf(archive), of(archive), { ...PLAIN, ...options }, signal);
}

describe('an image', () => {
  test('is shown with its configuration, layers and history', async () => {
    const image = await makeImage({ seed: 'view', names: ['app:1'], labels: { vendor: 'me' } });
    await writeOciArchive(folder('a.tar'), [image]);
    const archive = await open(folder('a.tar'));
    const tree = await treeOf(image);
    const [one, two] = await Promise.all(image.layers.map((layer) => layer.packed('gzip')));
    if (!one || !two) throw new Error('two layers are made');
    const created = '2024-01-01T00:00:00Z';
    expect(await viewManifest(await rootOf(archive), complete(archive), PLAIN, signal)).toEqual({
      type: 'image',
      digest: tree.root.digest,
      mediaType: TYPES.manifest,
      platform: 'linux/amd64',
      sizeBytes: tree.root.size + image.config.length + one.size + two.size,
      created,
      settings: {
        env: ['PATH=/usr/bin:/bin'],
        command: ['/bin/app'],
        labels: { seed: 'view', vendor: 'me' },
      },
      history: [
        { created, createdBy: 'ENV SEED=view', emptyLayer: true },
        { created, createdBy: 'COPY files-0 /files-0', emptyLayer: false, sizeBytes: one.size },
        { created, createdBy: 'COPY files-1 /files-1', emptyLayer: false, sizeBytes: two.size },
      ],
      config: { digest: digestOf(image.config), mediaType: TYPES.config, sizeBytes: image.config.length },
      layers: [one, two].map((layer, at) => ({
        digest: layer.digest,
        mediaType: TYPES.layerGzip,
        sizeBytes: layer.size,
        diffId: image.layers[at]?.digest,
      })),
    });
  });

  test('whose history does not fit its layers has no sizes in it', async () => {
    const layout = new LayoutBuilder();
    const layers = [layout.add('one', TYPES.layerGzip), layout.add('two', TYPES.layerGzip)];
    const image = addImage(layout, {
      layers,
      config: {
        history: [{ created_by: 'only one' }],
        rootfs: { type: 'layers', diff_ids: [digestOf('x')] },
        config: {
          User: 'app',
          Entrypoint: ['/a', 'b c'],
          ExposedPorts: { '80/tcp': {} },
          Volumes: { '/v': {} },
        },
      },
    });
    await layout.write(folder('layout'), [image]);
    const view = (await viewOf()) as ImageView;
    expect(view.history).toEqual([{ createdBy: 'only one', emptyLayer: false }]);
    expect(view.layers.map((layer) => layer.diffId)).toEqual([undefined, undefined]);
    expect(view.settings).toEqual({
      user: 'app',
      entrypoint: ['/a', 'b c'],
      exposedPorts: ['80/tcp'],
      volumes: ['/v'],
    });
  });

  test('keeps the exact text of its manifest or configuration when asked', async () => {
    const layout = new LayoutBuilder();
    const image = addImage(layout, { layers: [layout.add('l', TYPES.layerGzip)] });
    await layout.write(folder('layout'), [image]);
    expect((await viewOf({ keep: 'manifest' })).text).toBe(layout.bytesOf(image.digest).toString());
    expect((await viewOf({ keep: 'config' })).text).toBe(layout.bytesOf(image.config.digest).toString());
    expect(await viewOf()).not.toHaveProperty('text');
  });

  test('the exact text is refused where there is none', async () => {
    const layout = new LayoutBuilder();
    const config = layout.add(Buffer.from([0xff, 0xfe, 0x00]), 'application/x-binary');
    const manifest = { schemaVersion: 2, mediaType: TYPES.manifest, config, layers: [config] };
    await layout.write(folder('layout'), [layout.add(manifest, TYPES.manifest)]);
    await expect(viewOf({ keep: 'config' })).rejects.toEqual(failure('MANIFEST_INVALID', 'not UTF-8 text'));
  });

  test('an artifact shows what it is and what it refers to; its configuration is left unread', async () => {
    const layout = new LayoutBuilder();
    const config = { mediaType: 'application/x-config', digest: digestOf('not there'), size: 5 };
    const subject = { mediaType: TYPES.manifest, digest: digestOf('subject'), size: 9 };
    const manifest = {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      artifactType: 'application/x-sbom',
      config,
      layers: [layout.add('sbom', 'text/plain', { annotations: { title: 'a.txt' } })],
      subject,
      annotations: { made: 'now' },
    };
    await layout.write(folder('layout'), [layout.add(manifest, TYPES.manifest)]);
    expect(await viewOf()).toMatchObject({
      artifactType: 'application/x-sbom',
      annotations: { made: 'now' },
      subject: { digest: subject.digest, mediaType: TYPES.manifest, sizeBytes: 9 },
      layers: [{ annotations: { title: 'a.txt' } }],
    });
    expect(await viewOf()).not.toHaveProperty('platform');
  });

  test('asked for another platform than its own, it does not pass for it', async () => {
    const layout = new LayoutBuilder();
    const image = addImage(layout, { layers: [layout.add('l', TYPES.layerGzip)] });
    await layout.write(folder('layout'), [image]);
    await expect(viewOf({ platform: parsePlatform('linux/arm64') })).rejects.toEqual(
      failure('PLATFORM_NOT_FOUND', image.digest, 'linux/arm64', 'It is for linux/amd64.'),
    );
    expect(await viewOf({ platform: parsePlatform('linux/amd64') })).toMatchObject({
      platform: 'linux/amd64',
    });
  });

  test('a configuration that is not there is an error, but for a check, which tells of it itself', async () => {
    const layout = new LayoutBuilder();
    const image = addImage(layout, { layers: [layout.add('l', TYPES.layerGzip)] });
    await layout.write(folder('layout'), [image], [image.config.digest]);
    await expect(viewOf()).rejects.toEqual(failure('BLOB_NOT_FOUND', image.config.digest));
    const problems: ProblemView[] = [];
    expect(await viewOf({ problems })).toMatchObject({ type: 'image', digest: image.digest });
    expect(problems).toMatchObject([{ digest: image.config.digest, problem: 'missing' }]);
    // An archive may lawfully lack it.
    expect(await viewOf({}, archiveContent)).toMatchObject({ type: 'image', digest: image.digest });
  });
});

describe('an index', () => {
  function sample() {
    const layout = new LayoutBuilder();
    const amd64 = addImage(layout, { layers: [layout.add('amd64', TYPES.layerGzip)] });
    const arm64 = addImage(layout, {
      platform: { os: 'linux', architecture: 'arm64' },
      layers: [layout.add('arm64', TYPES.layerGzip)],
    });
    const note = layout.add('note', 'text/plain', { artifactType: 'application/x-note' });
    const root = addIndex(layout, [amd64, arm64, note], { document: { annotations: { k: 'v' } } });
    return { layout, amd64, arm64, note, root };
  }

  test('is shown with its entries', async () => {
    const { layout, amd64, arm64, note, root } = sample();
    await layout.write(folder('layout'), [root]);
    expect(await viewOf({ keep: 'manifest' })).toEqual({
      type: 'index',
      digest: root.digest,
      mediaType: TYPES.index,
      sizeBytes: root.size,
      annotations: { k: 'v' },
      text: layout.bytesOf(root.digest).toString(),
      manifests: [
        { digest: amd64.digest, mediaType: TYPES.manifest, sizeBytes: amd64.size, platform: 'linux/amd64' },
        { digest: arm64.digest, mediaType: TYPES.manifest, sizeBytes: arm64.size, platform: 'linux/arm64' },
        { digest: note.digest, mediaType: 'text/plain', sizeBytes: 4, artifactType: 'application/x-note' },
      ],
    });
  });

  test('an archive says which entries it holds', async () => {
    const { layout, arm64, root } = sample();
    await layout.write(folder('layout'), [root], [arm64.digest]);
    const view = (await viewOf({}, archiveContent)) as IndexView;
    expect(view.manifests.map((entry) => entry.present)).toEqual([true, false, true]);
  });

  test('as a tree it is followed down to its images; what is no manifest is not read as one', async () => {
    const { layout, amd64, arm64, root } = sample();
    await layout.write(folder('layout'), [addIndex(layout, [root])]);
    const view = (await viewOf({ tree: true, keep: 'manifest' })) as IndexView;
    const inner = view.manifests[0]?.manifest as IndexView;
    expect(inner.manifests.map((entry) => entry.manifest)).toMatchObject([
      { type: 'image', digest: amd64.digest, platform: 'linux/amd64' },
      { type: 'image', digest: arm64.digest, platform: 'linux/arm64' },
      undefined,
    ]);
    // The text that was asked for is the root's alone.
    expect(inner).not.toHaveProperty('text');
  });

  test('a tree with a hole is an error, but for a check', async () => {
    const { layout, arm64, root } = sample();
    await layout.write(folder('layout'), [root], [arm64.digest]);
    await expect(viewOf({ tree: true })).rejects.toEqual(failure('BLOB_NOT_FOUND'));
    const problems: ProblemView[] = [];
    const view = (await viewOf({ tree: true, problems })) as IndexView;
    expect(view.manifests.map((entry) => entry.manifest?.type)).toEqual(['image', undefined, undefined]);
    expect(problems).toMatchObject([{ digest: arm64.digest, problem: 'missing' }]);
  });

  test('knows the entry for a platform', async () => {
    const { layout, arm64, root } = sample();
    await layout.write(folder('layout'), [root]);
    const manifest = await rootOf(await open(folder('layout')));
    if (manifest.kind !== 'index') throw new Error('not an index');
    expect(entryFor(manifest, parsePlatform('linux/aarch64'))?.digest).toBe(arm64.digest);
    expect(entryFor(manifest, parsePlatform('linux/s390x'))).toBeUndefined();
  });
});

describe('an image of a docker-archive', () => {
  test('has no digest yet, but layers with their diffIDs and packing', async () => {
    const image = await makeImage({ seed: 'docker', names: ['app:1'], layers: [{ size: 500 }] });
    await writeDockerArchive(folder('a.tar'), [image], { compression: 'zstd' });
    const archive = await open(folder('a.tar'));
    const { content } = archive.images[0] as Archive['images'][number];
    if (content.kind !== 'docker') throw new Error('not docker');
    const view = viewDockerContent(content, image.config, { tree: false, keep: 'config' }, 'image @0');
    const stored = await image.layers[0]?.packed('zstd');
    expect(view).toMatchObject({
      type: 'image',
      platform: 'linux/amd64',
      sizeBytes: image.config.length + (stored?.size ?? 0),
      layers: [{ diffId: image.layers[0]?.digest, compression: 'zstd', sizeBytes: stored?.size }],
      text: image.config.toString(),
    });
    expect(view).not.toHaveProperty('digest');
    expect(() =>
      viewDockerContent(
        content,
        image.config,
        { tree: false, platform: parsePlatform('linux/arm64') },
        'image @0',
      ),
    ).toThrow(expect.objectContaining({ code: 'PLATFORM_NOT_FOUND' }));
  });
});
