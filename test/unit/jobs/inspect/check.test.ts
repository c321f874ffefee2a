import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { type Archive, readManifest } from '../../../../src/archive/index.ts';
import { RegopsError } from '../../../../src/base/index.ts';
import {
  checkDockerContent,
  checkManifest,
  mergeChecks,
  withProblems,
} from '../../../../src/jobs/inspect/check.ts';
import { archiveContent, type Content } from '../../../../src/jobs/inspect/content.ts';
import { silentProgress } from '../../../../src/progress/events.ts';
import { makeImage, writeDockerArchive } from '../../../support/image-archives.ts';
import {
  addImage,
  addIndex,
  type BuiltDescriptor,
  LayoutBuilder,
  TYPES,
} from '../../../support/layout-builder.ts';
import { tarOf } from '../../../support/tar-writer.ts';
import { useTempFolder } from '../../../support/temp-folder.ts';
import { failure, useArchives } from '../../archive/support.ts';

const folder = useTempFolder();
const open = useArchives();
const context = { signal: new AbortController().signal, progress: silentProgress };

/** Checks the root of the layout as a repository's content: what is absent is a fault. */
async function check(deep: boolean, change: (content: Content) => Partial<Content> = () => ({})) {
  const archive = await open(folder('layout'));
  const { content } = archive.images[0] as Archive['images'][number];
  if (content.kind !== 'oci') throw new Error('not OCI');
  const plain: Content = { ...archiveContent(archive), complete: true };
  return checkManifest(
    await readManifest(archive, content.root),
    { ...plain, ...change(plain) },
    deep,
    context,
  );
}

function sample() {
  const layout = new LayoutBuilder();
  const shared = layout.add('shared layer', TYPES.layerGzip);
  const amd64 = addImage(layout, { layers: [shared, layout.add('amd64 layer', TYPES.layerGzip)] });
  const own = layout.add('arm64 layer', TYPES.layerGzip);
  const arm64 = addImage(layout, { platform: { os: 'linux', architecture: 'arm64' }, layers: [shared, own] });
  return { layout, shared, own, amd64, arm64, root: addIndex(layout, [amd64, arm64]) };
}

describe('what is whole', () => {
  test('is counted, each blob once', async () => {
    const { layout, root } = sample();
    await layout.write(folder('layout'), [root]);
    expect(await check(false)).toEqual({ deep: false, manifests: 3, blobs: 5, readBytes: 0, problems: [] });
  });

  test('is read to the last byte by a deep check', async () => {
    const { layout, root, shared, own, amd64, arm64 } = sample();
    await layout.write(folder('layout'), [root]);
    const sizes = [shared, own, amd64.config, arm64.config, { size: 'amd64 layer'.length }];
    expect(await check(true)).toMatchObject({
      deep: true,
      readBytes: sizes.reduce((sum, { size }) => sum + size, 0),
      problems: [],
    });
  });

  test('foreign layers are nobody’s to hold', async () => {
    const layout = new LayoutBuilder();
    const foreign = { mediaType: TYPES.layerForeign, digest: `sha256:${'0'.repeat(64)}`, size: 9 };
    await layout.write(folder('layout'), [addImage(layout, { layers: [foreign] })]);
    expect(await check(true)).toMatchObject({ blobs: 1, problems: [] });
  });
});

describe('problems', () => {
  test('a missing blob is named with its place, once', async () => {
    const { layout, root, own, shared } = sample();
    await layout.write(folder('layout'), [root], [own.digest, shared.digest]);
    const { problems } = await check(false);
    expect(problems).toHaveLength(2);
    expect(problems).toContainEqual({
      digest: own.digest,
      what: 'layer 2 of linux/arm64',
      problem: 'missing',
      message: 'layer 2 of linux/arm64 is missing',
    });
  });

  test('a missing manifest, and the rest is looked at all the same', async () => {
    const { layout, root, arm64, amd64 } = sample();
    await layout.write(folder('layout'), [root], [arm64.digest, amd64.config.digest]);
    const { problems, manifests } = await check(true);
    expect(manifests).toBe(2);
    expect(problems.map(({ what, problem }) => `${what}: ${problem}`).sort()).toEqual([
      'configuration of linux/amd64: missing',
      'manifest for linux/arm64: missing',
    ]);
  });

  test('a blob of another size', async () => {
    const { layout, root, own } = sample();
    layout.corrupt(own.digest, Buffer.from('short'));
    await layout.write(folder('layout'), [root]);
    expect((await check(false)).problems).toEqual([
      {
        digest: own.digest,
        what: 'layer 2 of linux/arm64',
        problem: 'wrong-size',
        message: 'layer 2 of linux/arm64 has 5 bytes, its descriptor says 11',
      },
    ]);
  });

  test('a blob with other bytes is found by a deep check alone', async () => {
    const { layout, root, own } = sample();
    layout.corrupt(own.digest, Buffer.alloc(own.size, 'x'));
    await layout.write(folder('layout'), [root]);
    expect((await check(false)).problems).toEqual([]);
    expect((await check(true)).problems).toMatchObject([
      { digest: own.digest, what: 'layer 2 of linux/arm64', problem: 'corrupt' },
    ]);
  });

  test('a descriptor that lies about a manifest’s size', async () => {
    const { layout, amd64, arm64 } = sample();
    const root = addIndex(layout, [amd64, { ...arm64, size: arm64.size + 1 }]);
    await layout.write(folder('layout'), [root]);
    const lax = (content: Content): Partial<Content> => ({
      manifest: (descriptor, signal) =>
        content.manifest({ ...descriptor, size: layout.bytesOf(descriptor.digest).length }, signal),
    });
    expect((await check(false, lax)).problems).toMatchObject([
      { digest: arm64.digest, problem: 'wrong-size' },
    ]);
    // An archive refuses to read it at all: that is a problem too.
    expect((await check(false)).problems).toMatchObject([{ digest: arm64.digest, problem: 'wrong-size' }]);
  });

  test('a side that does not tell sizes is believed until it is read', async () => {
    const { layout, root } = sample();
    await layout.write(folder('layout'), [root]);
    const silent = (): Partial<Content> => ({ presence: async () => ({ size: 'unknown' }) });
    expect(await check(true, silent)).toMatchObject({ problems: [] });
  });

  test('a server that fails on one blob is a problem, one that refuses us ends the check', async () => {
    const { layout, root, own } = sample();
    await layout.write(folder('layout'), [root]);
    const failing =
      (code: 'SERVER_ERROR' | 'PERMISSION_DENIED') =>
      (content: Content): Partial<Content> => ({
        open: (blob, signal) =>
          blob.digest === own.digest
            ? Promise.reject(new RegopsError(code, 'it said no'))
            : content.open(blob, signal),
      });
    expect((await check(true, failing('SERVER_ERROR'))).problems).toMatchObject([
      { digest: own.digest, problem: 'unreadable', message: 'layer 2 of linux/arm64: it said no' },
    ]);
    await expect(check(true, failing('PERMISSION_DENIED'))).rejects.toEqual(failure('PERMISSION_DENIED'));
  });

  test('what lies too deep to be looked at is no silent success', async () => {
    const nest = (layout: LayoutBuilder, image: BuiltDescriptor, depth: number): BuiltDescriptor =>
      depth === 0 ? image : addIndex(layout, [nest(layout, image, depth - 1)]);
    const layout = new LayoutBuilder();
    const lost = layout.add('lost', TYPES.layerGzip);
    const image = addImage(layout, { layers: [lost] });
    await layout.write(folder('layout'), [nest(layout, image, 4)], [lost.digest]);
    expect((await check(false)).problems).toMatchObject([{ digest: lost.digest, problem: 'missing' }]);
    await layout.write(folder('layout'), [nest(layout, image, 5)], [lost.digest]);
    expect((await check(false)).problems).toMatchObject([
      { problem: 'unreadable', message: expect.stringContaining('nested deeper than 4') },
    ]);
  });

  test('an abort ends it', async () => {
    const { layout, root } = sample();
    await layout.write(folder('layout'), [root]);
    const archive = await open(folder('layout'));
    const stopped = AbortSignal.abort(new RegopsError('INTERRUPTED', 'interrupted'));
    const { content } = archive.images[0] as Archive['images'][number];
    if (content.kind !== 'oci') throw new Error('not OCI');
    const manifest = await readManifest(archive, content.root);
    await expect(
      checkManifest(manifest, archiveContent(archive), true, { ...context, signal: stopped }),
    ).rejects.toEqual(failure('INTERRUPTED'));
  });
});

describe('a sparse archive', () => {
  test('is not at fault for what it lawfully lacks, but for holes in what it holds', async () => {
    const { layout, root, arm64, amd64 } = sample();
    await layout.write(folder('layout'), [root], [arm64.digest]);
    const lawful = (): Partial<Content> => ({ complete: false });
    expect(await check(true, lawful)).toMatchObject({ manifests: 2, problems: [] });
    await layout.write(folder('holed'), [root], [arm64.digest, amd64.config.digest]);
    const archive = await open(folder('holed'));
    const { content } = archive.images[0] as Archive['images'][number];
    if (content.kind !== 'oci') throw new Error('not OCI');
    const checked = await checkManifest(
      await readManifest(archive, content.root),
      archiveContent(archive),
      false,
      context,
    );
    expect(checked.problems).toMatchObject([{ digest: amd64.config.digest, problem: 'missing' }]);
  });
});

describe('a docker-archive', () => {
  async function contentOf(path: string) {
    const archive = await open(path);
    const { content } = archive.images[0] as Archive['images'][number];
    if (content.kind !== 'docker') throw new Error('not docker');
    return content;
  }

  test.each(['none', 'gzip', 'zstd'] as const)(
    'with %s layers is unpacked and compared',
    async (compression) => {
      const image = await makeImage({ seed: 'check', names: ['app:1'] });
      await writeDockerArchive(folder('a.tar'), [image], { compression });
      const content = await contentOf(folder('a.tar'));
      const stored = await Promise.all(image.layers.map((layer) => layer.packed(compression)));
      expect(await checkDockerContent(content, false, context)).toEqual({
        deep: false,
        manifests: 0,
        blobs: 3,
        readBytes: 0,
        problems: [],
      });
      expect(await checkDockerContent(content, true, context)).toEqual({
        deep: true,
        manifests: 0,
        blobs: 3,
        readBytes: stored.reduce((sum, layer) => sum + layer.size, 0),
        problems: [],
      });
    },
  );

  test('a layer with other bytes is found', async () => {
    const diffId = `sha256:${'a'.repeat(64)}`;
    const config = JSON.stringify({
      ...{ os: 'linux', architecture: 'amd64' },
      rootfs: { type: 'layers', diff_ids: [diffId] },
    });
    const manifest = JSON.stringify([{ Config: 'c.json', RepoTags: ['app:1'], Layers: ['l/layer.tar'] }]);
    await writeFile(
      folder('a.tar'),
      tarOf([
        { name: 'c.json', content: config },
        { name: 'l/layer.tar', content: 'other bytes' },
        { name: 'manifest.json', content: manifest },
      ]),
    );
    const content = await contentOf(folder('a.tar'));
    expect((await checkDockerContent(content, false, context)).problems).toEqual([]);
    expect((await checkDockerContent(content, true, context)).problems).toMatchObject([
      { digest: diffId, what: 'layer 1', problem: 'corrupt' },
    ]);
  });
});

test('several checks make one', () => {
  const problem = { digest: 'd', what: 'layer 1', problem: 'missing', message: 'm' } as const;
  expect(
    mergeChecks([
      { deep: false, manifests: 1, blobs: 2, readBytes: 3, problems: [problem] },
      { deep: true, manifests: 10, blobs: 20, readBytes: 30, problems: [] },
    ]),
  ).toEqual({ deep: true, manifests: 11, blobs: 22, readBytes: 33, problems: [problem] });
});

test('what was noticed beside a check is added, unless the check has found it itself', () => {
  const found = { digest: 'a', what: 'layer 1', problem: 'missing', message: 'm' } as const;
  const noticed = { digest: 'b', what: 'configuration', problem: 'corrupt', message: 'm' } as const;
  const check = { deep: false, manifests: 1, blobs: 2, readBytes: 0, problems: [found] };
  expect(withProblems(check, [{ ...found, what: 'manifest' }, noticed]).problems).toEqual([found, noticed]);
});
