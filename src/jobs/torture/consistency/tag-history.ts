import type { Digest } from '../../../oci/index.ts';
import { fingerprint } from '../manifest-memory.ts';
import type { Evidence } from './result.ts';

/** A quarter of a million names with their readings take some 50 MB. */
const MAX_NAMES = 250_000;
/** Pushes to one repository that are remembered: the latest. */
const MAX_PUSHES = 100;

/** A push as it shows from outside: a tag that was not there before, or led elsewhere. */
export interface SeenPush {
  readonly tag: string;
  /** What the tag leads to since. */
  readonly digest: Digest;
  /** It happened after the one moment and before the other. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** The reply that shows it. */
  readonly evidence: Evidence;
}

interface Reading {
  /** Where the tag leads; undefined until it was asked. */
  print: number | undefined;
  /** When it was asked last, or when a list last lacked it; undefined when neither is known. */
  sinceMs: number | undefined;
}

interface History {
  readonly listedMs: number;
  readonly tags: ReadonlyMap<string, Reading>;
  readonly pushes: SeenPush[];
}

/**
 * The tags repositories had at the last look and where they led, and the pushes that show in what has changed
 * since. Holds as many names as there is room for: a repository that comes later is not remembered.
 */
export class TagHistory {
  readonly #repositories = new Map<string, History>();
  readonly #max: number;
  #kept = 0;
  #full = false;
  #completeMs: number | undefined;

  constructor(max = MAX_NAMES) {
    this.#max = max;
  }

  /** Names held. */
  get kept(): number {
    return this.#kept;
  }

  /** The tags a repository had at the last look. */
  tagsOf(repository: string): readonly string[] {
    return [...(this.#repositories.get(repository)?.tags.keys() ?? [])];
  }

  /** The tags of a repository in which a push may show first: those never asked where they lead, and those that have moved. */
  restless(repository: string): readonly string[] {
    const { tags = [], pushes = [] } = this.#repositories.get(repository) ?? {};
    const unknown = [...tags].filter(([, { print }]) => print === undefined).map(([tag]) => tag);
    return [...new Set([...unknown, ...pushes.map(({ tag }) => tag).reverse()])];
  }

  /** Whether a tag led to a digest when it was last asked. */
  leadsTo(repository: string, tag: string, digest: Digest): boolean {
    return this.#repositories.get(repository)?.tags.get(tag)?.print === fingerprint(digest);
  }

  /** A repository's whole tag list, as it was asked for at that moment. */
  listed(repository: string, tags: readonly string[], askedMs: number): void {
    const before = this.#repositories.get(repository);
    this.#repositories.delete(repository);
    this.#kept -= before?.tags.size ?? 0;
    const different = new Set(tags);
    if (this.#kept + different.size > this.#max) {
      this.#full = true;
      return;
    }
    const sinceMs = before?.listedMs ?? this.#completeMs;
    const readings = new Map<string, Reading>();
    for (const tag of different) readings.set(tag, before?.tags.get(tag) ?? { print: undefined, sinceMs });
    this.#repositories.set(repository, { listedMs: askedMs, tags: readings, pushes: before?.pushes ?? [] });
    this.#kept += different.size;
  }

  /** Every repository there was at that moment has been listed: one that is listed for the first time later is new. */
  complete(askedMs: number): void {
    this.#completeMs = this.#full ? undefined : askedMs;
  }

  /** Where a reply says that a tag leads. */
  resolved(repository: string, tag: string, digest: Digest, evidence: Evidence): void {
    const history = this.#repositories.get(repository);
    const reading = history?.tags.get(tag);
    if (!history || !reading) return;
    const { fromMs, toMs } = timesOf(evidence);
    const print = fingerprint(digest);
    if (reading.print !== print && reading.sinceMs !== undefined) {
      history.pushes.push({
        tag,
        digest,
        sinceMs: Math.min(reading.sinceMs, fromMs),
        untilMs: toMs,
        evidence,
      });
      if (history.pushes.length > MAX_PUSHES) history.pushes.shift();
    }
    reading.print = print;
    reading.sinceMs = fromMs;
  }

  /** The pushes to a repository that may have been under way while that reply was made. */
  pushesDuring(repository: string, evidence: Evidence): readonly SeenPush[] {
    const { fromMs, toMs } = timesOf(evidence);
    return (this.#repositories.get(repository)?.pushes ?? []).filter(
      ({ sinceMs, untilMs }) => sinceMs <= toMs && untilMs >= fromMs,
    );
  }
}

function timesOf({ at, durationMs }: Evidence): { fromMs: number; toMs: number } {
  const fromMs = Date.parse(at);
  return { fromMs, toMs: fromMs + durationMs };
}
