import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Archive,
  type ArchiveImage,
  type DockerContent,
  type OciContent,
  openArchive,
  readBlob,
  readManifest,
  readSource,
} from '../../../src/archive/index.ts';
import { type Digest, digestOf, LIMITS, referencedDescriptors } from '../../../src/oci/index.ts';
import {
  blobPath,
  type Compression,
  type DockerOptions,
  type LayoutOptions,
  makeImage,
  makeIndex,
  makeLayer,
  type TarOptions,
  type TestImage,
  type TestIndex,
  treeOf,
  writeDockerArchive,
  writeOciArchive,
  writeOciLayout,
} from '../../support/image-archives.ts';
import { tarOf } from '../../support/tar-writer.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { bytesOf, failure, sha256, useArchives } from './support.ts';

const temp = useTempFolder();
const open = useArchives();

let app: TestImage;
let web: TestImage;
let arm: TestImage;
let multi: TestIndex;

beforeAll(async () => {
  const shared = await makeLayer('shared', { size: 50_000 });
  app = await makeImage({ seed: 'app', names: ['team/app:1'], layers: [shared, { size: 9000 }] });
  web = await makeImage({ seed: 'web', names: ['localhost:5000/web:2'], layers: [shared, { size: 700 }] });
  arm = await makeImage({ seed: 'arm', platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } });
  multi = makeIndex({ names: ['team/multi:1'], images: [app, makeIndex({ images: [arm] })] });
});

function dockerContent(image: ArchiveImage | undefined): DockerContent {
  expect(image?.content.kind).toBe('docker');
  return image?.content as DockerContent;
}

function ociContent(image: ArchiveImage | undefined): OciContent {
  expect(image?.content.kind).toBe('oci');
  return image?.content as OciContent;
}

/** Every byte of a docker-archive's image is the generator's, whatever packing it is stored in. */
async function expectDockerImage(
  found: ArchiveImage | undefined,
  made: TestImage,
  stored: Compression = 'none',
) {
  const { config, layers } = dockerContent(found);
  expect(found?.names).toEqual(made.names);
  expect(await bytesOf(config.open())).toEqual(made.config);
  expect(config).toMatchObject({ digest: sha256(made.config), size: made.config.length });
  expect(layers.map((layer) => layer.diffId)).toEqual(made.layers.map((layer) => layer.digest));
  const unpack = { none: (bytes: Buffer) => bytes, gzip: gunzipSync, zstd: zstdDecompressSync }[stored];
  for (const layer of layers) {
    const bytes = await bytesOf(layer.open());
    expect(layer).toMatchObject({ compression: stored, size: bytes.length });
    expect(sha256(unpack(bytes))).toBe(layer.diffId);
  }
}

/** Everything under the root is in the archive, byte by byte. */
async function expectTree(
  archive: Archive,
  found: ArchiveImage | undefined,
  made: TestImage | TestIndex,
  compression: Compression = 'gzip',
): Promise<void> {
  const tree = await treeOf(made, compression);
  expect(ociContent(found).root).toMatchObject(tree.root);
  for (const { digest, size } of tree.blobs.values()) {
    const blob = archive.blob(digest as Digest);
    expect(blob).toMatchObject({ digest, size });
    expect(sha256(await bytesOf(blob?.open() as Readable))).toBe(digest);
  }
}

describe('docker-archive, old layout', () => {
  it('gives every image with its names, configuration and layers', async () => {
    await writeDockerArchive(temp('a.tar'), [app, web]);
    const archive = await open(temp('a.tar'));
    expect(archive).toMatchObject({
      format: 'docker-archive',
      outerCompression: 'none',
      path: temp('a.tar'),
    });
    expect(archive.images.map((image) => image.index)).toEqual([0, 1]);
    await expectDockerImage(archive.images[0], app);
    await expectDockerImage(archive.images[1], web);
    expect(archive.blob(sha256(app.config) as Digest)).toBeUndefined();
  });

  it.each(['copy', 'symlink', 'hardlink'] as const)(
    'reads a layer stored for two images as %s',
    async (sharedLayers) => {
      await writeDockerArchive(temp('a.tar'), [app, web], { sharedLayers });
      const archive = await open(temp('a.tar'));
      await expectDockerImage(archive.images[1], web);
      const [first, second] = archive.images.map((image) => dockerContent(image).layers[0]);
      expect(first?.identity === second?.identity).toBe(sharedLayers !== 'copy');
    },
  );

  it.each(['gzip', 'zstd'] as const)(
    'sees that layers are packed with %s by their bytes',
    async (compression) => {
      await writeDockerArchive(temp('a.tar'), [app], { compression });
      await expectDockerImage((await open(temp('a.tar'))).images[0], app, compression);
    },
  );

  it.each([
    ['./ before every name', { prefix: './' }],
    ['PAX long names', { longNames: true }],
    ['GNU long names', { longNames: true, dialect: 'gnu' }],
    ['long names of hard links', { longNames: true, sharedLayers: 'hardlink', prefix: './' }],
    ['long names of GNU hard links', { longNames: true, sharedLayers: 'hardlink', dialect: 'gnu' }],
    ['GNU headers', { dialect: 'gnu' }],
    ['no blocks of zeros at the end', { end: false }],
    ['gzip outside', { outer: 'gzip' }],
    ['zstd outside', { outer: 'zstd' }],
  ] as const)('reads %s', async (_, options: DockerOptions) => {
    await writeDockerArchive(temp('a.tar'), [app, web], options);
    const archive = await open(temp('a.tar'));
    await expectDockerImage(archive.images[0], app);
    await expectDockerImage(archive.images[1], web);
    expect(archive.outerCompression).toBe(options.outer ?? 'none');
  });

  it('takes no tags for no names', async () => {
    await writeDockerArchive(temp('a.tar'), [await makeImage({ seed: 'nameless' })]);
    expect((await open(temp('a.tar'))).images[0]?.names).toEqual([]);
  });

  it('reads an image without layers', async () => {
    await writeDockerArchive(temp('a.tar'), [await makeImage({ seed: 'empty', layers: [] })]);
    expect(dockerContent((await open(temp('a.tar'))).images[0]).layers).toEqual([]);
  });

  it('leaves nothing in the folder for temporary files', async () => {
    await mkdir(temp('spool'));
    await writeDockerArchive(temp('a.tar.gz'), [app], { outer: 'gzip' });
    const archive = await open(temp('a.tar.gz'), { tempDir: temp('spool') });
    expect(await readdir(temp('spool'))).toEqual([]);
    await expectDockerImage(archive.images[0], app);
  });
});

describe('docker-archive since Docker 25', () => {
  it('keeps the digests of the index and the tags of manifest.json', async () => {
    await writeDockerArchive(temp('a.tar'), [app, web], { layout: 'docker25' });
    const archive = await open(temp('a.tar'));
    expect(archive.format).toBe('docker-archive');
    expect(archive.images.map((image) => image.names)).toEqual([['team/app:1'], ['localhost:5000/web:2']]);
    await expectTree(archive, archive.images[0], app, 'none');
    await expectTree(archive, archive.images[1], web, 'none');
  });

  it('joins all names of one digest', async () => {
    const image = await makeImage({ seed: 'many', names: ['app:1', 'app:latest', 'quay.io/team/app:1'] });
    await writeDockerArchive(temp('a.tar'), [image], { layout: 'docker25' });
    const { images } = await open(temp('a.tar'));
    expect(images.map(({ names }) => names)).toEqual([['app:1', 'app:latest', 'quay.io/team/app:1']]);
  });

  it('gives a tag to one image, though another has the same configuration', async () => {
    const one = await makeImage({ seed: 'twin', names: ['twin:1'] });
    const two = await makeImage({ seed: 'twin', names: ['twin:2'], family: 'docker' });
    for (const naming of ['containerd', 'full'] as const) {
      await writeDockerArchive(temp('a.tar'), [one, two], { layout: 'docker25', naming });
      expect((await open(temp('a.tar'))).images.map(({ names }) => names)).toEqual([['twin:1'], ['twin:2']]);
    }
  });

  it('finds the tags of an index by the image in it, and does not mind absent platforms', async () => {
    const { blobs } = await treeOf(arm, 'gzip');
    await writeDockerArchive(temp('a.tar'), [multi], {
      layout: 'docker25',
      compression: 'gzip',
      naming: 'tag',
      omit: [...blobs.keys()],
    });
    const archive = await open(temp('a.tar'));
    expect(archive.images).toHaveLength(1);
    expect(archive.images[0]?.names).toEqual(['team/multi:1']);
    const index = await readManifest(archive, ociContent(archive.images[0]).root);
    const present = referencedDescriptors(index).map(({ digest }) => archive.blob(digest) !== undefined);
    expect(present).toEqual([true, true]);
    const inner = await readManifest(archive, referencedDescriptors(index)[1] as OciContent['root']);
    const absent = referencedDescriptors(inner)[0] as OciContent['root'];
    expect(archive.blob(absent.digest)).toBeUndefined();
    await expect(readManifest(archive, absent)).rejects.toThrow(failure('BLOB_NOT_FOUND', absent.digest));
  });

  it('falls back to manifest.json when the index is empty', async () => {
    await writeDockerArchive(temp('classic.tar'), [app]);
    const end = 1024;
    const classic = (await readFile(temp('classic.tar'))).subarray(0, -end);
    const layout = tarOf([
      { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests: [] }) },
      { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    ]);
    await writeFile(temp('a.tar'), Buffer.concat([classic, layout]));
    await expectDockerImage((await open(temp('a.tar'))).images[0], app);
  });

  it('says when manifest.json names an image that the index lacks', async () => {
    const warnings: string[] = [];
    const log = { warn: (message: string) => warnings.push(message), info() {}, trace() {} };
    await writeDockerArchive(temp('docker25.tar'), [app], { layout: 'docker25' });
    const entry = { Config: `blobs/sha256/${'0'.repeat(64)}`, RepoTags: ['gone:1'], Layers: null };
    const tar = (await readFile(temp('docker25.tar'))).subarray(0, -1024);
    const manifest = tarOf([{ name: 'manifest.json', content: JSON.stringify([entry]) }]);
    await writeFile(temp('a.tar'), Buffer.concat([tar, manifest]));
    const { images } = await open(temp('a.tar'), { log });
    expect(images.map(({ names }) => names)).toEqual([['docker.io/team/app:1']]);
    expect(warnings).toEqual([expect.stringContaining('gone:1')]);
  });
});

describe('oci-archive', () => {
  it.each([
    ['plain', {}],
    ['./ before every name', { prefix: './' }],
    ['gzip outside', { outer: 'gzip' }],
    ['zstd outside', { outer: 'zstd' }],
    ['zstd layers', { compression: 'zstd' }],
    ['plain layers', { compression: 'none' }],
    ['no blocks of zeros at the end', { end: false }],
  ] as const)('reads %s', async (_, options: TarOptions & LayoutOptions) => {
    await writeOciArchive(temp('a.tar'), [app, multi], options);
    const archive = await open(temp('a.tar'));
    expect(archive).toMatchObject({ format: 'oci-archive', outerCompression: options.outer ?? 'none' });
    expect(archive.images.map((image) => image.names)).toEqual([['team/app:1'], ['team/multi:1']]);
    await expectTree(archive, archive.images[0], app, options.compression);
    await expectTree(archive, archive.images[1], multi, options.compression);
  });

  it('reads docker manifests and lists', async () => {
    const image = await makeImage({ seed: 'docker', family: 'docker' });
    const list = makeIndex({ images: [image], family: 'docker' });
    await writeOciArchive(temp('a.tar'), [image, list]);
    const archive = await open(temp('a.tar'));
    await expectTree(archive, archive.images[0], image);
    await expectTree(archive, archive.images[1], list);
  });

  it('keeps a bare tag as a name, and leaves it out beside the full name that has it', async () => {
    const image = await makeImage({ seed: 'tagged', names: ['team/tagged:1', 'team/tagged:2'] });
    await writeOciArchive(temp('tag.tar'), [image], { naming: 'tag' });
    expect((await open(temp('tag.tar'))).images[0]?.names).toEqual(['1', '2']);
    await writeOciArchive(temp('both.tar'), [image], { naming: 'containerd' });
    const full = ['docker.io/team/tagged:1', 'docker.io/team/tagged:2'];
    expect((await open(temp('both.tar'))).images[0]?.names).toEqual(full);
  });

  it('takes attestations for children like any others', async () => {
    const attested = makeIndex({ names: ['team/app:1'], images: [app, arm], attestations: true });
    await writeOciArchive(temp('a.tar'), [attested]);
    const archive = await open(temp('a.tar'));
    expect(archive.images).toHaveLength(1);
    await expectTree(archive, archive.images[0], attested);
    const index = await readManifest(archive, ociContent(archive.images[0]).root);
    const platforms = referencedDescriptors(index).map(({ platform }) => platform?.os);
    expect(platforms).toEqual(['linux', 'linux', 'unknown', 'unknown']);
  });

  it('opens although all blobs are absent', async () => {
    const { root, blobs } = await treeOf(app);
    await writeOciArchive(temp('a.tar'), [app], { omit: [...blobs.keys()] });
    const archive = await open(temp('a.tar'));
    expect(archive.images[0]?.content).toMatchObject({ root });
    expect(archive.blob(root.digest as Digest)).toBeUndefined();
  });

  it('passes over entries that are no images', async () => {
    const warnings: string[] = [];
    const log = { warn: (message: string) => warnings.push(message), info() {}, trace() {} };
    const { root } = await treeOf(app);
    const manifests = [{ ...root, mediaType: 'application/vnd.example.thing' }, root];
    const tar = tarOf([
      { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
      { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests }) },
    ]);
    await writeFile(temp('a.tar'), tar);
    const { images } = await open(temp('a.tar'), { log });
    expect(images).toHaveLength(1);
    expect(warnings).toEqual([expect.stringContaining('application/vnd.example.thing')]);
  });
});

describe('OCI layout folder', () => {
  it('gives every image with its blobs', async () => {
    await writeOciLayout(temp('layout'), [app, multi]);
    const archive = await open(temp('layout'));
    expect(archive).toMatchObject({ format: 'oci-layout', outerCompression: 'none' });
    await expectTree(archive, archive.images[0], app);
    await expectTree(archive, archive.images[1], multi);
  });

  it('follows a symlink to the folder and inside the folder', async () => {
    await writeOciLayout(temp('layout'), [app]);
    const { root } = await treeOf(app);
    await rename(temp('layout', blobPath(root.digest)), temp('layout', 'elsewhere'));
    await symlink('../../elsewhere', temp('layout', blobPath(root.digest)));
    await symlink('layout', temp('link'));
    const archive = await open(temp('link'));
    await expectTree(archive, archive.images[0], app);
  });

  it('refuses a blob that is a symlink out of the folder', async () => {
    await writeOciLayout(temp('layout'), [app]);
    const { root } = await treeOf(app);
    await rename(temp('layout', blobPath(root.digest)), temp('secret'));
    await symlink(temp('secret'), temp('layout', blobPath(root.digest)));
    const archive = await open(temp('layout'));
    expect(() => archive.blob(root.digest as Digest)).toThrow(
      failure('ARCHIVE_INVALID', 'out of the folder'),
    );
  });

  it('refuses a symlinked blobs folder, index and circle', async () => {
    const { root } = await treeOf(app);
    await writeOciLayout(temp('blobs-out'), [app]);
    await rename(temp('blobs-out', 'blobs'), temp('outside'));
    await symlink(temp('outside'), temp('blobs-out', 'blobs'));
    const archive = await open(temp('blobs-out'));
    expect(() => archive.blob(root.digest as Digest)).toThrow(
      failure('ARCHIVE_INVALID', 'out of the folder'),
    );

    await writeOciLayout(temp('index-out'), [app]);
    await rename(temp('index-out', 'index.json'), temp('index.json'));
    await symlink('../index.json', temp('index-out', 'index.json'));
    await expect(openArchive(temp('index-out'))).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'out of the folder'),
    );

    await writeOciLayout(temp('circle'), [app]);
    await rm(temp('circle', 'index.json'));
    await symlink('index.json', temp('circle', 'index.json'));
    await expect(openArchive(temp('circle'))).rejects.toThrow(failure('ARCHIVE_INVALID', 'circle'));
  });

  it('takes a folder in place of a blob for no blob', async () => {
    await writeOciLayout(temp('layout'), [app]);
    const { root } = await treeOf(app);
    await rm(temp('layout', blobPath(root.digest)));
    await mkdir(temp('layout', blobPath(root.digest)));
    expect((await open(temp('layout'))).blob(root.digest as Digest)).toBeUndefined();
  });

  it('refuses other folders and says what would do', async () => {
    await mkdir(temp('other'));
    await writeFile(temp('other', 'manifest.json'), '[]');
    await expect(openArchive(temp('other'))).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'oci-layout', "'manifest.json'", 'tar -C'),
    );
  });
});

describe('what has to be spooled', () => {
  it('reads standard input, plain and packed', async () => {
    for (const outer of ['none', 'gzip', 'zstd'] as const) {
      await writeDockerArchive(temp('a.tar'), [app], { outer });
      const archive = await open('-', { stdin: createReadStream(temp('a.tar')), tempDir: temp() });
      expect(archive).toMatchObject({ path: '-', outerCompression: outer });
      await expectDockerImage(archive.images[0], app);
      expect(dockerContent(archive.images[0]).layers[0]).not.toHaveProperty('identity');
      expect(await readdir(temp())).toEqual(['a.tar']);
    }
  });

  it('does not wait for somebody to type an archive', async () => {
    const stdin = Object.assign(new PassThrough(), { isTTY: true });
    await expect(openArchive('-', { stdin })).rejects.toThrow(
      failure('USAGE', 'standard input is a terminal', 'docker save'),
    );
  });

  it('reads input that comes byte by byte', async () => {
    await writeOciArchive(temp('a.tar'), [await makeImage({ seed: 'tiny', layers: [] })]);
    const bytes = await readFile(temp('a.tar'));
    const stdin = Readable.from(Array.from(bytes, (byte) => Buffer.of(byte)));
    expect((await open('-', { stdin })).images).toHaveLength(1);
  });

  it('reads a named pipe', async () => {
    await promisify(execFile)('mkfifo', [temp('pipe')]);
    await writeDockerArchive(temp('a.tar'), [app]);
    createReadStream(temp('a.tar')).pipe(createWriteStream(temp('pipe')));
    await expectDockerImage((await open(temp('pipe'))).images[0], app);
  });

  it('tells how far it is, in bytes of the source', async () => {
    await writeDockerArchive(temp('a.tar.gz'), [app], { outer: 'gzip' });
    let read = 0;
    await open(temp('a.tar.gz'), { onSpool: (bytes) => (read += bytes) });
    expect(read).toBe((await readFile(temp('a.tar.gz'))).length);
  });

  it('needs a standard input for -', async () => {
    await expect(openArchive('-')).rejects.toThrow(failure('USAGE', 'standard input'));
  });

  it('says when the input is empty', async () => {
    await expect(openArchive('-', { stdin: Readable.from([]) })).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'empty'),
    );
  });

  it('refuses what is no tar after its first block, and reads no further', async () => {
    let given = 0;
    const film = Readable.from(
      (function* () {
        for (;;) {
          given++;
          yield Buffer.alloc(64 * 1024, 'film');
        }
      })(),
    );
    await expect(openArchive('-', { stdin: film })).rejects.toThrow(failure('ARCHIVE_INVALID', 'not a tar'));
    expect(given).toBeLessThan(100);
    expect(film.destroyed).toBe(true);
  });

  it('says where it cannot write', async () => {
    const options = { stdin: Readable.from([tarOf([])]), tempDir: temp('no-such-folder') };
    await expect(openArchive('-', options)).rejects.toThrow(
      failure('IO_FAILED', temp('no-such-folder'), 'TMPDIR'),
    );
  });

  it('says when there is no room for the temporary file', async () => {
    await writeDockerArchive(temp('a.tar.gz'), [app], { outer: 'gzip' });
    const door = new URL('../../../src/archive/index.ts', import.meta.url).href;
    const script = `
      const { openArchive } = await import(${JSON.stringify(door)});
      await openArchive(process.argv[1]).catch(({ code, message }) => console.log(code, message));`;
    // A limit on the size of files fails a write as a full disk does.
    const limited = [
      '-c',
      'ulimit -f 8; exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ];
    const { stdout } = await promisify(execFile)('sh', [...limited, temp('a.tar.gz')], {
      env: { ...process.env, TMPDIR: temp() },
    });
    expect(stdout).toBe(`IO_FAILED no space left in ${temp()} for the decompressed archive\n`);
    expect(await readdir(temp())).toEqual(['a.tar.gz']);
  });

  it('refuses a member that claims more than there is room for, before it has come', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      yield tarOf([{ name: 'x', size: 2 ** 50 }], { end: false });
      for (;;) {
        given++;
        yield Buffer.alloc(64 * 1024);
      }
    }
    const options = { stdin: Readable.from(endless()), tempDir: temp() };
    await expect(openArchive('-', options)).rejects.toThrow(
      failure('IO_FAILED', `'x'`, `${2 ** 50} bytes`, temp(), 'TMPDIR'),
    );
    expect(given).toBeLessThan(10);
  });

  it('stops waiting for a silent input when interrupted', async () => {
    const silent = new PassThrough();
    const stop = new AbortController();
    const opening = openArchive('-', { stdin: silent, signal: stop.signal, tempDir: temp() });
    setTimeout(() => stop.abort(), 20);
    await expect(opening).rejects.toThrow(failure('INTERRUPTED'));
    expect(silent.destroyed).toBe(true);
    expect(await readdir(temp())).toEqual([]);
  });

  it('stops in the middle of writing when interrupted', async () => {
    const stop = new AbortController();
    async function* endless(): AsyncGenerator<Buffer> {
      yield tarOf([{ name: 'x', size: 1e7 }], { end: false });
      for (let at = 0; ; at++) {
        if (at === 20) stop.abort();
        yield Buffer.alloc(1024);
      }
    }
    const stdin = Readable.from(endless());
    await expect(openArchive('-', { stdin, signal: stop.signal })).rejects.toThrow(failure('INTERRUPTED'));
  });

  it('does not begin when already interrupted', async () => {
    await expect(openArchive(temp('a.tar'), { signal: AbortSignal.abort() })).rejects.toThrow(
      failure('INTERRUPTED'),
    );
  });
});

describe('what is no archive', () => {
  it('says that a file is missing', async () => {
    await expect(openArchive(temp('none.tar'))).rejects.toThrow(failure('FILE_NOT_FOUND', temp('none.tar')));
    await writeFile(temp('file'), '');
    await expect(openArchive(temp('file', 'none.tar'))).rejects.toThrow(failure('FILE_NOT_FOUND'));
  });

  it('says that a file is empty, no tar, or a tar of nothing', async () => {
    await writeFile(temp('empty'), '');
    await expect(openArchive(temp('empty'))).rejects.toThrow(failure('ARCHIVE_INVALID', 'empty'));
    await writeFile(temp('short'), 'hello');
    await expect(openArchive(temp('short'))).rejects.toThrow(failure('ARCHIVE_INVALID', 'not a tar archive'));
    await writeFile(temp('text'), 'hello '.repeat(200));
    await expect(openArchive(temp('text'))).rejects.toThrow(failure('ARCHIVE_INVALID', 'not a tar archive'));
    await writeFile(temp('nothing.tar'), tarOf([]));
    await expect(openArchive(temp('nothing.tar'))).rejects.toThrow(failure('ARCHIVE_INVALID', 'it is empty'));
  });

  it('says what a tar of something else begins with', async () => {
    await writeFile(temp('a.tar'), tarOf([{ name: 'README.md', content: 'hi' }, { name: '/manifest.json' }]));
    await expect(openArchive(temp('a.tar'))).rejects.toThrow(
      failure('ARCHIVE_INVALID', "'README.md', '/manifest.json'", 'neither manifest.json nor oci-layout'),
    );
  });

  it('knows a file system of docker export, and an image one folder too deep', async () => {
    await writeFile(
      temp('export.tar'),
      tarOf(['etc/', 'usr/', 'usr/bin/'].map((name) => ({ name, type: '5' }))),
    );
    await expect(openArchive(temp('export.tar'))).rejects.toThrow(
      failure('ARCHIVE_INVALID', 'docker export'),
    );
    await writeFile(temp('tiny.tar'), tarOf([{ name: '.dockerenv' }]));
    await expect(openArchive(temp('tiny.tar'))).rejects.toThrow(failure('ARCHIVE_INVALID', 'docker export'));
    await writeDockerArchive(temp('deep.tar'), [app], { prefix: 'my-image/' });
    await expect(openArchive(temp('deep.tar'))).rejects.toThrow(
      failure('ARCHIVE_INVALID', "folder 'my-image'"),
    );
  });

  it('refuses packings it does not read with the way around', async () => {
    const magics = {
      xz: Buffer.from('fd377a585a000004', 'hex'),
      bzip2: Buffer.from('BZh91AY&SY'),
      lz4: Buffer.from('04224d18', 'hex'),
    };
    for (const [packing, magic] of Object.entries(magics)) {
      const bytes = Buffer.concat([magic, Buffer.alloc(1000)]);
      await writeFile(temp('a.tar'), bytes);
      const expected = failure('ARCHIVE_UNSUPPORTED', packing, `${packing} -dc FILE`);
      await expect(openArchive(temp('a.tar'))).rejects.toThrow(expected);
      await expect(openArchive('-', { stdin: Readable.from([bytes]) })).rejects.toThrow(expected);
    }
  });

  // Linux refuses to read the unmapped first page of a process.
  it.runIf(existsSync('/proc/self/mem'))('says when reading fails', async () => {
    await expect(openArchive('/proc/self/mem')).rejects.toThrow(failure('IO_FAILED', '/proc/self/mem'));
  });
});

describe('reading blobs', () => {
  it('verifies digest and size and keeps to the limit', async () => {
    await writeOciLayout(temp('layout'), [app]);
    const archive = await open(temp('layout'));
    const { root } = ociContent(archive.images[0]);
    const bytes = await readBlob(archive, root, LIMITS.manifestBytes);
    expect(sha256(bytes)).toBe(root.digest);
    expect(await readBlob(archive, root.digest, bytes.length)).toEqual(bytes);
    await expect(readBlob(archive, root.digest, bytes.length - 1)).rejects.toThrow(
      failure('MANIFEST_TOO_LARGE'),
    );
    const larger = { ...root, size: root.size + 1 };
    await expect(readBlob(archive, larger, LIMITS.manifestBytes)).rejects.toThrow(failure('SIZE_MISMATCH'));

    bytes[bytes.length - 2] = 0x20;
    await writeFile(temp('layout', blobPath(root.digest)), bytes);
    await expect(readBlob(archive, root, LIMITS.manifestBytes)).rejects.toThrow(failure('DIGEST_MISMATCH'));
    await expect(readManifest(archive, root)).rejects.toThrow(failure('DIGEST_MISMATCH'));
  });

  it('verifies a blob that is at hand in the same way', async () => {
    await writeDockerArchive(temp('a.tar'), [app]);
    const { config } = dockerContent((await open(temp('a.tar'))).images[0]);
    expect(await readSource(config, config.size, 'the config')).toEqual(app.config);
    await expect(readSource(config, config.size - 1, 'the config')).rejects.toThrow(
      failure('MANIFEST_TOO_LARGE', 'the config'),
    );
    await expect(readSource({ ...config, digest: digestOf('x') }, config.size, 'the config')).rejects.toThrow(
      failure('DIGEST_MISMATCH', 'the config', config.digest),
    );
  });

  it('gives the same bytes to many readers at once', async () => {
    await writeDockerArchive(temp('a.tar'), [app]);
    const [layer] = dockerContent((await open(temp('a.tar'))).images[0]).layers;
    const all = await Promise.all(Array.from({ length: 20 }, async () => bytesOf(layer?.open() as Readable)));
    expect(new Set(all.map(sha256))).toEqual(new Set([layer?.diffId]));
  });

  it('fails a stream when the file became shorter', async () => {
    await writeDockerArchive(temp('a.tar'), [app]);
    const archive = await open(temp('a.tar'));
    await writeFile(temp('a.tar'), '');
    const [layer] = dockerContent(archive.images[0]).layers;
    await expect(bytesOf(layer?.open() as Readable)).rejects.toThrow(failure('ARCHIVE_INVALID', 'shorter'));
  });

  it('fails a stream when the archive is closed, and lets go of the file', async () => {
    await writeDockerArchive(temp('a.tar'), [app]);
    const archive = await openArchive(temp('a.tar'));
    const stream = dockerContent(archive.images[0]).layers[0]?.open() as Readable;
    await archive.close();
    await expect(bytesOf(stream)).rejects.toThrow(failure('IO_FAILED', temp('a.tar')));
  });

  it.runIf(existsSync('/proc/self/fd'))('lets go of every file, however reading ends', async () => {
    const openFiles = async (): Promise<number> => (await readdir('/proc/self/fd')).length;
    await writeOciLayout(temp('layout'), [await makeImage({ seed: 'large', layers: [{ size: 2_000_000 }] })]);
    await writeDockerArchive(temp('a.tar.gz'), [app], { outer: 'gzip' });
    await writeFile(temp('bad.tar.gz'), gzipSync(tarOf([{ name: 'x' }])));
    await writeFile(temp('bad.tar'), tarOf([{ name: 'manifest.json', content: '{' }]));
    const before = await openFiles();

    const layout = await openArchive(temp('layout'));
    const manifest = await readManifest(layout, ociContent(layout.images[0]).root);
    const layer = layout.blob((referencedDescriptors(manifest)[1] as OciContent['root']).digest);
    const [whole, part, none] = [layer?.open(), layer?.open(), layer?.open()] as [
      Readable,
      Readable,
      Readable,
    ];
    await bytesOf(whole);
    for await (const _chunk of part) break;
    none.destroy();
    await layout.close();
    const spooled = await openArchive(temp('a.tar.gz'));
    const packed = dockerContent(spooled.images[0]).layers.map((stored) => stored.open());
    for await (const _chunk of packed[0] as Readable) break;
    await spooled.close();
    await expect(openArchive(temp('bad.tar.gz'))).rejects.toThrow(failure('ARCHIVE_INVALID'));
    await expect(openArchive(temp('bad.tar'))).rejects.toThrow(failure('ARCHIVE_INVALID'));
    await expect.poll(openFiles).toBeLessThanOrEqual(before);
  });
});
