/**
 * Linearizability of any register, deletes and equal writes included, by search: every state the register may be in
 * is kept, with the set of open operations that have taken effect in it, and is moved on by each return (the
 * just-in-time linearization of G. Lowe, "Testing for Linearizability", 2017). What has not returned takes effect
 * only when somebody needs it to. It costs up to 2^k states for k operations open at once, so it is bounded and may
 * say `unknown`. Reads take effect as soon as they can: they change nothing, so that never hurts.
 */
import { endOf, type Operation } from './operation.ts';

/** The register holds nothing. */
export const ABSENT = 0;
/** The register holds something that no read can have found: what it held before was overwritten. */
export const OVERWRITTEN = 1;
/** What a digest's number is moved by to be a state. */
const FIRST_VALUE = 2;

/** Open operations of one register at once; beyond, the verdict is `unknown`. */
const MAX_OPEN = 24;
const MASKS = 2 ** MAX_OPEN;

/** One operation on the register. */
export interface Step {
  readonly operation: Operation;
  /** `remove-if` empties the register only while it holds the value: a delete by digest. */
  readonly act: 'write' | 'read' | 'remove' | 'remove-if';
  readonly state: number;
  readonly endUs: number;
}

/** The step that an operation is on a register; the value is a digest's number, undefined for nothing. */
export function stepOf(operation: Operation, value: number | undefined): Step {
  const state = value === undefined ? ABSENT : value + FIRST_VALUE;
  return { operation, act: actOf(operation, value), state, endUs: endOf(operation) };
}

function actOf({ kind }: Operation, value: number | undefined): Step['act'] {
  if (kind === 'put-manifest') return 'write';
  if (kind !== 'delete-manifest') return 'read';
  return value === undefined ? 'remove' : 'remove-if';
}

export interface SearchOptions {
  /** The state before the first operation. */
  readonly initial: typeof ABSENT | typeof OVERWRITTEN;
  /** States looked at between two returns before the search gives up. */
  readonly maxStates?: number;
  /** How many operations to remember for a counterexample. */
  readonly maxLog?: number;
}

/** Where the search stands; of `violated` the operations that led there, the one that fits nowhere last. */
export type SearchVerdict =
  | { readonly status: 'ok' | 'unknown' }
  | { readonly status: 'violated'; readonly at: Operation; readonly operations: readonly Operation[] };

const OK: SearchVerdict = { status: 'ok' };
const UNKNOWN: SearchVerdict = { status: 'unknown' };

export class RegisterSearch {
  readonly #maxStates: number;
  readonly #maxLog: number;
  #waiting: Step[] = [];
  readonly #open: (Step | undefined)[] = [];
  #states: Set<number>;
  /** Writes that may have happened and that nobody has read or deleted by digest: they need no place until then. */
  readonly #unread = new Map<number, Step[]>();
  readonly #read = new Set<number>();
  #log: Step[] = [];
  #verdict: SearchVerdict = OK;

  constructor(options: SearchOptions) {
    this.#states = new Set([options.initial * MASKS]);
    this.#maxStates = options.maxStates ?? 200_000;
    this.#maxLog = options.maxLog ?? 2000;
  }

  add(step: Step): void {
    if (this.#verdict !== OK) return;
    if (step.act === 'read' && step.operation.outcome !== 'ok') return;
    if (step.act === 'write' && step.endUs === Number.POSITIVE_INFINITY && !this.#read.has(step.state)) {
      this.#unread.set(step.state, [...(this.#unread.get(step.state) ?? []), step]);
      return;
    }
    if ((step.act === 'read' || step.act === 'remove-if') && !this.#read.has(step.state)) {
      this.#read.add(step.state);
      this.#waiting.push(...(this.#unread.get(step.state) ?? []));
      this.#unread.delete(step.state);
    }
    this.#waiting.push(step);
  }

  /** Judges up to a time before which every call is known. */
  settle(knownUs: number): SearchVerdict {
    if (this.#verdict !== OK) return this.#verdict;
    this.#waiting.sort((a, b) => a.operation.callUs - b.operation.callUs);
    let next = 0;
    for (;;) {
      const call = this.#waiting[next];
      const slot = this.#firstToReturn();
      const endUs = this.#open[slot]?.endUs ?? Number.POSITIVE_INFINITY;
      const callUs = call?.operation.callUs ?? Number.POSITIVE_INFINITY;
      if (call && callUs < knownUs && callUs <= endUs) {
        next++;
        if (!this.#call(call)) return this.#end(UNKNOWN);
      } else if (endUs < knownUs) {
        const step = this.#open[slot] as Step;
        const status = this.#return(slot);
        if (status === 'unknown') return this.#end(UNKNOWN);
        if (status === 'violated') {
          const operations = this.#log.map(({ operation }) => operation);
          return this.#end({ status, at: step.operation, operations });
        }
        this.#shorten();
      } else break;
    }
    this.#waiting = this.#waiting.slice(next);
    return OK;
  }

  #end(verdict: SearchVerdict): SearchVerdict {
    this.#verdict = verdict;
    this.#waiting = [];
    this.#log = [];
    this.#states = new Set();
    this.#unread.clear();
    return verdict;
  }

  #firstToReturn(): number {
    let first = -1;
    for (let slot = 0; slot < this.#open.length; slot++) {
      const step = this.#open[slot];
      if (step && step.endUs < (this.#open[first]?.endUs ?? Number.POSITIVE_INFINITY)) first = slot;
    }
    return first;
  }

  /** False when too much is open at once. */
  #call(step: Step): boolean {
    let slot = this.#open.indexOf(undefined);
    if (slot === -1) slot = this.#open.length;
    if (slot >= MAX_OPEN) return false;
    this.#open[slot] = step;
    this.#log.push(step);
    if (this.#log.length > this.#maxLog) this.#log.splice(0, this.#log.length - this.#maxLog);
    if (step.act === 'read') this.#states = new Set(Array.from(this.#states, (key) => this.#withReads(key)));
    return true;
  }

  #return(slot: number): 'ok' | 'violated' | 'unknown' {
    const bit = 2 ** slot;
    const done = new Set<number>();
    const seen = new Set<number>();
    const ahead: number[] = [];
    for (const key of this.#states) {
      if (hasBit(key, bit)) done.add(key - bit);
      else ahead.push(key);
    }
    for (let key = ahead.pop(); key !== undefined; key = ahead.pop()) {
      for (let other = 0; other < this.#open.length; other++) {
        const step = this.#open[other];
        if (!step || step.act === 'read' || hasBit(key, 2 ** other)) continue;
        const after = this.#withReads(applied(step, key) + 2 ** other);
        if (seen.has(after)) continue;
        seen.add(after);
        if (hasBit(after, bit)) done.add(after - bit);
        else ahead.push(after);
      }
      if (seen.size > this.#maxStates) return 'unknown';
    }
    if (done.size === 0) return 'violated';
    if (done.size > this.#maxStates) return 'unknown';
    this.#open[slot] = undefined;
    this.#states = done;
    this.#freeDone();
    return 'ok';
  }

  /** What never returns gives up its place when it has taken effect in every state. */
  #freeDone(): void {
    for (let slot = 0; slot < this.#open.length; slot++) {
      if (this.#open[slot]?.endUs !== Number.POSITIVE_INFINITY) continue;
      const bit = 2 ** slot;
      if (![...this.#states].every((key) => hasBit(key, bit))) continue;
      this.#open[slot] = undefined;
      this.#states = new Set(Array.from(this.#states, (key) => key - bit));
    }
  }

  #withReads(key: number): number {
    const state = Math.floor(key / MASKS);
    let after = key;
    for (let slot = 0; slot < this.#open.length; slot++) {
      const step = this.#open[slot];
      if (step?.act === 'read' && step.state === state && !hasBit(after, 2 ** slot)) after += 2 ** slot;
    }
    return after;
  }

  /** Where nothing is open and only one state is possible, all before it is told by how that state came about. */
  #shorten(): void {
    if (this.#states.size !== 1 || this.#open.some((step) => step !== undefined)) return;
    const [key = 0] = this.#states;
    const state = Math.floor(key / MASKS);
    const writes = this.#log.filter(({ act }) => act === 'write');
    if (state !== ABSENT) {
      const write = writes.findLast((step) => step.state === state);
      if (write) this.#log = [write];
      return;
    }
    const write = writes.at(-1);
    const remove = this.#log.findLast(({ act }) => act === 'remove' || act === 'remove-if');
    if (!write && !remove) this.#log = [];
    else if (write && remove && writes.every(({ endUs }) => endUs < remove.operation.callUs))
      this.#log = [write, remove];
  }
}

function hasBit(key: number, bit: number): boolean {
  return Math.floor(key / bit) % 2 === 1;
}

function applied(step: Step, key: number): number {
  const state = Math.floor(key / MASKS);
  const mask = key - state * MASKS;
  if (step.act === 'write') return step.state * MASKS + mask;
  const empties = step.act === 'remove' || state === step.state;
  return (empties ? ABSENT : state) * MASKS + mask;
}
