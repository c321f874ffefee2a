import type { Digest } from '../oci/index.ts';
import { Column, Texts } from './columns.ts';
import { OPERATION_KINDS, type Operation, OUTCOMES } from './operation.ts';

const NONE = -1;

/** An operation with the number of its value (undefined for nothing), and its row; -1 when the table does not keep it. */
export interface Numbered {
  readonly operation: Operation;
  readonly value: number | undefined;
  readonly row: number;
}

/** Sorts in place by the returns. A run's operations come in that order: looking is a tenth of what a sort costs. */
export function sortByReturn(operations: Numbered[]): void {
  let before = 0;
  for (const { operation } of operations) {
    if (operation.returnUs < before) {
      operations.sort((a, b) => a.operation.returnUs - b.operation.returnUs);
      return;
    }
    before = operation.returnUs;
  }
}

/**
 * Operations that must be kept for long (every write of a repository), about a hundred bytes each beside their
 * request ids: columns of numbers, and each name and digest once.
 */
export class OperationTable {
  /** Names and digests of the repository; a digest's number is its number everywhere in the checks. */
  readonly texts = new Texts();
  readonly #repository: string;
  readonly #code = Column.ofIntegers(0);
  readonly #client = Column.ofIntegers(0);
  readonly #processes = Column.ofIntegers(0);
  readonly #call = Column.ofFloats(0);
  readonly #return = Column.ofFloats(0);
  readonly #reference = Column.ofIntegers(NONE);
  readonly #value = Column.ofIntegers(NONE);
  readonly #size = Column.ofFloats(NONE);
  readonly #remote = Column.ofIntegers(NONE);
  readonly #requestIds: string[] = [];
  #length = 0;

  constructor(repository: string) {
    this.#repository = repository;
  }

  /** Keeps an operation; gives its row. What it names, and what was announced, is not kept. */
  add(operation: Operation): number {
    const row = this.#length++;
    const kind = OPERATION_KINDS.indexOf(operation.kind);
    this.#code.set(
      row,
      (kind * OUTCOMES.length + OUTCOMES.indexOf(operation.outcome)) * 1000 + operation.status,
    );
    this.#client.set(row, operation.client);
    this.#processes.set(row, operation.process);
    this.#call.set(row, operation.callUs);
    this.#return.set(row, operation.returnUs);
    this.#reference.set(row, this.texts.number(operation.reference));
    if (operation.value !== null) this.#value.set(row, this.texts.number(operation.value));
    if (operation.size !== undefined) this.#size.set(row, operation.size);
    if (operation.remote !== undefined) this.#remote.set(row, this.texts.number(operation.remote));
    if (operation.requestId !== undefined) this.#requestIds[row] = operation.requestId;
    return row;
  }

  /** The operation of a row, as it was but for what is not kept. */
  get(row: number): Operation {
    const code = this.#code.get(row);
    const [kind, outcome] = [
      Math.floor(code / 1000 / OUTCOMES.length),
      Math.floor(code / 1000) % OUTCOMES.length,
    ];
    const size = this.#size.get(row);
    const remote = this.#remote.get(row);
    const requestId = this.#requestIds[row];
    const value = this.#value.get(row);
    return {
      kind: OPERATION_KINDS[kind] ?? 'collect-garbage',
      client: this.#client.get(row),
      process: this.#processes.get(row),
      callUs: this.#call.get(row),
      returnUs: this.#return.get(row),
      repository: this.#repository,
      reference: this.texts.text(this.#reference.get(row)),
      outcome: OUTCOMES[outcome] ?? 'unknown',
      status: code % 1000,
      value: value === NONE ? null : (this.texts.text(value) as Digest),
      ...(size === NONE ? {} : { size }),
      ...(remote === NONE ? {} : { remote: this.texts.text(remote) }),
      ...(requestId === undefined ? {} : { requestId }),
    };
  }

  client(row: number): number {
    return this.#client.get(row);
  }

  callUs(row: number): number {
    return this.#call.get(row);
  }

  /** When the operation was over for sure; infinity for a write that may still happen. */
  endUs(row: number): number {
    const outcome = Math.floor(this.#code.get(row) / 1000) % OUTCOMES.length;
    return OUTCOMES[outcome] === 'unknown' ? Number.POSITIVE_INFINITY : this.#return.get(row);
  }
}
