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

/** When content was there, as far as that is certain. */
export interface Stay {
  /** From here on it was there: its first 201; infinity when it got none. */
  readonly fromUs: number;
  /** From here on a delete may have taken it; infinity when nobody called one. */
  readonly untilUs: number;
  /** The last time it may have come. */
  readonly lastPutEndUs: number;
}

/** A manifest that refers to some content, by the row of its first push that got 201 (-1 when none did). */
export interface Referrer extends Stay {
  readonly row: number;
}

/**
 * What must be there: every blob, or every manifest by digest, of one repository, from its first 201 until its delete
 * is called. What manifests refer to may be collected once they are deleted. O(1) and some fifty bytes per digest.
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
  /** Rows of further puts that got 201. */
  readonly #putAgain = new Map<number, number[]>();
  readonly #deletes = new Map<number, Operation>();
  readonly #broken = new Set<number>();
  /** By content: the row of the put since which it may have been collected. */
  readonly #released = new Map<number, number>();

  constructor(place: RegisterPlace, names: LedgerNames) {
    this.#place = place;
    this.#names = names;
  }

  /** Row of the first put that got 201; -1 when none did. */
  putRow(value: number): number {
    return this.#row.get(value);
  }

  /** When it was there for sure. */
  stay(value: number): Stay {
    return {
      fromUs: this.#putEnd.get(value),
      untilUs: this.#firstDeleteCall.get(value),
      lastPutEndUs: this.#lastPutEnd.get(value),
    };
  }

  /** A put that was not refused. */
  put(operation: Operation, value: number, row: number): void {
    if (operation.outcome === 'ok') this.#succeeded(operation, value, row);
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

  /**
   * A read by digest; everything called before it returned has been given.
   * @param referrers the manifests that refer to the content
   */
  read(operation: Operation, value: number, referrers: () => readonly Referrer[]): void {
    if (operation.value === null) this.#readAbsent(operation, value, referrers);
    else this.#readPresent(operation, value);
  }

  #succeeded(operation: Operation, value: number, row: number): void {
    const first = this.#row.get(value);
    const earlier = operation.returnUs < this.#putEnd.get(value);
    if (first !== -1) {
      const again = this.#putAgain.get(value);
      const other = earlier ? first : row;
      if (again) again.push(other);
      else this.#putAgain.set(value, [other]);
    }
    if (!earlier) return;
    this.#putEnd.set(value, operation.returnUs);
    this.#row.set(value, row);
  }

  #readAbsent(operation: Operation, value: number, referrers: () => readonly Referrer[]): void {
    if (this.#putEnd.get(value) >= operation.callUs || this.#firstDeleteCall.get(value) <= operation.returnUs)
      return;
    const { notes, table } = this.#place;
    notes.checked(this.#names.lost);
    if (this.#broken.has(value)) return;
    const row = this.#lastPutBefore(operation, value);
    if (this.#released.get(value) === row) return;
    const referrer = needed(referrers(), table.callUs(row), operation);
    if (referrer === 'released') {
      this.#released.set(value, row);
      return;
    }
    this.#broken.add(value);
    const put = table.get(row);
    const suspects = this.#place.suspects(put.callUs, operation.returnUs);
    const collections = suspects.filter(({ kind }) => kind === 'collect-garbage');
    const isReferred = referrer !== undefined;
    const collected = !isReferred && collections.length > 0;
    this.#violated(collected ? this.#names.collected : this.#names.lost, operation, {
      sentence: `It had been pushed${isReferred ? ', a manifest refers to it,' : ''} and nobody deleted it, yet it was gone${collected ? ' after a garbage collection' : ''}.`,
      operations: [
        put,
        ...(isReferred ? [{ ...table.get(referrer.row), names: [operation.reference] }] : []),
        operation,
      ],
      suspects: collections.length > 0 ? collections : suspects,
    });
  }

  /** Row of the put, among those that were over before the read, that was called last. */
  #lastPutBefore({ callUs }: Operation, value: number): number {
    const { table } = this.#place;
    const first = this.#row.get(value);
    return (this.#putAgain.get(value) ?? [])
      .filter((row) => table.endUs(row) < callUs)
      .reduce((last, row) => (table.callUs(row) > table.callUs(last) ? row : last), first);
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

/**
 * What still needed some content when it was not found: a manifest that refers to it; `released`, when at some time
 * after its last upload had been used no manifest may have been left that does; undefined when none has used that
 * upload yet.
 */
function needed(
  referrers: readonly Referrer[],
  uploadCallUs: number,
  read: Operation,
): Referrer | 'released' | undefined {
  let coveredUs = NEVER;
  for (const { lastPutEndUs, untilUs } of referrers) {
    if (lastPutEndUs >= uploadCallUs) coveredUs = Math.min(coveredUs, untilUs);
  }
  const certain = referrers
    .filter(({ fromUs }) => fromUs < read.callUs)
    .toSorted((a, b) => a.fromUs - b.fromUs);
  for (const { fromUs, untilUs } of certain) {
    if (fromUs < coveredUs) coveredUs = Math.max(coveredUs, untilUs);
  }
  if (coveredUs <= read.returnUs) return 'released';
  return certain.findLast(({ untilUs }) => untilUs > read.returnUs);
}
