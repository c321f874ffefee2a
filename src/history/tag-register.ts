import { isTag } from '../oci/index.ts';
import { fewest } from './counterexample.ts';
import type { Finding, InvariantName, JudgeOptions, Notes } from './invariants.ts';
import { endOf, type Operation } from './operation.ts';
import { type Numbered, type OperationTable, sortByReturn } from './operation-table.ts';
import { type Overlap, OverlapCount } from './overlap.ts';
import { ABSENT, OVERWRITTEN, RegisterSearch, stepOf } from './search.ts';
import { Sessions, type WayBack } from './sessions.ts';
import { type Conflict, ZoneTest } from './zones.ts';

/** Levels of consistency, strongest first; `none`: not even after a while do all see the last push. */
export const LEVELS = ['linearizable', 'session', 'eventual', 'none'] as const;
export type Level = (typeof LEVELS)[number];

/** What one tag met. */
export interface TagVerdict {
  readonly repository: string;
  readonly tag: string;
  /** The strongest level that was shown. */
  readonly level: Level;
  /** `unknown`: too much was open at once to say; `level` then tells of the weaker ones. */
  readonly linearizable: 'ok' | 'violated' | 'unknown';
  readonly operations: number;
  readonly overlap: Overlap;
}

/** What a tag's checks share with the rest of its repository. */
export interface RegisterPlace {
  readonly repository: string;
  readonly table: OperationTable;
  readonly notes: Notes;
  readonly options: Required<JudgeOptions>;
  /** Deletes and garbage collections of the repository that were under way in that time. */
  suspects(fromUs: number, toUs: number): readonly Operation[];
  /** Whether a tag may have been at a digest (by its number) when a delete of that tag was done. */
  mayHaveHeld(tag: string, value: number, removal: Operation): boolean;
}

/** How long before a counterexample a push may have been that has to do with it. */
const CONTEXT_US = 1_000_000;
/** How many such pushes are told, beside those of what was read. */
const MAX_CONTEXT = 8;
/** No row, and more than one. */
const [NONE, SEVERAL] = [-1, -2];

/**
 * One tag as a register: PUT writes it, GET and HEAD read it, DELETE empties it. It is judged by zones while every
 * write is of another digest and nobody deletes; from then on by search.
 */
export class TagRegister {
  readonly #tag: string;
  readonly #place: RegisterPlace;
  readonly #overlap = new OverlapCount();
  readonly #sessions: Sessions;
  #zones: ZoneTest | undefined;
  #search: RegisterSearch | undefined;
  #searchOver = false;
  readonly #rows = new Map<number, number>();
  /** Rows of all writes of what was written more than once. */
  readonly #repeated = new Map<number, number[]>();
  readonly #removals = new Set<Operation>();
  #uncounted: Operation[] = [];
  /** What its client's session has not been judged for. */
  #unread: Numbered[] = [];
  #linearizable: TagVerdict['linearizable'] = 'ok';
  #sessionKept = true;
  #foreign = false;
  #operations = 0;
  /** When the last change was over, or given up. */
  #quietUs = 0;
  /** Latest call of a PUT that got 201. */
  #lastWriteCallUs = Number.NEGATIVE_INFINITY;
  /** Latest end of a delete. */
  #lastDeleteEndUs = Number.NEGATIVE_INFINITY;
  #firstDeleteCallUs = Number.POSITIVE_INFINITY;
  #lastRead: Operation | undefined;
  #lastOther: Operation | undefined;
  #lastSeen: Operation | undefined;

  constructor(tag: string, place: RegisterPlace) {
    this.#tag = tag;
    this.#place = place;
    this.#sessions = new Sessions(place.table);
    this.#zones = new ZoneTest(place.table);
  }

  /** Whether a digest (by its number) may have been here when a delete was done. */
  mayHaveHeld(value: number, removal: Operation): boolean {
    return this.#rowsOf(value).some((row) => this.#place.table.callUs(row) <= endOf(removal));
  }

  /** A PUT of the tag that was not refused. */
  write(put: Numbered & { readonly value: number }): void {
    const { operation, value, row } = put;
    this.#came(operation);
    const before = this.#rows.get(value);
    if (before === undefined || this.#place.table.endUs(before) < endOf(operation))
      this.#rows.set(value, row);
    if (before !== undefined) {
      this.#repeated.set(value, [...(this.#repeated.get(value) ?? [before]), row]);
      this.#startSearch();
    }
    if (operation.outcome === 'ok') {
      this.#lastWriteCallUs = Math.max(this.#lastWriteCallUs, operation.callUs);
      this.#unread.push(put);
    }
    this.#quietUs = Math.max(this.#quietUs, operation.returnUs);
    if (this.#search) this.#search.add(stepOf(operation, value));
    else this.#zones?.write(operation, value, row);
  }

  /** A DELETE that was not refused: of the tag, or (with a value) of a digest that was written here. Once is enough. */
  remove(operation: Operation, value: number | undefined): void {
    if (this.#removals.has(operation)) return;
    this.#removals.add(operation);
    this.#came(operation);
    this.#startSearch();
    this.#firstDeleteCallUs = Math.min(this.#firstDeleteCallUs, operation.callUs);
    this.#lastDeleteEndUs = Math.max(this.#lastDeleteEndUs, endOf(operation));
    this.#quietUs = Math.max(this.#quietUs, operation.returnUs);
    this.#search?.add(stepOf(operation, value));
  }

  /** A read that was answered with a digest, or with 404. */
  read(read: Numbered): void {
    this.#came(read.operation);
    this.#unread.push(read);
  }

  /** Judges what is known: every operation called before `knownUs` has been given. True when something is left. */
  settle(knownUs: number): boolean {
    this.#countOverlap(knownUs);
    const known: Numbered[] = [];
    const held: Numbered[] = [];
    // A read that is not over may have been called earlier: only what is before it too is settled.
    let settledUs = knownUs;
    for (const one of this.#unread) {
      if (one.operation.returnUs < knownUs) known.push(one);
      else {
        held.push(one);
        settledUs = Math.min(settledUs, one.operation.callUs);
      }
    }
    sortByReturn(known);
    let reads = 0;
    for (const { operation, value, row } of known) {
      if (row !== -1) continue;
      reads++;
      this.#judgeRead(operation, value);
    }
    for (const conflict of this.#zones?.settle(settledUs) ?? []) this.#report(conflict);
    this.#settleSearch(settledUs);
    for (const { operation, value, row } of known) this.#judgeSession(operation, value, row);
    this.#unread = held;
    for (const name of CHECKED_PER_READ) this.#place.notes.checked(name, reads);
    return held.length > 0 || this.#uncounted.length > 0;
  }

  /** What the tag met; call once, after everything was settled. */
  verdict(): TagVerdict {
    const converged = this.#converged();
    const level: Level =
      this.#foreign || !converged
        ? 'none'
        : !this.#sessionKept
          ? 'eventual'
          : this.#linearizable === 'ok'
            ? 'linearizable'
            : 'session';
    return {
      repository: this.#place.repository,
      tag: this.#tag,
      level,
      linearizable: this.#linearizable,
      operations: this.#operations,
      overlap: this.#overlap.counts,
    };
  }

  #came(operation: Operation): void {
    this.#operations++;
    this.#uncounted.push(operation);
  }

  #startSearch(): void {
    const zones = this.#zones;
    if (!zones) return;
    const { operations, untouched } = zones.handOver();
    this.#zones = undefined;
    this.#search = new RegisterSearch({ initial: untouched ? ABSENT : OVERWRITTEN });
    for (const operation of operations) this.#search.add(stepOf(operation, this.#valueOf(operation)));
  }

  #valueOf({ value }: Operation): number | undefined {
    return value === null ? undefined : this.#place.table.texts.number(value);
  }

  #countOverlap(knownUs: number): void {
    const known: Operation[] = [];
    const left: Operation[] = [];
    for (const operation of this.#uncounted) (operation.callUs < knownUs ? known : left).push(operation);
    this.#uncounted = left;
    for (const operation of known.sort((a, b) => a.callUs - b.callUs)) this.#overlap.add(operation);
  }

  #settleSearch(knownUs: number): void {
    if (!this.#search || this.#searchOver) return;
    const verdict = this.#search.settle(knownUs);
    this.#searchOver = verdict.status !== 'ok';
    if (verdict.status === 'unknown' && this.#linearizable === 'ok') this.#linearizable = 'unknown';
    if (verdict.status === 'violated') this.#reportSearch(verdict.at, verdict.operations);
  }

  /** A read when all that it can have seen is known. What nobody had pushed is told, and then left out. */
  #judgeRead(operation: Operation, value: number | undefined): void {
    if (value !== undefined && this.#writeSeenBy(operation, value) === NONE) {
      this.#reportForeign(operation, this.#rows.get(value));
    } else if (this.#search) this.#search.add(stepOf(operation, value));
    else this.#report(this.#zones?.read(operation, value));
  }

  #judgeSession(operation: Operation, value: number | undefined, row: number): void {
    if (operation.value !== null) this.#lastSeen = operation;
    if (row !== -1) {
      this.#sessions.write(operation, row);
      return;
    }
    if (this.#lastRead && this.#lastRead.value !== operation.value) this.#lastOther = this.#lastRead;
    this.#lastRead = operation;
    const back = this.#sessionRead(operation, value);
    if (!back) return;
    this.#sessionKept = false;
    this.#linearizable = 'violated';
    this.#violated(back.guarantee, () => ({
      sentence: sessionSentence(back.guarantee, operation),
      operations: back.operations,
    }));
  }

  #sessionRead(operation: Operation, value: number | undefined): WayBack | undefined {
    if (value === undefined) {
      return this.#firstDeleteCallUs <= operation.returnUs ? undefined : this.#sessions.readAbsent(operation);
    }
    const row = this.#writeSeenBy(operation, value);
    return row === NONE || row === SEVERAL ? undefined : this.#sessions.read(operation, row);
  }

  /** Row of the write of a value that a read may have seen: of two of them a read does not say which it saw. */
  #writeSeenBy(read: Operation, value: number): number {
    const { table } = this.#place;
    const row = this.#rows.get(value) ?? NONE;
    const rows = row === NONE ? undefined : this.#repeated.get(value);
    if (!rows) return row !== NONE && table.callUs(row) <= read.returnUs ? row : NONE;
    const [first = NONE, second] = rows.filter((one) => table.callUs(one) <= read.returnUs);
    return second === undefined ? first : SEVERAL;
  }

  #rowsOf(value: number): readonly number[] {
    const row = this.#rows.get(value);
    return row === undefined ? [] : (this.#repeated.get(value) ?? [row]);
  }

  #report(conflict: Conflict | undefined): void {
    if (!conflict) return;
    this.#linearizable = 'violated';
    const { why, operations } = conflict;
    const read = operations.at(-1) as Operation;
    if (why === 'absent') this.#reportAbsent(read, operations);
    else {
      this.#violated('stale-read', () => ({
        sentence:
          'Whatever the order, one of these reads gave a manifest that another push had replaced before it began.',
        operations: fewest(operations) ?? operations,
      }));
    }
  }

  #reportSearch(at: Operation, operations: readonly Operation[]): void {
    this.#linearizable = 'violated';
    const value = this.#valueOf(at);
    if (value === undefined) {
      this.#reportAbsent(at, operations);
      return;
    }
    const all = operations.some((one) => one.kind === 'put-manifest' && one.value === at.value)
      ? operations
      : [...this.#rowsOf(value).map((row) => this.#place.table.get(row)), ...operations];
    const shown = fewest(all) ?? all;
    const { deleteGraceUs } = this.#place.options;
    const deleted = shown.some(
      (one) => one.kind === 'delete-manifest' && endOf(one) + deleteGraceUs < at.callUs,
    );
    this.#violated(deleted ? 'tag-resurrected' : 'stale-read', () => ({
      sentence: deleted
        ? 'The tag was deleted and not pushed again, yet it gave the manifest from before.'
        : 'Whatever the order, a read gave a manifest that had been replaced or deleted before it began.',
      operations: shown,
    }));
  }

  /** A read of what nobody had pushed; `row` is of a push that came too late. */
  #reportForeign(read: Operation, row: number | undefined): void {
    this.#foreign = true;
    this.#linearizable = 'violated';
    const { texts } = this.#place.table;
    if (row !== undefined) {
      this.#violated('read-before-write', () => ({
        sentence: 'The read had returned before the push of what it gave was called.',
        operations: [read, this.#place.table.get(row)],
      }));
      return;
    }
    const announced = read.announced === undefined ? undefined : texts.find(read.announced);
    const torn = read.size === 0 || (announced !== undefined && this.#rows.has(announced));
    this.#violated(torn ? 'torn-manifest' : 'phantom-manifest', () => ({
      sentence: torn
        ? 'The bytes that came are no manifest that was ever pushed, though the answer said they were one.'
        : 'Nobody had pushed this manifest to the tag.',
      operations: [read],
    }));
  }

  #reportAbsent(read: Operation, operations: readonly Operation[]): void {
    const seen = this.#seenBefore(read);
    const suspects = this.#place.suspects(seen?.callUs ?? 0, read.returnUs);
    const siblings = suspects.filter((one) => this.#mayHaveTakenAlong(one));
    const collections = suspects.filter(({ kind }) => kind === 'collect-garbage');
    const wasRead = seen !== undefined && seen.kind !== 'put-manifest';
    const [name, but]: readonly [InvariantName, string] =
      siblings.length > 0
        ? ['sibling-tag-removed', ', only another tag of its manifest, or the manifest it was moved from']
        : [wasRead || collections.length > 0 ? 'tag-lost' : 'stale-read', ''];
    this.#violated(name, () => ({
      sentence: `The tag had been pushed and nobody deleted it${but}, yet it was not found.`,
      operations: fewest(seen ? [...operations, seen] : operations) ?? operations,
      suspects: [...siblings, ...collections],
    }));
  }

  /** Whether a delete was of what this tag had held too: of the digest, or of another tag that was there. */
  #mayHaveTakenAlong(removal: Operation): boolean {
    const { kind, reference } = removal;
    if (kind !== 'delete-manifest' || reference === this.#tag) return false;
    const { mayHaveHeld, table } = this.#place;
    const digest = table.texts.find(reference);
    if (!isTag(reference)) return digest !== undefined && this.mayHaveHeld(digest, removal);
    return [...this.#rows.keys()].some(
      (value) => this.mayHaveHeld(value, removal) && mayHaveHeld(reference, value, removal),
    );
  }

  /** The last operation that shows the tag to be there before that read. */
  #seenBefore(read: Operation): Operation | undefined {
    let seen: Operation | undefined;
    for (const one of [this.#lastSeen, ...this.#unread.map(({ operation }) => operation)]) {
      if (!one || one.value === null || one.returnUs >= read.callUs) continue;
      if (!seen || one.returnUs > seen.returnUs) seen = one;
    }
    return seen;
  }

  /** Whether what was read last, long after the last change, may be what is there. */
  #converged(): boolean {
    const { settleUs } = this.#place.options;
    const quietUs = this.#quietUs + settleUs;
    const last = this.#lastRead;
    if (!last || last.callUs < quietUs) return true;
    this.#place.notes.checked('lost-update');
    const before = this.#lastOther;
    const differs =
      before && before.callUs >= quietUs && ![last, before].some((one) => this.#mayStillCome(one));
    const other = differs ? before : undefined;
    if (!other && this.#mayBeLast(last)) return true;
    this.#linearizable = 'violated';
    this.#violated('lost-update', () => ({
      sentence: other
        ? 'Long after the last change reads still differ.'
        : 'Long after the last change a read does not give what was pushed last.',
      operations: other ? [other, last] : [...this.#writesAround(last), last],
    }));
    return false;
  }

  /** Whether what was read may have been done between two late reads, by a change that nobody got an answer to. */
  #mayStillCome(read: Operation): boolean {
    const value = this.#valueOf(read);
    if (value === undefined) return this.#lastDeleteEndUs === Number.POSITIVE_INFINITY;
    const row = this.#rows.get(value);
    return row !== undefined && this.#place.table.endUs(row) === Number.POSITIVE_INFINITY;
  }

  #mayBeLast(read: Operation): boolean {
    const value = this.#valueOf(read);
    if (value === undefined)
      return this.#lastWriteCallUs <= this.#lastDeleteEndUs || this.#lastWriteCallUs < 0;
    const row = this.#rows.get(value);
    return row !== undefined && this.#place.table.endUs(row) >= this.#lastWriteCallUs;
  }

  /** The write of what was read, and the last one. */
  #writesAround(read: Operation): Operation[] {
    const { table } = this.#place;
    const value = this.#valueOf(read);
    const row = value === undefined ? undefined : this.#rows.get(value);
    const last = [...this.#rows.values()].find((one) => table.callUs(one) === this.#lastWriteCallUs);
    return [row, last].flatMap((one) => (one === undefined ? [] : [table.get(one)]));
  }

  #violated(
    name: InvariantName,
    make: () => Pick<Finding, 'sentence' | 'operations'> & Partial<Pick<Finding, 'suspects'>>,
  ): void {
    this.#place.notes.violated(name, () => {
      const made = make();
      return {
        repository: this.#place.repository,
        reference: this.#tag,
        suspects: [],
        context: this.#contextOf(made.operations),
        ...made,
      };
    });
  }

  /** Pushes from shortly before these operations until their end: those of what was read, and the last ones. */
  #contextOf(operations: readonly Operation[]): readonly Operation[] {
    const keyOf = ({ client, callUs }: Operation): string => `${client} ${callUs}`;
    const shown = new Set(operations.map(keyOf));
    const read = new Set(operations.map(({ value }) => value));
    const fromUs = Math.min(...operations.map(({ callUs }) => callUs)) - CONTEXT_US;
    const toUs = Math.max(...operations.map(({ returnUs }) => returnUs));
    const { table } = this.#place;
    const around = Array.from(this.#rows.keys(), (value) => this.#rowsOf(value))
      .flat()
      .filter((row) => table.callUs(row) <= toUs && table.endUs(row) >= fromUs)
      .map((row) => table.get(row))
      .filter((one) => !shown.has(keyOf(one)))
      .sort((a, b) => a.callUs - b.callUs);
    return around.filter(({ value }, at) => at >= around.length - MAX_CONTEXT || read.has(value));
  }
}

const CHECKED_PER_READ: readonly InvariantName[] = [
  'stale-read',
  'tag-lost',
  'tag-resurrected',
  'sibling-tag-removed',
  'torn-manifest',
  'phantom-manifest',
  'read-before-write',
  'read-your-writes',
  'monotonic-reads',
  'monotonic-writes',
  'writes-follow-reads',
];

function sessionSentence(guarantee: InvariantName, { client }: Operation): string {
  switch (guarantee) {
    case 'read-your-writes':
      return `Client ${client} had pushed, and then saw what was there before its push.`;
    case 'monotonic-writes':
      return `Client ${client} saw the second push of one client and then the first.`;
    case 'writes-follow-reads':
      return `Client ${client} saw a push and then what its author had seen before pushing.`;
    default:
      return `Client ${client} saw a newer push and then an older one, or none.`;
  }
}
