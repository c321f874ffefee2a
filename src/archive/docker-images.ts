import { messageOf, throwIfAborted } from '../base/index.ts';
import { z } from '../base/schema.ts';
import {
  type Digest,
  describeIssue,
  digestMismatch,
  digestOf,
  digestParts,
  isDigest,
  LIMITS,
  parseImageConfig,
} from '../oci/index.ts';
import { detectPacking, MAGIC_BYTES, supportedPacking } from './compression.ts';
import { invalidArchive, quoted } from './failures.ts';
import type { ArchiveImage, BlobSource, LayerSource } from './model.ts';
import { type ArchiveFiles, normaliseName, readWhole, type StoredFile } from './stored-file.ts';

/** The member that makes a tar a docker-archive. */
export const DOCKER_MANIFEST = 'manifest.json';

/** Docker writes null for what is empty. */
const listOf = <T extends z.core.$ZodType>(item: T) =>
  z.nullish(z.array(item).check(z.maxLength(LIMITS.descriptors)));
const memberName = z.string().check(z.minLength(1), z.maxLength(4096));

/** `manifest.json` of docker save (moby: image/tarexport). */
const dockerManifestSchema = z
  .array(
    z.object({
      Config: memberName,
      RepoTags: listOf(z.string().check(z.maxLength(1024))),
      Layers: listOf(memberName),
    }),
  )
  .check(z.maxLength(LIMITS.descriptors));

/** One image as manifest.json describes it. */
export interface DockerEntry {
  readonly config: string;
  readonly repoTags: readonly string[];
  readonly layers: readonly string[];
}

/** The entries of manifest.json; undefined when there is none. Throws ARCHIVE_INVALID. */
export async function readDockerManifest(files: ArchiveFiles): Promise<readonly DockerEntry[] | undefined> {
  const file = files.find(DOCKER_MANIFEST);
  if (!file) return undefined;
  const bytes = await readWhole(files, file, LIMITS.manifestBytes);
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw invalidArchive(files.path, `${DOCKER_MANIFEST} is not JSON (${messageOf(error)})`);
  }
  const parsed = dockerManifestSchema.safeParse(document);
  if (!parsed.success) {
    throw invalidArchive(files.path, `${DOCKER_MANIFEST}: ${describeIssue(parsed.error)}`);
  }
  return parsed.data.map((entry) => ({
    config: entry.Config,
    repoTags: entry.RepoTags ?? [],
    layers: entry.Layers ?? [],
  }));
}

/**
 * The digest of an entry's configuration as its name tells it, without reading it: docker names it
 * `blobs/sha256/<hex>` since 25, `<hex>.json` before. Undefined for the names other tools give.
 */
export function namedConfigDigest(entry: DockerEntry): Digest | undefined {
  const name = normaliseName(entry.config) ?? '';
  const [, algorithm, hex] = /^blobs\/([a-z0-9]+)\/([0-9a-f]+)$/.exec(name) ?? [
    '',
    'sha256',
    name.replace(/\.json$/, ''),
  ];
  const digest = `${algorithm}:${hex}`;
  return isDigest(digest) ? digest : undefined;
}

/**
 * The images of a docker-archive. Reads every configuration once, and the first bytes of every layer to
 * see how it is packed. Throws ARCHIVE_INVALID, ARCHIVE_UNSUPPORTED, MANIFEST_INVALID, DIGEST_MISMATCH.
 */
export async function readDockerImages(
  files: ArchiveFiles,
  entries: readonly DockerEntry[],
  signal: AbortSignal | undefined,
): Promise<ArchiveImage[]> {
  const reader = new DockerReader(files);
  const images: ArchiveImage[] = [];
  for (const [index, entry] of entries.entries()) {
    throwIfAborted(signal);
    images.push(await reader.image(entry, index));
  }
  return images;
}

interface ReadConfig {
  readonly blob: BlobSource;
  readonly diffIds: readonly Digest[];
}

/** Remembers what it has read: images of one archive share layers, and hostile ones a single file a thousand times. */
class DockerReader {
  readonly #files: ArchiveFiles;
  readonly #configs = new Map<string, ReadConfig>();
  readonly #layers = new Map<string, LayerSource>();

  constructor(files: ArchiveFiles) {
    this.#files = files;
  }

  async image(entry: DockerEntry, index: number): Promise<ArchiveImage> {
    const config = await this.#config(this.#find(entry.config, index), entry);
    if (config.diffIds.length !== entry.layers.length) {
      throw invalidArchive(
        this.#files.path,
        `image @${index} has ${entry.layers.length} layers, but its configuration lists ${config.diffIds.length}`,
      );
    }
    const layers: LayerSource[] = [];
    for (const [at, name] of entry.layers.entries()) {
      layers.push(await this.#layer(this.#find(name, index), config.diffIds[at] as Digest));
    }
    return { index, names: entry.repoTags, content: { kind: 'docker', config: config.blob, layers } };
  }

  #find(name: string, index: number): StoredFile {
    const file = this.#files.find(name);
    if (file) return file;
    throw invalidArchive(this.#files.path, `${quoted(name)} of image @${index} is not in the archive`);
  }

  async #config(file: StoredFile, entry: DockerEntry): Promise<ReadConfig> {
    const known = this.#configs.get(file.name);
    if (known) return known;
    const bytes = await readWhole(this.#files, file, LIMITS.configBytes);
    const what = `${this.#files.path}: ${quoted(file.name)}`;
    // Only names under blobs/ promise a digest; in the old layout people edit configurations and keep the name.
    const promised = file.name.startsWith('blobs/') ? namedConfigDigest(entry) : undefined;
    const digest = digestOf(bytes, promised && digestParts(promised).algorithm);
    if (promised && promised !== digest) throw digestMismatch(what, promised, digest);
    const config = {
      blob: { digest, size: file.size, open: () => file.open() },
      diffIds: parseImageConfig(bytes, what).rootfs.diff_ids ?? [],
    };
    this.#configs.set(file.name, config);
    return config;
  }

  async #layer(file: StoredFile, diffId: Digest): Promise<LayerSource> {
    const key = `${diffId} ${file.name}`;
    const known = this.#layers.get(key);
    if (known) return known;
    const what = `${this.#files.path}: layer ${quoted(file.name)}`;
    if (file.diffId && file.diffId !== diffId) throw digestMismatch(what, diffId, file.diffId);
    const layer = {
      diffId,
      compression: supportedPacking(detectPacking(await file.head(MAGIC_BYTES)), what),
      size: file.size,
      ...(file.identity === undefined ? {} : { identity: file.identity }),
      open: () => file.open(),
    };
    this.#layers.set(key, layer);
    return layer;
  }
}
