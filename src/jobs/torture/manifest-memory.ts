import {
  type Digest,
  digestParts,
  isManifestMediaType,
  type Manifest,
  referencedDescriptors,
} from '../../oci/index.ts';

/** What a manifest refers to, as little of it as counting needs. */
export interface References {
  /** Children of an index. */
  readonly manifests: readonly Digest[];
  /** {@link fingerprint}s of configuration and layers: eight bytes each, and less around them than typed arrays have. */
  readonly blobs: readonly number[];
}

/**
 * A digest's first 52 bits as a number: a million digests need 8 MB instead of 100. That any two of them
 * agree has a chance of one in ten thousand, and would make a count one too low, the same in every count.
 */
export function fingerprint(digest: Digest): number {
  return Number.parseInt(digestParts(digest).hex.slice(0, 13), 16);
}

/** What a manifest refers to. Pure. */
export function referencesOf(manifest: Manifest): References {
  const all = referencedDescriptors(manifest);
  const isChild = ({ mediaType }: { mediaType: string }): boolean =>
    manifest.kind === 'index' && isManifestMediaType(mediaType);
  return {
    manifests: all.filter(isChild).map(({ digest }) => digest),
    blobs: all.filter((one) => !isChild(one)).map(({ digest }) => fingerprint(digest)),
  };
}

/**
 * Remembers what manifests refer to, so that each is fetched once: a digest's content never changes. Holds
 * a bounded number of manifests and references together; what was not asked for longest is forgotten, and
 * fetched again when it is wanted.
 */
export class ManifestMemory {
  readonly #max: number;
  readonly #known = new Map<Digest, References>();
  #kept = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Manifests and references held. */
  get kept(): number {
    return this.#kept;
  }

  get(digest: Digest): References | undefined {
    const found = this.#known.get(digest);
    if (found) {
      this.#known.delete(digest);
      this.#known.set(digest, found);
    }
    return found;
  }

  set(digest: Digest, references: References): void {
    this.#forget(digest);
    this.#known.set(digest, references);
    this.#kept += weightOf(references);
    for (const oldest of this.#known.keys()) {
      if (this.#kept <= this.#max) return;
      this.#forget(oldest);
    }
  }

  #forget(digest: Digest): void {
    const found = this.#known.get(digest);
    if (!found) return;
    this.#known.delete(digest);
    this.#kept -= weightOf(found);
  }
}

function weightOf({ manifests, blobs }: References): number {
  return 1 + manifests.length + blobs.length;
}

/** Counts different digests, at most so many. */
export class DigestCounter {
  readonly #seen = new Set<number>();
  readonly #max: number;
  #full = false;

  constructor(max: number) {
    this.#max = max;
  }

  /** @returns whether it is new; false once there is no room for more */
  add(print: number): boolean {
    if (this.#seen.has(print)) return false;
    this.#full ||= this.#seen.size >= this.#max;
    if (this.#full) return false;
    this.#seen.add(print);
    return true;
  }

  get size(): number {
    return this.#seen.size;
  }

  /** True when something was not counted. */
  get full(): boolean {
    return this.#full;
  }
}
