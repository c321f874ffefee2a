/** A quarter of a million names take some 20 MB. */
const MAX_NAMES = 250_000;

/** The tags repositories had at the last look, as many as there is room for: later ones are not remembered. */
export class KnownTags {
  readonly #tags = new Map<string, readonly string[]>();
  readonly #max: number;
  #kept = 0;

  constructor(max = MAX_NAMES) {
    this.#max = max;
  }

  /** Names held. */
  get kept(): number {
    return this.#kept;
  }

  get(repository: string): readonly string[] {
    return this.#tags.get(repository) ?? [];
  }

  set(repository: string, tags: readonly string[]): void {
    this.#kept -= this.get(repository).length;
    this.#tags.delete(repository);
    if (this.#kept + tags.length > this.#max) return;
    this.#tags.set(repository, tags);
    this.#kept += tags.length;
  }
}
