/**
 * Linearizability of a register whose writes are all different and that nobody deletes, after P. B. Gibbons and
 * E. Korach, "Testing Shared Memories" (1997). A write and the reads of its value are a group, with f, the earliest
 * return, and s, the latest call in it. Group A has to come before B when f(A) < s(B); the register is linearizable
 * when no read returns before its write is called and no two groups have to come before each other (a longer circle
 * always holds one of two: its member with the greatest s and any other). What returned at the very microsecond in
 * which something else was called counts as concurrent with it.
 */
import { Column } from './columns.ts';
import type { Operation } from './operation.ts';
import type { OperationTable } from './operation-table.ts';

/** Operations that cannot be put in an order, not yet the fewest; the last one is a read that shows it. */
export interface Conflict {
  readonly why: 'order' | 'absent';
  readonly operations: readonly Operation[];
}

interface Group {
  readonly value: number;
  readonly writeRow: number;
  readonly writeCall: number;
  readonly writeEnd: number;
  /** What returned first, and what was called last. */
  first: Operation;
  last: Operation;
  f: number;
  s: number;
}

/** How many groups one sweep sets aside because of conflicts; beyond, the register is broken enough. */
const MAX_CONFLICTS_AT_ONCE = 16;
/** Row numbers kept of an overwritten value. */
const ROWS = 5;
/** Which of them is what returned first of the one that overwrote it. */
const FIRST_AFTER = 3;

/**
 * The zone test as operations come in. {@link settle} says up to when everything is known: groups that nobody may
 * read any more are then forgotten but for a few row numbers, so memory grows with the writes only.
 */
export class ZoneTest {
  readonly #table: OperationTable;
  readonly #groups = new Map<number, Group>();
  /** Of an overwritten value: where its rows begin. */
  readonly #overwritten = new Map<number, number>();
  readonly #rows = Column.ofIntegers(-1);
  /** What returned first of all that saw or made a value. */
  #earliest: Operation | undefined;
  #settledUs = 0;

  constructor(table: OperationTable) {
    this.#table = table;
  }

  /** A write that was done or may have been, the first of its value; its row in the table is `row`. */
  write(operation: Operation, value: number, row: number): void {
    const endUs = this.#table.endUs(row);
    const group: Group = {
      value,
      writeRow: row,
      writeCall: operation.callUs,
      writeEnd: endUs,
      first: operation,
      last: operation,
      f: endUs,
      s: operation.callUs,
    };
    this.#groups.set(value, group);
    if (endUs < Number.POSITIVE_INFINITY) this.#sawValue(operation);
  }

  /**
   * A read of a value that was written, by a write called before the read returned; undefined for nothing. Reads come
   * in the order of their returns when everything called before those is known.
   */
  read(operation: Operation, value: number | undefined): Conflict | undefined {
    if (value === undefined) {
      const before = this.#earliest;
      return before && before.returnUs < operation.callUs
        ? { why: 'absent', operations: [before, operation] }
        : undefined;
    }
    const overwritten = this.#overwritten.get(value);
    if (overwritten !== undefined) return this.#staleRead(operation, overwritten);
    const group = this.#groups.get(value);
    if (!group) return undefined;
    this.#sawValue(operation);
    if (operation.returnUs < group.f) {
      group.f = operation.returnUs;
      group.first = operation;
    }
    if (operation.callUs > group.s) {
      group.s = operation.callUs;
      group.last = operation;
    }
    return undefined;
  }

  /** Judges what is known and forgets what can no longer matter. Everything called before `settledUs` was given. */
  settle(settledUs: number): Conflict[] {
    const conflicts: Conflict[] = [];
    let groups = [...this.#groups.values()]
      .filter(({ f }) => f < Number.POSITIVE_INFINITY)
      .sort((a, b) => a.f - b.f || a.s - b.s);
    while (conflicts.length < MAX_CONFLICTS_AT_ONCE) {
      const pair = conflictIn(groups);
      if (!pair) break;
      const [older, newer] = pair;
      conflicts.push({ why: 'order', operations: this.#operationsOf(older, newer) });
      this.#forget(older, newer);
      groups = groups.filter((group) => group !== older);
    }
    this.#forgetOverwritten(groups.filter(({ f }) => f < settledUs));
    this.#settledUs = settledUs;
    return conflicts;
  }

  /**
   * What is left to know for whoever judges on from here: the operations that later ones depend on, and whether
   * the register may still be as it was before the first of them.
   */
  handOver(): { readonly operations: readonly Operation[]; readonly untouched: boolean } {
    const operations = [...this.#groups.values()].flatMap(({ writeRow, first, last }) => [
      this.#table.get(writeRow),
      ...new Set([first, last].filter(({ kind }) => kind !== 'put-manifest')),
    ]);
    const untouched = this.#earliest === undefined || this.#earliest.returnUs >= this.#settledUs;
    return { operations, untouched };
  }

  #sawValue(operation: Operation): void {
    if (!this.#earliest || operation.returnUs < this.#earliest.returnUs) this.#earliest = operation;
  }

  #staleRead(read: Operation, at: number): Conflict | undefined {
    if (this.#table.endUs(this.#rows.get(at + FIRST_AFTER)) >= read.callUs) return undefined;
    const rows = Array.from({ length: ROWS }, (_, index) => this.#rows.get(at + index));
    const operations = Array.from(new Set(rows), (row) => this.#table.get(row));
    return { why: 'order', operations: [...operations, read] };
  }

  #operationsOf(older: Group, newer: Group): Operation[] {
    const reads = [older.first, newer.first, newer.last, older.last].filter(
      ({ kind }) => kind !== 'put-manifest',
    );
    return [this.#table.get(older.writeRow), this.#table.get(newer.writeRow), ...new Set(reads)];
  }

  /** Forgets groups that another one has to come after: whoever reads their value from now on is too late. */
  #forgetOverwritten(groups: readonly Group[]): void {
    let [latest, second]: (Group | undefined)[] = [];
    for (const group of groups) {
      if (!latest || group.s > latest.s) [latest, second] = [group, latest];
      else if (!second || group.s > second.s) second = group;
    }
    for (const group of groups) {
      const after = group === latest ? second : latest;
      if (after && after.s > group.f) this.#forget(group, after);
    }
  }

  /** Keeps of a value only who overwrote it: their writes alone where those show it, else reads too. */
  #forget(group: Group, after: Group): void {
    this.#groups.delete(group.value);
    const at = this.#overwritten.size * ROWS;
    this.#overwritten.set(group.value, at);
    const byWrites = after.writeCall > group.writeEnd;
    const rows = [
      group.writeRow,
      byWrites ? group.writeRow : this.#rowOf(group.first, group),
      after.writeRow,
      after.writeEnd <= after.f ? after.writeRow : this.#rowOf(after.first, after),
      byWrites ? after.writeRow : this.#rowOf(after.last, after),
    ];
    for (let index = 0; index < ROWS; index++) this.#rows.set(at + index, rows[index] as number);
  }

  #rowOf(operation: Operation, { writeRow }: Group): number {
    return operation.kind === 'put-manifest' ? writeRow : this.#table.add(operation);
  }
}

/** Two groups that have to come before each other, the one with the earlier return first. */
function conflictIn(sorted: readonly Group[]): readonly [Group, Group] | undefined {
  let latest: Group | undefined;
  for (const group of sorted) {
    if (latest && group.f < latest.s && latest.f < group.s) return [latest, group];
    if (!latest || group.s > latest.s) latest = group;
  }
  return undefined;
}
