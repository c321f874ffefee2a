import { isRegopsError, throwIfAborted } from '../base/index.ts';
import {
  type Descriptor,
  type Digest,
  formatReference,
  isManifestMediaType,
  isTag,
  LIMITS,
  type Manifest,
  parseReference,
  withDefaultTag,
} from '../oci/index.ts';
import { findBlob, readManifest } from './blobs.ts';
import { type DockerEntry, namedConfigDigest } from './docker-images.ts';
import type { BlobSource } from './model.ts';
import type { ArchiveFiles } from './stored-file.ts';

/** Written by containerd and Docker from 25 on: the full name. */
const CONTAINERD_NAME = 'io.containerd.image.name';
/** The spec's own: a bare tag (buildx, docker) or a full name (podman, skopeo). */
const REF_NAME = 'org.opencontainers.image.ref.name';

/** A longer one can be no reference. */
const LONGEST_NAME = 1024;

/** Entries of index.json, by the image they are of. */
export type Roots = ReadonlyMap<Digest, readonly Descriptor[]>;

/**
 * The names of a layout's images: from the annotations of index.json, and from docker's manifest.json,
 * whose entries belong to the images that have their configuration.
 */
export class StoredNames {
  readonly #archive: { readonly path: string; blob(digest: Digest): BlobSource | undefined };
  readonly #roots: Roots;
  readonly #signal: AbortSignal | undefined;
  /** Which image a name is for, by what it means. */
  readonly #owners: Map<string, Digest>;
  /** Docker's tags, by digest of the configuration. */
  readonly #tags = new Map<Digest, readonly string[]>();
  readonly #claimed = new Set<Digest>();
  /** Manifests that may still be read for their configurations, in the whole archive. */
  #readsLeft: number = LIMITS.descriptors;

  constructor(
    files: ArchiveFiles,
    roots: Roots,
    entries: readonly DockerEntry[],
    signal: AbortSignal | undefined,
  ) {
    this.#archive = { path: files.path, blob: (digest) => findBlob(files, digest) };
    this.#roots = roots;
    this.#signal = signal;
    this.#owners = ownersOfNames(roots);
    for (const entry of entries) {
      const digest = namedConfigDigest(entry);
      if (digest && entry.repoTags.length > 0) {
        this.#tags.set(digest, [...(this.#tags.get(digest) ?? []), ...entry.repoTags]);
      }
    }
  }

  /**
   * All names of an image once: docker's tags as they are, then full names that mean something else, then
   * bare tags that no full name has. Throws ARCHIVE_INVALID, IO_FAILED, INTERRUPTED.
   */
  async of(root: Digest): Promise<readonly string[]> {
    const { full, bare } = annotatedNames(this.#roots.get(root) ?? []);
    const names = new Map<string, string>();
    const tags = new Set<string>();
    for (const name of [...(await this.#repoTags(root)), ...full]) {
      const { meaning, tag } = understand(name);
      if (!names.has(meaning)) names.set(meaning, name);
      if (tag) tags.add(tag);
    }
    return [...names.values(), ...new Set(bare.filter((tag) => !tags.has(tag)))];
  }

  /** Tags of manifest.json that belong to none of the images that were asked for. */
  unclaimed(): readonly string[] {
    return [...this.#tags].flatMap(([config, tags]) => (this.#claimed.has(config) ? [] : tags));
  }

  async #repoTags(root: Digest): Promise<readonly string[]> {
    const [descriptor] = this.#roots.get(root) ?? [];
    if (!descriptor || this.#tags.size === 0) return [];
    const configs = await this.#configs(descriptor, LIMITS.indexDepth, new Set());
    const tags = configs.flatMap((config) => {
      this.#claimed.add(config);
      return this.#tags.get(config) ?? [];
    });
    // Two images may have one configuration; a tag still belongs to one of them.
    return tags.filter((tag) => {
      const { meaning } = understand(tag);
      if (!this.#owners.has(meaning)) this.#owners.set(meaning, root);
      return this.#owners.get(meaning) === root;
    });
  }

  /** The configurations of an image, or of all images of an index. */
  async #configs(descriptor: Descriptor, depth: number, visited: Set<Digest>): Promise<readonly Digest[]> {
    const known = isManifestMediaType(descriptor.mediaType) && this.#archive.blob(descriptor.digest);
    if (!known || depth === 0 || visited.has(descriptor.digest) || this.#readsLeft === 0) return [];
    visited.add(descriptor.digest);
    this.#readsLeft--;
    throwIfAborted(this.#signal);
    const manifest = await this.#readable(descriptor);
    if (!manifest) return [];
    if (manifest.kind === 'image') return [manifest.document.config.digest];
    const found: Digest[] = [];
    for (const child of manifest.document.manifests) {
      found.push(...(await this.#configs(child, depth - 1, visited)));
    }
    return found;
  }

  /** A manifest that is broken has no tags; whoever pushes it will hear why. */
  async #readable(descriptor: Descriptor): Promise<Manifest | undefined> {
    try {
      return await readManifest(this.#archive, descriptor);
    } catch (error) {
      if (isRegopsError(error) && error.kind === 'data') return undefined;
      throw error;
    }
  }
}

/** Which image the index itself gives a full name to. */
function ownersOfNames(roots: Roots): Map<string, Digest> {
  const owners = new Map<string, Digest>();
  for (const [digest, entries] of roots) {
    for (const name of annotatedNames(entries).full) owners.set(understand(name).meaning, digest);
  }
  return owners;
}

/** The names in an image's annotations: full ones, and bare tags. */
function annotatedNames(entries: readonly Descriptor[]): {
  full: readonly string[];
  bare: readonly string[];
} {
  const full: string[] = [];
  const bare: string[] = [];
  for (const { annotations = {} } of entries) {
    for (const name of [annotations[CONTAINERD_NAME], annotations[REF_NAME]]) {
      if (name && name.length <= LONGEST_NAME) (isTag(name) ? bare : full).push(name);
    }
  }
  return { full, bare };
}

/** Archives may carry names that are no references; those stand for themselves. */
function understand(name: string): { meaning: string; tag?: string | undefined } {
  try {
    const reference = withDefaultTag(parseReference(name));
    return { meaning: formatReference(reference), tag: reference.tag };
  } catch {
    return { meaning: name };
  }
}
