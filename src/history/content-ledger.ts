import { Column } from './columns.ts';
import type { Finding, InvariantName } from './invariants.ts';
import { endOf, type Operation } from './operation.ts';
import type { RegisterPlace } from './tag-register.ts';

const NEVER = Number.POSITIVE_INFINITY;
const BEFORE = Number.NEGATIVE_INFINITY;

/** What one kind of content calls its invariants. */
export interface LedgerNames {
  readonly lost: InvariantName;
  readonly collected: InvariantName;
  readonly deletedReadable: InvariantName;
}

/**
 * What must be there: every blob, or every manifest by digest, of one repository, from its first 201 until its delete
 * is called. O(1) and some fifty bytes per digest.
 */
export class ContentLedger {
  readonly #place: RegisterPlace;
  readonly #names: LedgerNames;
  readonly #row = Column.ofIntegers(-1);
  /** First return of a put that got 201. */
  readonly #putEnd = Column.ofFloats(NEVER);
  /** Last end of any put: infinity when one may still happen. */
  readonly #lastPutEnd = Column.ofFloats(BEFORE);
  readonly #firstDeleteCall = Column.ofFloats(NEVER);
  readonly #lastDeleteCall = Column.ofFloats(BEFORE);
  readonly #lastDeleteEnd = Column.ofFloats(NEVER);
  readonly #deletes = new Map<number, Operation>();
  readonly #broken = new Set<number>();

  constructor(place: RegisterPlace, names: LedgerNames) {
    this.#place = place;
    this.#names = names;
  }

  /** Row of the first put that got 201; -1 when none did. */
  putRow(value: number): number {
    return this.#row.get(value);
  }

  /** A put that was not refused. */
  put(operation: Operation, value: number, row: number): void {
    if (operation.outcome === 'ok' && operation.returnUs < this.#putEnd.get(value)) {
      this.#putEnd.set(value, operation.returnUs);
      this.#row.set(value, row);
    }
    this.#lastPutEnd.set(value, Math.max(this.#lastPutEnd.get(value), endOf(operation)));
  }

  /** A delete by digest that was not refused. */
  remove(operation: Operation, value: number): void {
    this.#firstDeleteCall.set(value, Math.min(this.#firstDeleteCall.get(value), operation.callUs));
    if (operation.outcome !== 'ok' || operation.callUs < this.#lastDeleteCall.get(value)) return;
    this.#lastDeleteCall.set(value, operation.callUs);
    this.#lastDeleteEnd.set(value, operation.returnUs);
    this.#deletes.set(value, operation);
  }

  /** A read by digest; everything called before it returned has been given. `isReferred`: a manifest needs the content. */
  read(operation: Operation, value: number, isReferred: boolean): void {
    if (operation.value === null) this.#readAbsent(operation, value, isReferred);
    else this.#readPresent(operation, value);
  }

  #readAbsent(operation: Operation, value: number, isReferred: boolean): void {
    if (this.#putEnd.get(value) >= operation.callUs || this.#firstDeleteCall.get(value) <= operation.returnUs)
      return;
    const { notes, table } = this.#place;
    notes.checked(this.#names.lost);
    if (this.#broken.has(value)) return;
    this.#broken.add(value);
    const put = table.get(this.#row.get(value));
    const suspects = this.#place.suspects(put.callUs, operation.returnUs);
    const collected = !isReferred && suspects.some(({ kind }) => kind === 'collect-garbage');
    this.#violated(collected ? this.#names.collected : this.#names.lost, operation, {
      sentence: collected
        ? 'It had been pushed and nobody deleted it, yet it was gone after a garbage collection.'
        : 'It had been pushed and nobody deleted it, yet it was gone.',
      operations: [put, operation],
      suspects,
    });
  }

  #readPresent(operation: Operation, value: number): void {
    const { notes, options, table } = this.#place;
    if (this.#putEnd.get(value) < operation.callUs) notes.checked(this.#names.lost);
    const deleteCall = this.#lastDeleteCall.get(value);
    if (this.#lastDeleteEnd.get(value) + options.deleteGraceUs >= operation.callUs) return;
    notes.checked(this.#names.deletedReadable);
    if (this.#lastPutEnd.get(value) >= deleteCall || this.#broken.has(value)) return;
    this.#broken.add(value);
    const row = this.#row.get(value);
    this.#violated(this.#names.deletedReadable, operation, {
      sentence: 'Its delete had got 202 and nobody pushed it again, yet it was there.',
      operations: [...(row === -1 ? [] : [table.get(row)]), this.#deletes.get(value) as Operation, operation],
      suspects: [],
    });
  }

  #violated(
    name: InvariantName,
    { reference }: Operation,
    rest: Pick<Finding, 'sentence' | 'operations' | 'suspects'>,
  ): void {
    this.#place.notes.violated(name, () => ({ repository: this.#place.repository, reference, ...rest }));
  }
}
