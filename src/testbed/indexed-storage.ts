import type { Digest, Manifest } from '../oci/index.ts';
import type { ContentStore, StoreSpool } from './content-store.ts';
import { MemoryContent } from './memory-content.ts';
import type { NamePage, PageRequest } from './names.ts';
import type { ByteRange } from './ranges.ts';
import { type Change, RepositoryIndex } from './repository-index.ts';
import type {
  Content,
  Inventory,
  NameChange,
  RepositoryContents,
  Spool,
  Storage,
  StoredManifest,
} from './storage.ts';

/** Makes changes of the index last: nothing in memory, a journal in a folder. */
export interface Recorder {
  append(change: Change): Promise<void>;
  close(): Promise<void>;
}

const NOTHING_LASTS: Recorder = { async append() {}, async close() {} };

/** A storage that begins empty and ends with the process. */
export function memoryStorage(): Storage {
  return new IndexedStorage(new RepositoryIndex(), new MemoryContent(), NOTHING_LASTS);
}

/** A storage made of an index in memory, a store of contents, and what makes changes last. */
export class IndexedStorage implements Storage {
  readonly #index: RepositoryIndex;
  readonly #contents: ContentStore;
  readonly #recorder: Recorder;

  constructor(index: RepositoryIndex, contents: ContentStore, recorder: Recorder) {
    this.#index = index;
    this.#contents = contents;
    this.#recorder = recorder;
  }

  async hasRepository(repository: string): Promise<boolean> {
    return this.#index.has(repository);
  }

  async repositories(page: PageRequest): Promise<NamePage> {
    return this.#index.repositories(page);
  }

  async tags(repository: string, page: PageRequest): Promise<NamePage | undefined> {
    return this.#index.tags(repository, page);
  }

  async resolveTag(repository: string, tag: string): Promise<Digest | undefined> {
    return this.#index.resolveTag(repository, tag);
  }

  async manifest(repository: string, digest: Digest): Promise<StoredManifest | undefined> {
    const entry = this.#index.manifest(repository, digest);
    return entry && { mediaType: entry.mediaType, content: this.#content(digest, entry.size) };
  }

  async blobSize(repository: string, digest: Digest): Promise<number | undefined> {
    return this.#index.blobSize(repository, digest);
  }

  async blob(repository: string, digest: Digest): Promise<Content | undefined> {
    const size = this.#index.blobSize(repository, digest);
    return size === undefined ? undefined : this.#content(digest, size);
  }

  async referrers(repository: string, subject: Digest): Promise<readonly Digest[]> {
    return this.#index.referrers(repository, subject);
  }

  inventory(): Inventory {
    return this.#index.inventory();
  }

  contents(repository: string): RepositoryContents | undefined {
    return this.#index.contents(repository);
  }

  watchNames(watcher: (change: NameChange) => void): void {
    this.#index.watcher = watcher;
  }

  spool(): Spool {
    return this.#contents.spool();
  }

  async keepBlob(repository: string, digest: Digest, spool: Spool, size: number): Promise<void> {
    const own = spool as StoreSpool;
    await own.seal();
    own.keep(digest);
    await this.#change({ op: 'blob', repository, digest, size });
  }

  async mountBlob(repository: string, digest: Digest, from: string): Promise<boolean> {
    const size = this.#index.blobSize(from, digest);
    if (size === undefined) return false;
    await this.#change({ op: 'blob', repository, digest, size });
    return true;
  }

  async keepManifest(repository: string, manifest: Manifest): Promise<void> {
    const { digest, mediaType, bytes } = manifest;
    const spool = this.#contents.spool();
    await spool.write(bytes);
    await spool.seal();
    spool.keep(digest);
    const subject = manifest.document.subject?.digest;
    await this.#change({
      op: 'manifest',
      repository,
      digest,
      size: bytes.length,
      mediaType,
      ...(subject && { subject }),
    });
  }

  async setTag(repository: string, tag: string, digest: Digest): Promise<boolean> {
    await this.#change({ op: 'tag', repository, tag, digest });
    return this.#index.resolveTag(repository, tag) === digest;
  }

  deleteTag(repository: string, tag: string): Promise<boolean> {
    return this.#change({ op: 'delete-tag', repository, tag });
  }

  deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    return this.#change({ op: 'delete-manifest', repository, digest });
  }

  deleteBlob(repository: string, digest: Digest): Promise<boolean> {
    return this.#change({ op: 'delete-blob', repository, digest });
  }

  async close(): Promise<void> {
    await this.#recorder.close();
    await this.#contents.close();
  }

  /** Changes the index and what hangs on it in one step, then waits until the change lasts. */
  async #change(change: Change): Promise<boolean> {
    if (!this.#index.apply(change)) return false;
    const deletes = change.op === 'delete-blob' || change.op === 'delete-manifest';
    if (deletes && !this.#index.isHeld(change.digest)) this.#contents.drop(change.digest);
    await this.#recorder.append(change);
    return true;
  }

  #content(digest: Digest, size: number): Content {
    return {
      size,
      read: (range: ByteRange = { start: 0, end: size - 1 }) => this.#contents.read(digest, range),
    };
  }
}
