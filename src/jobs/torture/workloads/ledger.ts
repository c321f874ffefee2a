/** Requests of a run by what they are for, as the registry's own access log would count them. */
export const REQUEST_KINDS = [
  'base',
  'catalog',
  'tags',
  'state',
  'health',
  'sessions',
  'repository',
  'getManifest',
  'putManifest',
  'deleteManifest',
  'getBlob',
  'startUpload',
  'patchUpload',
  'putUpload',
  'cancelUpload',
] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

/**
 * What a thread has written, for the one that cleans up: images it began (their numbers run from 0), manifests
 * the registry said it stored, those it said it deleted, and those whose tag is gone but not the manifest.
 */
const WRITINGS = ['begun', 'stored', 'deleted', 'stranded'] as const;
export type Writing = (typeof WRITINGS)[number];

type Counter = RequestKind | Writing;
const COUNTERS: readonly Counter[] = [...REQUEST_KINDS, ...WRITINGS];
const POSITIONS = new Map(COUNTERS.map((counter, position) => [counter, position]));

/**
 * Counters of all threads of a run, one row each, in memory they share: what was sent and written is known to
 * the job whatever becomes of a thread.
 */
export class Ledger {
  /** Goes to the threads as it is. */
  readonly memory: SharedArrayBuffer;
  readonly #counters: Int32Array;

  private constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#counters = new Int32Array(memory);
  }

  static forThreads(threads: number): Ledger {
    const rows = Math.max(1, threads);
    return new Ledger(new SharedArrayBuffer(rows * COUNTERS.length * Int32Array.BYTES_PER_ELEMENT));
  }

  static over(memory: SharedArrayBuffer): Ledger {
    return new Ledger(memory);
  }

  get threads(): number {
    return this.#counters.length / COUNTERS.length;
  }

  /** Counts one more, and gives what it was before. */
  add(thread: number, counter: Counter): number {
    return Atomics.add(this.#counters, this.#at(thread, counter), 1);
  }

  count(thread: number, counter: Counter): number {
    return Atomics.load(this.#counters, this.#at(thread, counter));
  }

  total(counter: Counter): number {
    let sum = 0;
    for (let thread = 0; thread < this.threads; thread++) sum += this.count(thread, counter);
    return sum;
  }

  /** The requests of all threads, those that were made. */
  requests(): Partial<Record<RequestKind, number>> {
    return Object.fromEntries(
      REQUEST_KINDS.map((kind) => [kind, this.total(kind)] as const).filter(([, count]) => count > 0),
    );
  }

  #at(thread: number, counter: Counter): number {
    return thread * COUNTERS.length + (POSITIONS.get(counter) as number);
  }
}

/** Runs that are given no prefix write below this, each below a name of its own. */
export const WRITE_PREFIX = 'regops-torture';

/**
 * Whether a repository is one that runs write to, below these prefixes or the usual one. Cleaned up it is empty, and
 * no registry lets a client take away its name.
 */
export function isWorkplace(repository: string, prefixes: readonly string[] = []): boolean {
  const thread = /^(.+)\/w\d+$/.exec(repository)?.[1];
  if (thread === undefined) return false;
  return prefixes.includes(thread) || /^[^/]+$/.test(within(thread, WRITE_PREFIX) ?? '');
}

function within(name: string, prefix: string): string | undefined {
  return name.startsWith(`${prefix}/`) ? name.slice(prefix.length + 1) : undefined;
}

/** Where a thread's images go, and what they are called: the job finds them again by the ledger's numbers. */
export function imagePlace(
  run: { readonly writePrefix: string; readonly runId: string },
  thread: number,
): { readonly repository: string; tagOf(sequence: number): string; sequenceOf(tag: string): number } {
  const prefix = `${run.runId}-`;
  return {
    repository: `${run.writePrefix}/w${thread}`,
    tagOf: (sequence) => `${prefix}${sequence}`,
    sequenceOf: (tag) =>
      tag.startsWith(prefix) && /^\d{1,10}$/.test(tag.slice(prefix.length))
        ? Number(tag.slice(prefix.length))
        : -1,
  };
}
