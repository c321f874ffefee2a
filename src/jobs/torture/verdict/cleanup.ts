import { isRegopsError, mapConcurrently, messageOf } from '../../../base/index.ts';
import { deleteManifest, type RegistryClient, statusOf } from '../../../registry/index.ts';
import { removeDanglingTags } from '../dangling-tags.ts';
import type { Cleanup } from '../stress/result.ts';
import type { Site } from './site.ts';

const AT_ONCE = 16;
const MAX_NAMED = 100;

/**
 * Removes what a run has written, repository by repository, and counts it. Every manifest is the run's own; blobs are
 * left to the registry's garbage collection. Never throws: what could not be removed is in the result.
 */
export class Cleaner {
  readonly #client: RegistryClient;
  readonly #writePrefix: string;
  readonly #signal: AbortSignal;
  readonly #left: { repository: string; tag: string; reason: string }[] = [];
  #deletesTags = true;
  #last: Promise<void> = Promise.resolve();
  #pushed = 0;
  #removed = 0;
  #kept = 0;

  /** @param signal ends it when there is no more time */
  constructor(client: RegistryClient, writePrefix: string, signal: AbortSignal) {
    this.#client = client;
    this.#writePrefix = writePrefix;
    this.#signal = signal;
  }

  /**
   * Removes everything of a repository: first tags, where the registry can (Google's refuses a manifest that has one).
   * One repository after the other: distribution looks through all tags at every delete of a manifest, and the load
   * that goes on is not to wait for that more than it must.
   */
  clean(site: Pick<Site, 'repository' | 'inventory'>): Promise<void> {
    this.#last = this.#last.then(() => this.#cleanNow(site));
    return this.#last;
  }

  async #cleanNow({ repository, inventory }: Pick<Site, 'repository' | 'inventory'>): Promise<void> {
    const { tags, manifests } = inventory;
    this.#pushed += manifests.size;
    await mapConcurrently(tags, AT_ONCE, undefined, (tag) => this.#untag(repository, tag));
    await mapConcurrently(manifests, AT_ONCE, undefined, (digest) => this.#remove(repository, digest));
    if (this.#deletesTags || tags.size === 0) return;
    const stay = await removeDanglingTags(this.#client, repository, (tag) => tags.has(tag), this.#signal);
    for (const { tag, reason } of stay) this.#keep(repository, tag, reason);
  }

  /** What became of everything; manifests the run itself deleted count as removed. */
  cleanup(): Cleanup {
    return {
      writePrefix: this.#writePrefix,
      manifestsPushed: this.#pushed,
      manifestsDeleted: 0,
      manifestsRemoved: this.#removed,
      left: this.#left,
      manifestsLeft: this.#kept,
      complete: !this.#signal.aborted,
    };
  }

  async #untag(repository: string, tag: string): Promise<void> {
    if (!this.#deletesTags || this.#signal.aborted) return;
    try {
      await deleteManifest(this.#client, repository, tag, this.#signal);
    } catch (error) {
      // distribution 2.8 answers 405, or 400 because a tag is no digest.
      if ([400, 405, 501].includes(statusOf(error) ?? 0)) this.#deletesTags = false;
    }
  }

  async #remove(repository: string, digest: string): Promise<void> {
    try {
      await deleteManifest(this.#client, repository, digest, this.#signal);
      this.#removed++;
    } catch (error) {
      if (statusOf(error) === 404 || isRegopsError(error, 'MANIFEST_NOT_FOUND')) this.#removed++;
      else this.#keep(repository, digest, this.#signal.aborted ? 'no time was left' : messageOf(error));
    }
  }

  #keep(repository: string, tag: string, reason: string): void {
    this.#kept++;
    if (this.#left.length < MAX_NAMED) this.#left.push({ repository, tag, reason });
  }
}
