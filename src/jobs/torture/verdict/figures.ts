import type { Operation } from '../../../history/index.ts';
import { type KindFigures, kindsOf, Recording } from '../../../load/index.ts';

/** How fast a run was, by kind of operation: rates and latencies of the workload's own clients. */
export class RunFigures {
  readonly #clients: number;
  readonly #recording = new Recording();
  #fromUs = Number.POSITIVE_INFINITY;
  #toUs = 0;

  /** @param clients of the workload; those with a higher number look at what is left when all is quiet */
  constructor(clients = Number.POSITIVE_INFINITY) {
    this.#clients = clients;
  }

  add(operation: Operation): void {
    const { kind, client, callUs, returnUs, outcome, status, size = 0 } = operation;
    if (client >= this.#clients) return;
    this.#fromUs = Math.min(this.#fromUs, callUs);
    this.#toUs = Math.max(this.#toUs, returnUs);
    const tookMs = (returnUs - callUs) / 1000;
    const ok = outcome === 'ok';
    const error = status === 0 ? 'no-answer' : `status-${status}`;
    const bytes = ok && !kind.startsWith('head') ? size : 0;
    this.#recording.record({ kind, ok, bytes, ...(ok ? {} : { error }) }, tookMs, tookMs);
  }

  /** By kind; rates are over the time from the first call to the last return. */
  kinds(): KindFigures[] {
    return kindsOf(this.#recording, Math.max(0, this.#toUs - this.#fromUs) / 1000);
  }
}
