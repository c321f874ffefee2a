/**
 * Session guarantees of one tag: that no client goes back in time. Which of two writes is the older is only said
 * where it is certain: one was over before the other was called, or its client had seen the one before it wrote the
 * other. Nothing of this is needed for a linearizable tag, so a violation here is one of linearizability too.
 */
import type { InvariantName } from './invariants.ts';
import type { Operation } from './operation.ts';
import type { OperationTable } from './operation-table.ts';

/** A client that went back: the guarantee it lost, and the operations that show it. */
export interface WayBack {
  readonly guarantee: InvariantName &
    ('read-your-writes' | 'monotonic-reads' | 'monotonic-writes' | 'writes-follow-reads');
  readonly operations: readonly Operation[];
}

/** The newest write a client knows of. */
interface Floor {
  row: number;
  /** What told it: its own write, or a read. */
  told: Operation;
}

/** Two marks of one client and tag at most; O(1) per operation. */
export class Sessions {
  readonly #table: OperationTable;
  readonly #floors = new Map<number, Floor>();
  /** By row of a write: the write its client had seen before, where the times alone do not say so. */
  readonly #basis = new Map<number, number>();

  constructor(table: OperationTable) {
    this.#table = table;
  }

  /** A write that got 201; its clients' operations come in their order. */
  write(operation: Operation, row: number): void {
    const floor = this.#floors.get(operation.client);
    if (floor && floor.told.returnUs < operation.callUs && this.#table.endUs(floor.row) >= operation.callUs) {
      this.#basis.set(row, floor.row);
    }
    this.#raise(operation, row, floor);
  }

  /** A read of what the write in that row wrote (of a value that was written again, the last one). */
  read(operation: Operation, row: number): WayBack | undefined {
    const floor = this.#floors.get(operation.client);
    const back =
      floor && floor.told.returnUs < operation.callUs ? this.#wayBack(operation, row, floor) : undefined;
    this.#raise(operation, row, floor);
    return back;
  }

  /** A read of nothing, where nobody deleted anything. */
  readAbsent(operation: Operation): WayBack | undefined {
    const floor = this.#floors.get(operation.client);
    if (!floor || floor.told.returnUs >= operation.callUs) return undefined;
    const own = floor.told.kind === 'put-manifest';
    return { guarantee: own ? 'read-your-writes' : 'monotonic-reads', operations: [floor.told, operation] };
  }

  #wayBack(operation: Operation, row: number, { row: newer, told }: Floor): WayBack | undefined {
    if (row === newer) return undefined;
    const table = this.#table;
    const follows = this.#basis.get(newer) === row;
    if (!follows && table.endUs(row) >= table.callUs(newer)) return undefined;
    const writes = [table.get(row), table.get(newer)];
    if (told.kind === 'put-manifest')
      return { guarantee: 'read-your-writes', operations: [...writes, operation] };
    return {
      guarantee: follows
        ? 'writes-follow-reads'
        : table.client(row) === table.client(newer) && table.client(row) !== operation.client
          ? 'monotonic-writes'
          : 'monotonic-reads',
      operations: [...writes, told, operation],
    };
  }

  #raise(told: Operation, row: number, floor: Floor | undefined): void {
    if (!floor) this.#floors.set(told.client, { row, told });
    else if (floor.row !== row && this.#table.callUs(row) > this.#table.callUs(floor.row)) {
      floor.row = row;
      floor.told = told;
    }
  }
}
