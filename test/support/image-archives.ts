/**
 * Images made from a seed, and every kind of archive they can lie in. The same arguments always give the
 * same bytes, so a test may compare digests and a benchmark its runs. Nothing large is ever held: layers
 * are made while they are written, so an image may have gigabytes.
 *
 * ```ts
 * const app = await makeImage({ seed: 'app', names: ['team/app:1'], layers: [{ size: 64 * 1024 }] });
 * await writeDockerArchive('app.tar', [app]);                        // docker save, old layout
 * await writeDockerArchive('app25.tar', [app], { layout: 'docker25' });
 * await writeOciArchive('app-oci.tar', [app]);                       // skopeo, podman, buildx
 * await writeOciLayout('app-layout', [await makeIndex({ names: ['team/app:1'], images: [app, arm] })]);
 * ```
 *
 * Shares no code with src/: it bears witness against it.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough, Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip, createZstdCompress } from 'node:zlib';
import { TAR_END, type TarDialect, tarHeader, tarPadding } from './tar-writer.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

export interface LayerSpec {
  /** Bytes of file content. */
  readonly size: number;
  /** Files the content is spread over; default 3. */
  readonly files?: number;
  /** Share of the content that compresses (gzip 2:1, zstd better), the rest not at all; default 0.5. */
  readonly compressible?: number;
}

/** Bytes with their digest, as often as needed. */
export interface TestBlob {
  readonly digest: string;
  readonly size: number;
  open(): Readable;
}

/** A layer's plain tar; its digest is the diffID. */
export interface TestLayer extends TestBlob {
  /** The layer packed, with its digest. Made anew on every reading; gzip at level 1. */
  packed(compression: Compression): Promise<TestBlob>;
}

export interface TestImage {
  readonly kind: 'image';
  readonly names: readonly string[];
  readonly platform: TestPlatform;
  readonly config: Buffer;
  readonly layers: readonly TestLayer[];
  readonly family: Family;
}

export interface TestIndex {
  readonly kind: 'index';
  readonly names: readonly string[];
  readonly images: readonly (TestImage | TestIndex)[];
  readonly attestations: boolean;
  readonly family: Family;
}

export interface TestPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** Whose media types the manifests have. */
export type Family = 'oci' | 'docker';

export interface TestDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: TestPlatform;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An image as it is pushed: its root and everything under it, manifests included. */
export interface TestTree {
  readonly root: TestDescriptor;
  readonly blobs: ReadonlyMap<string, TestBlob>;
}

/** A layer from a seed: a tar with one folder and `files` files. */
export async function makeLayer(seed: string, spec: LayerSpec): Promise<TestLayer> {
  const open = (): Readable => Readable.from(layerTar(seed, spec), { objectMode: false });
  const plain = await measure(open);
  const known = new Map<Compression, Promise<TestBlob>>([['none', Promise.resolve(plain)]]);
  return {
    ...plain,
    packed(compression) {
      const packed = known.get(compression) ?? measure(() => compressed(open(), compression));
      known.set(compression, packed);
      return packed;
    },
  };
}

/**
 * An image from a seed. `layers` are made from it too, or given ready so that images share them.
 * The configuration has a history with an empty layer in it, as a Dockerfile's ENV leaves one.
 */
export async function makeImage(spec: {
  readonly seed: string;
  readonly layers?: readonly (LayerSpec | TestLayer)[];
  readonly names?: readonly string[];
  readonly platform?: TestPlatform;
  readonly labels?: Readonly<Record<string, string>>;
  readonly family?: Family;
}): Promise<TestImage> {
  const { seed, platform = { os: 'linux', architecture: 'amd64' } } = spec;
  const layers: TestLayer[] = [];
  for (const [at, layer] of (spec.layers ?? [{ size: 4096 }, { size: 2048 }]).entries()) {
    layers.push('digest' in layer ? layer : await makeLayer(`${seed}/layer-${at}`, layer));
  }
  const created = '2024-01-01T00:00:00Z';
  const config = {
    created,
    ...platform,
    config: { Env: ['PATH=/usr/bin:/bin'], Cmd: ['/bin/app'], Labels: { seed, ...spec.labels } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
    history: [
      { created, created_by: `ENV SEED=${seed}`, empty_layer: true },
      ...layers.map((_, at) => ({ created, created_by: `COPY files-${at} /files-${at}` })),
    ],
  };
  return {
    kind: 'image',
    names: spec.names ?? [],
    platform,
    config: Buffer.from(JSON.stringify(config)),
    layers,
    family: spec.family ?? 'oci',
  };
}

/** An index of images, or of indexes of images; with an attestation for each, as buildx adds them unasked. */
export function makeIndex(spec: {
  readonly images: readonly (TestImage | TestIndex)[];
  readonly names?: readonly string[];
  readonly attestations?: boolean;
  readonly family?: Family;
}): TestIndex {
  const { images, names = [], attestations = false, family = 'oci' } = spec;
  return { kind: 'index', images, names, attestations, family };
}

/** What an image or index is in a registry when its layers are packed so. */
export async function treeOf(
  image: TestImage | TestIndex,
  compression: Compression = 'gzip',
): Promise<TestTree> {
  return image.kind === 'image' ? imageTree(image, compression) : indexTree(image, compression);
}

export interface TarOptions {
  /** Put before every member's name: `./` is what `tar -C folder -c .` writes. */
  readonly prefix?: string;
  readonly dialect?: TarDialect;
  /** Packing of the whole file. */
  readonly outer?: Compression;
  /** False leaves out the blocks of zeros at the end. */
  readonly end?: boolean;
}

export interface LayoutOptions {
  /** Packing of the layers; default gzip. */
  readonly compression?: Compression;
  /** Digests of blobs that are left out: a sparse archive. */
  readonly omit?: readonly string[];
  /**
   * How names stand in index.json: as full names (skopeo, podman), as bare tags (buildx), or as docker ≥ 25
   * and containerd write both. Default `full`.
   */
  readonly naming?: 'full' | 'tag' | 'containerd';
}

export interface DockerOptions extends TarOptions, LayoutOptions {
  /** The layout before Docker 25 (`<id>/layer.tar`), or the one since (an OCI layout beside manifest.json). */
  readonly layout?: 'classic' | 'docker25';
  /** How a layer that another image has too is stored in the classic layout; default `symlink`, as docker does. */
  readonly sharedLayers?: 'copy' | 'symlink' | 'hardlink';
  /** Puts the layers of the classic layout so deep that their names need an extended header. */
  readonly longNames?: boolean;
}

/** A docker-archive, as `docker save` writes it. `compression` of the layers defaults to none, as there. */
export async function writeDockerArchive(
  path: string,
  images: readonly (TestImage | TestIndex)[],
  options: DockerOptions = {},
): Promise<void> {
  const sink = new TarSink(path, options);
  const { compression = 'none' } = options;
  if (options.layout === 'docker25') {
    await writeLayout(sink, images, { naming: 'containerd', ...options, compression });
    await sink.add('manifest.json', json(await modernManifest(images, compression)));
  } else {
    await writeClassic(sink, images as readonly TestImage[], { ...options, compression });
  }
  await sink.finish();
}

/** An oci-archive: a tar of an OCI layout. */
export async function writeOciArchive(
  path: string,
  images: readonly (TestImage | TestIndex)[],
  options: TarOptions & LayoutOptions = {},
): Promise<void> {
  const sink = new TarSink(path, options);
  await writeLayout(sink, images, options);
  await sink.finish();
}

/** An OCI layout folder. */
export async function writeOciLayout(
  folder: string,
  images: readonly (TestImage | TestIndex)[],
  options: LayoutOptions = {},
): Promise<void> {
  await writeLayout(new FolderSink(folder), images, options);
}

/** Reads bytes to their end for their digest and size. */
export async function measure(open: () => Readable): Promise<TestBlob> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of open()) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, size, open };
}

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';
const TYPES = {
  oci: {
    manifest: `${OCI}.manifest.v1+json`,
    index: `${OCI}.index.v1+json`,
    config: `${OCI}.config.v1+json`,
    layers: {
      none: `${OCI}.layer.v1.tar`,
      gzip: `${OCI}.layer.v1.tar+gzip`,
      zstd: `${OCI}.layer.v1.tar+zstd`,
    },
  },
  docker: {
    manifest: `${DOCKER}.distribution.manifest.v2+json`,
    index: `${DOCKER}.distribution.manifest.list.v2+json`,
    config: `${DOCKER}.container.image.v1+json`,
    layers: {
      none: `${DOCKER}.image.rootfs.diff.tar`,
      gzip: `${DOCKER}.image.rootfs.diff.tar.gzip`,
      zstd: `${DOCKER}.image.rootfs.diff.tar.zstd`,
    },
  },
} as const;

async function imageTree(image: TestImage, compression: Compression): Promise<TestTree> {
  const types = TYPES[image.family];
  const config = bytesBlob(image.config);
  const layers = await Promise.all(image.layers.map((layer) => layer.packed(compression)));
  const manifest = json({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: describe(config, types.config),
    layers: layers.map((layer) => describe(layer, types.layers[compression])),
  });
  return {
    root: { ...describe(manifest, types.manifest), platform: image.platform },
    blobs: new Map([...layers, config, manifest].map((blob) => [blob.digest, blob])),
  };
}

async function indexTree(index: TestIndex, compression: Compression): Promise<TestTree> {
  const children: TestTree[] = [];
  for (const image of index.images) children.push(await treeOf(image, compression));
  if (index.attestations) children.push(...children.map(({ root }) => attestationTree(root)));
  const mediaType = TYPES[index.family].index;
  const manifest = json({ schemaVersion: 2, mediaType, manifests: children.map((child) => child.root) });
  return {
    root: describe(manifest, mediaType),
    blobs: new Map([...children.flatMap((child) => [...child.blobs]), [manifest.digest, manifest]]),
  };
}

/** What BuildKit writes about an image: a manifest of no platform, tied to it by annotations. */
function attestationTree(subject: TestDescriptor): TestTree {
  const statement = json({
    _type: 'https://in-toto.io/Statement/v0.1',
    subject: [{ digest: subject.digest }],
  });
  const platform = { os: 'unknown', architecture: 'unknown' };
  const config = json({ ...platform, config: {}, rootfs: { type: 'layers', diff_ids: [statement.digest] } });
  const manifest = json({
    schemaVersion: 2,
    mediaType: TYPES.oci.manifest,
    config: describe(config, TYPES.oci.config),
    layers: [describe(statement, 'application/vnd.in-toto+json')],
  });
  const annotations = {
    'vnd.docker.reference.digest': subject.digest,
    'vnd.docker.reference.type': 'attestation-manifest',
  };
  return {
    root: { ...describe(manifest, TYPES.oci.manifest), platform, annotations },
    blobs: new Map([statement, config, manifest].map((blob) => [blob.digest, blob])),
  };
}

function describe(blob: TestBlob, mediaType: string): TestDescriptor {
  return { mediaType, digest: blob.digest, size: blob.size };
}

async function writeLayout(
  sink: Sink,
  images: readonly (TestImage | TestIndex)[],
  options: LayoutOptions,
): Promise<void> {
  const manifests: TestDescriptor[] = [];
  const blobs = new Map<string, TestBlob>();
  for (const image of images) {
    const tree = await treeOf(image, options.compression);
    for (const [digest, blob] of tree.blobs) blobs.set(digest, blob);
    const entries = image.names.map((name) => ({
      ...tree.root,
      annotations: nameAnnotations(name, options.naming),
    }));
    manifests.push(...(entries.length > 0 ? entries : [tree.root]));
  }
  for (const digest of options.omit ?? []) blobs.delete(digest);
  for (const blob of blobs.values()) await sink.add(blobPath(blob.digest), blob);
  const index = { schemaVersion: 2, mediaType: TYPES.oci.index, manifests };
  await sink.add('index.json', json(index));
  await sink.add('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
}

function nameAnnotations(name: string, naming: LayoutOptions['naming'] = 'full'): Record<string, string> {
  const tag = name.slice(name.lastIndexOf(':') + 1);
  if (naming === 'full') return { 'org.opencontainers.image.ref.name': name };
  if (naming === 'tag') return { 'org.opencontainers.image.ref.name': tag };
  return { 'io.containerd.image.name': fullName(name), 'org.opencontainers.image.ref.name': tag };
}

function fullName(name: string): string {
  const first = name.split('/', 1)[0] ?? '';
  if (name.includes('/') && (/[.:]/.test(first) || first === 'localhost')) return name;
  return name.includes('/') ? `docker.io/${name}` : `docker.io/library/${name}`;
}

/** The manifest.json that docker ≥ 25 writes beside the index: paths are blobs. Of an index it knows the first image. */
async function modernManifest(
  images: readonly (TestImage | TestIndex)[],
  compression: Compression,
): Promise<unknown[]> {
  const entries: unknown[] = [];
  for (const image of images) {
    const first = firstImage(image);
    const layers = await Promise.all(first.layers.map((layer) => layer.packed(compression)));
    entries.push({
      Config: blobPath(bytesBlob(first.config).digest),
      RepoTags: image.names.length > 0 ? image.names : null,
      Layers: layers.map((layer) => blobPath(layer.digest)),
    });
  }
  return entries;
}

function firstImage(image: TestImage | TestIndex): TestImage {
  return image.kind === 'image' ? image : firstImage(image.images[0] as TestImage | TestIndex);
}

async function writeClassic(
  sink: Sink,
  images: readonly TestImage[],
  options: DockerOptions & { readonly compression: Compression },
): Promise<void> {
  const { sharedLayers = 'symlink', longNames = false, compression } = options;
  const written = new Map<string, string>();
  const entries: unknown[] = [];
  for (const image of images) {
    const config = bytesBlob(image.config);
    const configName = `${hexOf(config.digest)}.json`;
    const names: string[] = [];
    for (const [at, layer] of image.layers.entries()) {
      const id = createHash('sha256').update(`${config.digest} ${at}`).digest('hex');
      const folder = longNames ? `${id}/${id}` : id;
      const name = `${folder}/layer.tar`;
      const before = written.get(layer.digest);
      await sink.folder(folder);
      await sink.add(`${folder}/VERSION`, bytesBlob(Buffer.from('1.0')));
      if (before === undefined || sharedLayers === 'copy')
        await sink.add(name, await layer.packed(compression));
      else await sink.link(name, before, sharedLayers);
      if (before === undefined) written.set(layer.digest, name);
      names.push(name);
    }
    await sink.add(configName, config);
    entries.push({
      Config: configName,
      RepoTags: image.names.length > 0 ? image.names : null,
      Layers: names,
    });
  }
  await sink.add('manifest.json', json(entries));
}

/** Takes the files of an archive, one after the other. */
interface Sink {
  add(name: string, blob: TestBlob): Promise<void>;
  folder(name: string): Promise<void>;
  /** A link to an earlier file of the archive. */
  link(name: string, target: string, kind: 'symlink' | 'hardlink'): Promise<void>;
}

class TarSink implements Sink {
  readonly #input: PassThrough;
  readonly #written: Promise<void>;
  readonly #options: TarOptions;

  constructor(path: string, options: TarOptions) {
    this.#options = options;
    this.#input = new PassThrough();
    this.#written = pipeline(compressed(this.#input, options.outer ?? 'none'), createWriteStream(path));
    this.#written.catch((error) => this.#input.destroy(error));
  }

  async add(name: string, blob: TestBlob): Promise<void> {
    await this.#header({ name, size: blob.size });
    for await (const chunk of blob.open()) await write(this.#input, chunk);
    await write(this.#input, tarPadding(blob.size));
  }

  async folder(name: string): Promise<void> {
    await this.#header({ name: `${name}/`, type: '5', mode: 0o755 });
  }

  async link(name: string, target: string, kind: 'symlink' | 'hardlink'): Promise<void> {
    const prefix = this.#options.prefix ?? '';
    if (kind === 'symlink') await this.#header({ name, type: '2', linkName: upFrom(name) + target });
    else await this.#header({ name, type: '1', linkName: prefix + target });
  }

  async finish(): Promise<void> {
    if (this.#options.end !== false) await write(this.#input, TAR_END);
    this.#input.end();
    await this.#written;
  }

  async #header(entry: Parameters<typeof tarHeader>[0]): Promise<void> {
    const { prefix = '', dialect } = this.#options;
    await write(this.#input, tarHeader({ ...entry, name: prefix + entry.name }, dialect));
  }
}

class FolderSink implements Sink {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async add(name: string, blob: TestBlob): Promise<void> {
    const path = join(this.#root, name);
    await mkdir(dirname(path), { recursive: true });
    await pipeline(blob.open(), createWriteStream(path));
  }

  async folder(name: string): Promise<void> {
    await mkdir(join(this.#root, name), { recursive: true });
  }

  async link(name: string, target: string): Promise<void> {
    await symlink(upFrom(name) + target, join(this.#root, name));
  }
}

/** The way from a file's folder to the archive's root. */
function upFrom(name: string): string {
  return '../'.repeat(name.split('/').length - 1);
}

async function write(stream: Writable, chunk: Buffer): Promise<void> {
  if (chunk.length > 0 && !stream.write(chunk)) await once(stream, 'drain');
}

/** The bytes packed; the stream fails when the source does. */
function compressed(source: Readable, compression: Compression): Readable {
  if (compression === 'none') return source;
  const packer = compression === 'gzip' ? createGzip({ level: 1 }) : createZstdCompress();
  source.on('error', (error) => packer.destroy(error));
  return source.pipe(packer);
}

async function* layerTar(seed: string, spec: LayerSpec): AsyncGenerator<Buffer> {
  const { size, files = 3, compressible = 0.5 } = spec;
  const folder = `files-${createHash('sha256').update(seed).digest('hex').slice(0, 8)}`;
  yield tarHeader({ name: `${folder}/`, type: '5', mode: 0o755 });
  for (let at = 0; at < files; at++) {
    const length = Math.floor((size * (at + 1)) / files) - Math.floor((size * at) / files);
    yield tarHeader({ name: `${folder}/file-${at}.bin`, size: length });
    yield* content(`${seed}/${at}`, length, compressible);
    yield tarPadding(length);
  }
  yield TAR_END;
}

const PIECE = 64 * 1024;
const PHRASE = 64;

/** Bytes from a seed: of every piece one part is drawn from a few thousand phrases, the rest is noise. */
function* content(seed: string, length: number, compressible: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const noise = (bytes: number): Buffer => cipher.update(Buffer.alloc(bytes));
  const phrases = Buffer.from(noise(PIECE).toString('hex'));
  const texts = Math.round((PIECE * compressible) / PHRASE);
  for (let left = length; left > 0; left -= PIECE) {
    const piece = noise(PIECE);
    for (let at = 0; at < texts; at++) {
      const from = (piece.readUInt16LE(at * PHRASE) % (phrases.length / PHRASE)) * PHRASE;
      phrases.copy(piece, at * PHRASE, from, from + PHRASE);
    }
    yield left < PIECE ? piece.subarray(0, left) : piece;
  }
}

function bytesBlob(bytes: Buffer): TestBlob {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { digest, size: bytes.length, open: () => Readable.from([bytes]) };
}

function json(value: unknown): TestBlob {
  return bytesBlob(Buffer.from(JSON.stringify(value)));
}

/** Where a layout keeps a blob. */
export function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function hexOf(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1);
}
