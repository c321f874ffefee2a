import { isRegopsError } from '../base/index.ts';
import { type Digest, isForeignLayer, parseManifest, referencedDescriptors } from '../oci/index.ts';
import { bytesOf } from './representation.ts';
import type { Inventory, RepositoryContents, Storage } from './storage.ts';

/** More are looked up again when they are needed. */
const MOST_REMEMBERED = 200_000;

/** What manifests refer to, each read once: they never change under their digest. */
export class References {
  readonly #known = new Map<Digest, readonly Digest[]>();

  /** Digests of blobs and child manifests; none for a manifest that is gone by now. */
  async of(storage: Storage, repository: string, manifest: Digest): Promise<readonly Digest[]> {
    const known = this.#known.get(manifest);
    if (known) return known;
    const stored = await storage.manifest(repository, manifest);
    if (!stored) return [];
    try {
      const bytes = await bytesOf(await stored.content.read());
      const parsed = parseManifest(bytes, { contentType: stored.mediaType, digest: manifest });
      const digests = referencedDescriptors(parsed)
        .filter(({ mediaType }) => !isForeignLayer(mediaType))
        .map(({ digest }) => digest);
      if (this.#known.size >= MOST_REMEMBERED) this.#known.clear();
      this.#known.set(manifest, digests);
      return digests;
    } catch (error) {
      if (isRegopsError(error, 'BLOB_NOT_FOUND')) return [];
      throw error;
    }
  }
}

/** What a registry holds, counted as NSCR counts it: a blob once, however many repositories show it. */
export interface ContentCounts {
  /** Of all repositories together: a manifest in two of them is two. */
  readonly manifests: number;
  /** Sizes in bytes. */
  readonly blobs: ReadonlyMap<Digest, number>;
  readonly totalBytes: number;
  /** Blobs that no manifest anywhere refers to. */
  readonly unreferenced: ReadonlySet<Digest>;
  readonly unreferencedBytes: number;
  /** Manifests that refer to something their repository does not have. */
  readonly orphanedManifests: number;
}

/** Counts once for every state of a storage. */
export class ContentCounter {
  readonly #storage: Storage;
  readonly #references: References;
  #last: { readonly revision: number; readonly counts: Promise<ContentCounts> } | undefined;

  constructor(storage: Storage, references: References) {
    this.#storage = storage;
    this.#references = references;
  }

  count(inventory: Inventory): Promise<ContentCounts> {
    const { revision } = inventory;
    if (this.#last?.revision === revision) return this.#last.counts;
    const counts = this.#count(inventory.repositories);
    this.#last = { revision, counts };
    return counts;
  }

  async #count(repositories: readonly RepositoryContents[]): Promise<ContentCounts> {
    // Copied before the first wait: they go on changing.
    const held = repositories.map(({ name, blobs, manifests }) => ({
      name,
      blobs: new Map(blobs),
      manifests: new Set(manifests.keys()),
    }));
    const all = new Map<Digest, number>();
    const referenced = new Set<Digest>();
    let manifestCount = 0;
    let orphanedManifests = 0;
    for (const { name, blobs, manifests } of held) {
      for (const [digest, size] of blobs) all.set(digest, size);
      for (const manifest of manifests) {
        manifestCount++;
        const digests = await this.#references.of(this.#storage, name, manifest);
        for (const digest of digests) referenced.add(digest);
        if (!digests.every((digest) => blobs.has(digest) || manifests.has(digest))) orphanedManifests++;
      }
    }
    const unreferenced = new Set([...all.keys()].filter((digest) => !referenced.has(digest)));
    return {
      manifests: manifestCount,
      blobs: all,
      totalBytes: sum(all.values()),
      unreferenced,
      unreferencedBytes: sum([...unreferenced].map((digest) => all.get(digest) ?? 0)),
      orphanedManifests,
    };
  }
}

/** Removes the blobs that no manifest refers to, however young they are. Gives how many, and their bytes. */
export async function collectGarbage(
  storage: Storage,
  counter: ContentCounter,
): Promise<{ readonly blobs: number; readonly bytes: number }> {
  const inventory = storage.inventory();
  const { unreferenced, unreferencedBytes } = await counter.count(inventory);
  for (const { name, blobs: held } of inventory.repositories) {
    const garbage = [...held.keys()].filter((digest) => unreferenced.has(digest));
    for (const digest of garbage) await storage.deleteBlob(name, digest);
  }
  return { blobs: unreferenced.size, bytes: unreferencedBytes };
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
