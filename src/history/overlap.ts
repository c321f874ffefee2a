import { isRead, type Operation } from './operation.ts';

/** How much really happened at the same time: what did not race proves nothing. */
export interface Overlap {
  /** Pairs of changes of one tag that overlapped. */
  readonly changePairs: number;
  /** Reads that overlapped a change of their tag. */
  readonly racingReads: number;
}

/** Counts what overlaps on one tag. Operations come in the order of their calls. */
export class OverlapCount {
  #changes: Operation[] = [];
  #reads: Operation[] = [];
  #changePairs = 0;
  #racingReads = 0;

  get counts(): Overlap {
    return { changePairs: this.#changePairs, racingReads: this.#racingReads };
  }

  add(operation: Operation): void {
    const open = ({ returnUs }: Operation): boolean => returnUs >= operation.callUs;
    if (!this.#changes.every(open)) this.#changes = this.#changes.filter(open);
    if (isRead(operation.kind)) {
      if (this.#changes.length > 0) this.#racingReads++;
      else this.#reads.push(operation);
      return;
    }
    this.#changePairs += this.#changes.length;
    for (const read of this.#reads) if (open(read)) this.#racingReads++;
    this.#reads = [];
    this.#changes.push(operation);
  }
}
