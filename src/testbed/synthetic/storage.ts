import { setImmediate } from 'node:timers/promises';
import { RegopsError } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import type { NamePage, PageRequest } from '../names.ts';
import { sliceOf } from '../ranges.ts';
import type { Content, Inventory, RepositoryContents, Spool, Storage, StoredManifest } from '../storage.ts';
import { ImageMaker, type SyntheticImage } from './images.ts';
import { LayerMaker } from './layers.ts';
import { SyntheticNames } from './names.ts';
import type { SyntheticSpec } from './spec.ts';

/** Images kept for the requests that follow their manifest; each takes about 1 KiB per layer. */
const MOST_REMEMBERED = 1024;
/** Images computed in a search before other requests get their turn. */
const SEARCHED_AT_ONCE = 50;

/**
 * A storage of as many images as wanted that are computed when they are asked for, and forgotten again. Nothing can
 * be stored in it: its writing half is never reached, because the endpoints on it take GET and HEAD alone.
 */
export class SyntheticStorage implements Storage {
  readonly #names: SyntheticNames;
  readonly #maker: ImageMaker;
  /** By number, the latest used last. */
  readonly #images = new Map<number, SyntheticImage>();
  /** The remembered image that has a manifest or blob. */
  readonly #owners = new Map<Digest, SyntheticImage>();

  /** @param spec a checked one */
  constructor(spec: SyntheticSpec) {
    this.#names = new SyntheticNames(spec);
    this.#maker = new ImageMaker(spec, new LayerMaker(spec.seed, spec.sizes));
  }

  async hasRepository(repository: string): Promise<boolean> {
    return this.#names.repositoryNumber(repository) !== undefined;
  }

  async repositories(page: PageRequest): Promise<NamePage> {
    return this.#names.repositories(page);
  }

  async tags(repository: string, page: PageRequest): Promise<NamePage | undefined> {
    const number = this.#names.repositoryNumber(repository);
    return number === undefined ? undefined : this.#names.tags(number, page);
  }

  async resolveTag(repository: string, tag: string): Promise<Digest | undefined> {
    const number = this.#names.repositoryNumber(repository);
    const image = number === undefined ? undefined : this.#names.taggedImage(number, tag);
    return image === undefined ? undefined : this.#image(image).top.digest;
  }

  async manifest(repository: string, digest: Digest): Promise<StoredManifest | undefined> {
    const manifest = (await this.#owner(repository, digest))?.manifests.get(digest);
    if (!manifest) return undefined;
    const { mediaType, bytes } = manifest;
    return { mediaType, content: contentOf(bytes.length, () => [bytes]) };
  }

  async blobSize(repository: string, digest: Digest): Promise<number | undefined> {
    return (await this.#owner(repository, digest))?.blobs.get(digest)?.size;
  }

  async blob(repository: string, digest: Digest): Promise<Content | undefined> {
    const blob = (await this.#owner(repository, digest))?.blobs.get(digest);
    return blob && { ...contentOf(blob.size, blob.parts), ordinal: blob.ordinal };
  }

  async referrers(): Promise<readonly Digest[]> {
    return [];
  }

  inventory(): Inventory {
    throw readOnly();
  }

  contents(): RepositoryContents | undefined {
    throw readOnly();
  }

  /** Names never change. */
  watchNames(): void {}

  spool(): Spool {
    throw readOnly();
  }

  async keepBlob(): Promise<void> {
    throw readOnly();
  }

  async mountBlob(): Promise<boolean> {
    throw readOnly();
  }

  async keepManifest(): Promise<void> {
    throw readOnly();
  }

  async setTag(): Promise<boolean> {
    throw readOnly();
  }

  async deleteTag(): Promise<boolean> {
    throw readOnly();
  }

  async deleteManifest(): Promise<boolean> {
    throw readOnly();
  }

  async deleteBlob(): Promise<boolean> {
    throw readOnly();
  }

  async close(): Promise<void> {
    this.#images.clear();
    this.#owners.clear();
  }

  /**
   * The image of a repository that has this manifest or blob. Who asks for a blob has just read its manifest, so it
   * is nearly always remembered; else all images of the repository are looked through.
   */
  async #owner(repository: string, digest: Digest): Promise<SyntheticImage | undefined> {
    const number = this.#names.repositoryNumber(repository);
    if (number === undefined) return undefined;
    const count = this.#names.imageCount(number);
    const remembered = this.#owners.get(digest);
    if (remembered) return this.#names.repositoryOf(remembered.number) === number ? remembered : undefined;
    for (let place = 0; place < count; place++) {
      if (place % SEARCHED_AT_ONCE === SEARCHED_AT_ONCE - 1) await setImmediate();
      const image = this.#maker.image(this.#names.image(number, place));
      if (image.manifests.has(digest) || image.blobs.has(digest)) return this.#image(image.number, image);
    }
    return undefined;
  }

  /** Computes an image or remembers it; the one that was not used for longest is forgotten. */
  #image(number: number, computed?: SyntheticImage): SyntheticImage {
    const remembered = this.#images.get(number);
    const image = remembered ?? computed ?? this.#maker.image(number);
    this.#images.delete(number);
    this.#images.set(number, image);
    if (remembered) return image;
    for (const digest of digestsOf(image)) this.#owners.set(digest, image);
    if (this.#images.size > MOST_REMEMBERED) {
      const [oldest] = this.#images.values() as Iterable<SyntheticImage> as [SyntheticImage];
      this.#images.delete(oldest.number);
      for (const digest of digestsOf(oldest)) this.#owners.delete(digest);
    }
    return image;
  }
}

function digestsOf({ manifests, blobs }: SyntheticImage): readonly Digest[] {
  return [...manifests.keys(), ...blobs.keys()];
}

function contentOf(size: number, parts: () => readonly Uint8Array[]): Content {
  return {
    size,
    read: async (range) => (range ? sliceOf(parts(), range) : parts()),
  };
}

function readOnly(): RegopsError {
  return new RegopsError('BUG', 'synthetic images are read only');
}
