import { z } from 'zod';
import { type Digest, digestSchema, isRepository, isTag } from '../oci/index.ts';
import { type NamePage, type PageRequest, SortedNames } from './names.ts';
import type { Inventory, NameChange, RepositoryContents } from './storage.ts';

const repository = z.string().refine(isRepository);
const tag = z.string().refine(isTag);
const size = z.int().min(0);

/** One thing that happened to the index; a folder's journal is a list of them. */
export const changeSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('blob'), repository, digest: digestSchema, size }),
  z.object({
    op: z.literal('manifest'),
    repository,
    digest: digestSchema,
    size,
    mediaType: z.string(),
    subject: z.optional(digestSchema),
  }),
  z.object({ op: z.literal('tag'), repository, tag, digest: digestSchema }),
  z.object({ op: z.literal('delete-blob'), repository, digest: digestSchema }),
  z.object({ op: z.literal('delete-manifest'), repository, digest: digestSchema }),
  z.object({ op: z.literal('delete-tag'), repository, tag }),
]);

export type Change = Readonly<z.infer<typeof changeSchema>>;

export interface ManifestEntry {
  readonly mediaType: string;
  readonly size: number;
  readonly subject?: Digest | undefined;
}

interface Repository {
  readonly name: string;
  readonly blobs: Map<Digest, number>;
  readonly manifests: Map<Digest, ManifestEntry>;
  readonly tags: Map<string, Digest>;
  readonly tagNames: SortedNames;
  readonly tagsOf: Map<Digest, Set<string>>;
  readonly referrers: Map<Digest, Set<Digest>>;
  lastUploadedAt: number | undefined;
}

/**
 * Who holds what: repositories, their blobs, manifests, tags and referrers, and how many places refer to
 * each piece of content. All in memory and without waiting, so a change is whole before anybody sees it.
 * A repository stays once it has held something, as in other registries.
 */
export class RepositoryIndex {
  readonly #repositories = new Map<string, Repository>();
  readonly #names = new SortedNames();
  readonly #holders = new Map<Digest, number>();
  #revision = 0;
  /** Told of every name that comes or goes, and of every tag that moves. */
  watcher: ((change: NameChange) => void) | undefined;

  /** Makes a change; false when it changed nothing (already so, nothing to delete, a tag for a missing manifest). */
  apply(change: Change): boolean {
    const changed = this.#make(change);
    if (changed) this.#revision++;
    return changed;
  }

  #make(change: Change): boolean {
    switch (change.op) {
      case 'blob':
        return this.#addBlob(this.#open(change.repository), change.digest, change.size);
      case 'manifest':
        return this.#addManifest(this.#open(change.repository), change.digest, change);
      case 'tag':
        return this.#setTag(this.#repositories.get(change.repository), change.tag, change.digest);
      case 'delete-blob':
        return this.#deleteBlob(this.#repositories.get(change.repository), change.digest);
      case 'delete-manifest':
        return this.#deleteManifest(this.#repositories.get(change.repository), change.digest);
      case 'delete-tag':
        return this.#deleteTag(this.#repositories.get(change.repository), change.tag);
    }
  }

  /** The changes that would build this index anew. */
  *snapshot(): Generator<Change> {
    for (const [name, held] of this.#repositories) {
      for (const [digest, bytes] of held.blobs) {
        yield { op: 'blob', repository: name, digest, size: bytes };
      }
      for (const [digest, entry] of held.manifests)
        yield { op: 'manifest', repository: name, digest, ...entry };
      for (const [text, digest] of held.tags) yield { op: 'tag', repository: name, tag: text, digest };
    }
  }

  /** All that is held: lists of this moment, and maps that go on changing. */
  inventory(): Inventory {
    const repositories = Array.from(this.#names, (name) => this.contents(name) as RepositoryContents);
    return { revision: this.#revision, repositories };
  }

  contents(name: string): RepositoryContents | undefined {
    const held = this.#repositories.get(name);
    if (!held) return undefined;
    const { lastUploadedAt, blobs, manifests } = held;
    const tags = Array.from(held.tagNames, (tag) => [tag, held.tags.get(tag)] as const);
    return { name, lastUploadedAt, blobs, manifests, tags };
  }

  has(name: string): boolean {
    return this.#repositories.has(name);
  }

  repositories(page: PageRequest): NamePage {
    return this.#names.page(page);
  }

  tags(name: string, page: PageRequest): NamePage | undefined {
    return this.#repositories.get(name)?.tagNames.page(page);
  }

  resolveTag(name: string, text: string): Digest | undefined {
    return this.#repositories.get(name)?.tags.get(text);
  }

  manifest(name: string, digest: Digest): ManifestEntry | undefined {
    return this.#repositories.get(name)?.manifests.get(digest);
  }

  blobSize(name: string, digest: Digest): number | undefined {
    return this.#repositories.get(name)?.blobs.get(digest);
  }

  referrers(name: string, subject: Digest): readonly Digest[] {
    return [...(this.#repositories.get(name)?.referrers.get(subject) ?? [])].sort();
  }

  /** True while any repository refers to the content. */
  isHeld(digest: Digest): boolean {
    return this.#holders.has(digest);
  }

  #open(name: string): Repository {
    const known = this.#repositories.get(name);
    if (known) return known;
    const fresh: Repository = {
      name,
      lastUploadedAt: undefined,
      blobs: new Map(),
      manifests: new Map(),
      tags: new Map(),
      tagNames: new SortedNames(),
      tagsOf: new Map(),
      referrers: new Map(),
    };
    this.#repositories.set(name, fresh);
    this.#names.add(name);
    this.watcher?.({ repository: name, isListed: true });
    return fresh;
  }

  #addBlob(held: Repository, digest: Digest, bytes: number): boolean {
    if (held.blobs.has(digest)) return false;
    held.blobs.set(digest, bytes);
    this.#hold(digest);
    return true;
  }

  #addManifest(
    held: Repository,
    digest: Digest,
    { mediaType, size: bytes, subject }: ManifestEntry,
  ): boolean {
    // The same bytes may come again under another media type when they name none themselves.
    if (held.manifests.get(digest)?.mediaType === mediaType) return false;
    if (!held.manifests.has(digest)) this.#hold(digest);
    held.manifests.set(digest, { mediaType, size: bytes, subject });
    held.lastUploadedAt = Date.now();
    if (subject) addTo(held.referrers, subject, digest);
    return true;
  }

  #setTag(held: Repository | undefined, text: string, digest: Digest): boolean {
    if (!held?.manifests.has(digest) || held.tags.get(text) === digest) return false;
    const before = held.tags.get(text);
    if (before) removeFrom(held.tagsOf, before, text);
    held.tags.set(text, digest);
    held.tagNames.add(text);
    this.watcher?.({ repository: held.name, tag: text, isListed: true, before });
    addTo(held.tagsOf, digest, text);
    return true;
  }

  #deleteBlob(held: Repository | undefined, digest: Digest): boolean {
    if (!held?.blobs.delete(digest)) return false;
    this.#release(digest);
    return true;
  }

  #deleteManifest(held: Repository | undefined, digest: Digest): boolean {
    const entry = held?.manifests.get(digest);
    if (!held || !entry) return false;
    for (const text of held.tagsOf.get(digest) ?? []) this.#deleteTag(held, text);
    if (entry.subject) removeFrom(held.referrers, entry.subject, digest);
    held.manifests.delete(digest);
    this.#release(digest);
    return true;
  }

  #deleteTag(held: Repository | undefined, text: string): boolean {
    const digest = held?.tags.get(text);
    if (!held || !digest) return false;
    held.tags.delete(text);
    held.tagNames.delete(text);
    removeFrom(held.tagsOf, digest, text);
    this.watcher?.({ repository: held.name, tag: text, isListed: false, before: digest });
    return true;
  }

  #hold(digest: Digest): void {
    this.#holders.set(digest, (this.#holders.get(digest) ?? 0) + 1);
  }

  #release(digest: Digest): void {
    const left = (this.#holders.get(digest) ?? 0) - 1;
    if (left > 0) this.#holders.set(digest, left);
    else this.#holders.delete(digest);
  }
}

function addTo<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  if (set) set.add(value);
  else sets.set(key, new Set([value]));
}

function removeFrom<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  set?.delete(value);
  if (set?.size === 0) sets.delete(key);
}
