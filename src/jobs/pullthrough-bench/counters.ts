/** Requests that were sent to the cache, by what they are for, as its own access log would count them. */
export const REQUEST_KINDS = ['getManifest', 'getBlob', 'prune'] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

const COUNTERS = [...REQUEST_KINDS, 'hook', 'pass', 'redirected', 'stopped'] as const;
/**
 * Beside the requests: runs of the cold hook, passes that pullers have ended, pulls of which blobs are kept
 * elsewhere, pullers that gave up after a failure.
 */
export type Counter = (typeof COUNTERS)[number];
const POSITIONS = new Map(COUNTERS.map((counter, position) => [counter, position]));

/** Counts of all threads of a run, in memory they share: known to the job whatever becomes of a thread. */
export class Counters {
  /** Goes to the threads as it is. */
  readonly memory: SharedArrayBuffer;
  readonly #counts: Int32Array;

  constructor(memory = new SharedArrayBuffer(COUNTERS.length * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#counts = new Int32Array(memory);
  }

  add(counter: Counter): void {
    Atomics.add(this.#counts, POSITIONS.get(counter) as number, 1);
  }

  count(counter: Counter): number {
    return Atomics.load(this.#counts, POSITIONS.get(counter) as number);
  }
}

/** Which pullers have gone home before their time, in memory that all threads share. */
export class GoneHome {
  readonly memory: SharedArrayBuffer;
  readonly #flags: Uint8Array;

  constructor(pullers: number | SharedArrayBuffer) {
    this.memory = typeof pullers === 'number' ? new SharedArrayBuffer(pullers) : pullers;
    this.#flags = new Uint8Array(this.memory);
  }

  add(puller: number): void {
    this.#flags[puller] = 1;
  }

  /** How many of the first so many. */
  among(pullers: number): number {
    let gone = 0;
    for (let puller = 0; puller < pullers; puller++) gone += this.#flags[puller] ?? 0;
    return gone;
  }
}
