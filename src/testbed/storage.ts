import type { Digest, Manifest } from '../oci/index.ts';
import type { Body } from './exchange.ts';
import type { NamePage, PageRequest } from './names.ts';
import type { ByteRange } from './ranges.ts';

/** Stored bytes of a known size. */
export interface Content {
  readonly size: number;
  /** Of a blob in a storage that numbers all of its blobs, from 0. */
  readonly ordinal?: number;
  /** Gives all bytes, or a range of them. */
  read(range?: ByteRange): Promise<Body>;
}

export interface StoredManifest {
  readonly mediaType: string;
  readonly content: Content;
}

/** Takes bytes in their order until they are kept or thrown away. */
export interface Spool {
  write(chunk: Uint8Array): void | Promise<void>;
  /** What was written so far. */
  read(): Promise<Body>;
  /** Throws it away; harmless after it has been kept. */
  discard(): Promise<void>;
}

/** What one repository holds. */
export interface RepositoryContents {
  readonly name: string;
  /** When a manifest was last stored there, in milliseconds since the epoch; of a reopened folder: when it was opened. */
  readonly lastUploadedAt: number | undefined;
  /** Sizes in bytes. */
  readonly blobs: ReadonlyMap<Digest, number>;
  readonly manifests: ReadonlyMap<Digest, unknown>;
  /** In order, with what each points at: always something, unless a fault lies about it. */
  readonly tags: readonly (readonly [tag: string, digest: Digest | undefined])[];
}

/** All that a registry holds, for its administration. */
export interface Inventory {
  /** Another number after every change. */
  readonly revision: number;
  readonly repositories: readonly RepositoryContents[];
}

/** A tag, or without one a repository, that is listed from now on or no longer; or a tag that points elsewhere. */
export interface NameChange {
  readonly repository: string;
  readonly tag?: string;
  readonly isListed: boolean;
  /** What the tag pointed at before; undefined for one that was not there. */
  readonly before?: Digest | undefined;
}

/**
 * What a registry holds, seen by its handlers: content lies under its digest and is shared, but a
 * repository shows only what was pushed or mounted there. Names and digests were checked before.
 */
export interface Storage {
  hasRepository(repository: string): Promise<boolean>;
  repositories(page: PageRequest): Promise<NamePage>;
  /** Undefined when there is no such repository. */
  tags(repository: string, page: PageRequest): Promise<NamePage | undefined>;
  /** What a tag points at. */
  resolveTag(repository: string, tag: string): Promise<Digest | undefined>;
  manifest(repository: string, digest: Digest): Promise<StoredManifest | undefined>;
  /** Size of a blob in bytes, without opening it. */
  blobSize(repository: string, digest: Digest): Promise<number | undefined>;
  blob(repository: string, digest: Digest): Promise<Content | undefined>;
  /** Digests of the manifests whose `subject` this is, in order. */
  referrers(repository: string, subject: Digest): Promise<readonly Digest[]>;

  /** All that is held here. Its lists are of one moment; its maps go on changing. */
  inventory(): Inventory;
  /** The same of one repository. */
  contents(repository: string): RepositoryContents | undefined;
  /** Tells of every name that comes or goes, and of every tag that moves; there is one watcher at a time. */
  watchNames(watcher: (change: NameChange) => void): void;

  spool(): Spool;
  /** Makes a spool's bytes a blob of the repository. The caller has compared them with the digest. */
  keepBlob(repository: string, digest: Digest, spool: Spool, size: number): Promise<void>;
  /** Shows a blob of `from` in `repository` too; false when it is not there. */
  mountBlob(repository: string, digest: Digest, from: string): Promise<boolean>;
  keepManifest(repository: string, manifest: Manifest): Promise<void>;
  /** Points a tag at a manifest of the repository; false when it is not there. */
  setTag(repository: string, tag: string, digest: Digest): Promise<boolean>;

  /** These give false when there was nothing to delete. */
  deleteTag(repository: string, tag: string): Promise<boolean>;
  /** Every tag that points at it goes with it. */
  deleteManifest(repository: string, digest: Digest): Promise<boolean>;
  deleteBlob(repository: string, digest: Digest): Promise<boolean>;

  close(): Promise<void>;
}

/** A storage with some of its answers given by another. */
export function overlaidStorage(storage: Storage, answers: Partial<Storage>): Storage {
  return new Proxy(storage, {
    get(target, key) {
      const value: unknown = Reflect.get(answers, key) ?? Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
