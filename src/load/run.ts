import { type RegopsError, throwIfAborted } from '../base/index.ts';
import { checkPlan, type LoadPlan, peakConcurrency, SAMPLE_MS, shareOf, usefulThreads } from './plan.ts';
import { deriveSeed } from './random.ts';
import { openInline, openThread, type Seat } from './seat.ts';
import { STOPPED_DRAIN_MS } from './segment.ts';
import type { Assignment } from './session.ts';
import { Ledger, type LoadSample, type LoadSummary } from './summary.ts';

/** All threads begin together, this long after the last is ready: enough for the message to reach each. */
const LEAD_MS = 20;
/** After a stop, what has not ended its operations and closed its workload by then is ended by force. */
const STOPPED_CLOSE_MS = STOPPED_DRAIN_MS + 2_500;
/** A workload that does not close in this time after a whole run is ended by force; its figures are in. */
const CLOSE_MS = 30_000;

/**
 * Runs a plan and gives what was measured. `onSample` is told what happened in each `sampleMs` (default
 * 1000) as soon as all threads have reported it; it must not throw. An aborted signal stops the firing at
 * once and gives the summary of what was measured, marked as interrupted, within 5 s.
 * Throws USAGE for a plan that makes no sense, INTERRUPTED when the signal was aborted beforehand, what the
 * workload threw if that was a RegopsError, and BUG when it threw anything else or a thread died.
 */
export async function runLoad(
  plan: LoadPlan,
  context: {
    readonly signal: AbortSignal;
    readonly onSample?: (sample: LoadSample) => void;
    readonly sampleMs?: number;
  },
): Promise<LoadSummary> {
  const sampleMs = context.sampleMs ?? SAMPLE_MS;
  checkPlan(plan, sampleMs);
  throwIfAborted(context.signal);
  const run = new LoadRun(plan, sampleMs, context.onSample);
  const onAbort = (): void => run.interrupt();
  context.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await run.outcome;
  } finally {
    context.signal.removeEventListener('abort', onAbort);
    await run.terminate();
  }
}

/** One run, moved forward by what its threads say. */
class LoadRun {
  /** Resolves when all threads have closed or were given up; rejects with the first failure. */
  readonly outcome: Promise<LoadSummary>;
  readonly #plan: LoadPlan;
  readonly #settle: PromiseWithResolvers<LoadSummary>;
  readonly #ledger: Ledger;
  readonly #onSample: ((sample: LoadSample) => void) | undefined;
  readonly #seats: Seat[] = [];
  readonly #ready = new Set<number>();
  readonly #finished = new Set<number>();
  readonly #closed = new Set<number>();
  #stopped = false;
  #interrupted = false;
  #abortedBy: string | null = null;
  #failure: RegopsError | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(plan: LoadPlan, sampleMs: number, onSample: ((sample: LoadSample) => void) | undefined) {
    const of = usefulThreads(plan);
    this.#plan = plan;
    this.#onSample = onSample;
    this.#settle = Promise.withResolvers();
    this.outcome = this.#settle.promise;
    this.#ledger = new Ledger(plan, of, sampleMs);
    const tickets = new Int32Array(new SharedArrayBuffer(4));
    tickets[0] = plan.count ?? 0;
    for (let index = 0; index < of; index++) {
      this.#seats.push(
        this.#open({
          segment: {
            model: plan.model,
            count: plan.count,
            warmupMs: plan.warmupMs,
            seed: plan.seed,
            index,
            of,
            sampleMs,
            tickets,
          },
          place: {
            index,
            of,
            seed: deriveSeed(plan.seed, 'workload', index),
            concurrency: shareOf(peakConcurrency(plan.model), index, of),
          },
          module: plan.workload.module,
          options: plan.workload.options,
        }),
      );
    }
  }

  interrupt(): void {
    this.#interrupted = this.#finished.size < this.#seats.length;
    this.#stop();
  }

  async terminate(): Promise<void> {
    clearTimeout(this.#deadline);
    await Promise.all(this.#seats.map((seat) => seat.terminate()));
  }

  #open(assignment: Assignment): Seat {
    const { index } = assignment.place;
    return (this.#plan.threads === 0 ? openInline : openThread)(assignment, {
      message: (message) => {
        switch (message.type) {
          case 'ready':
            this.#ready.add(index);
            if (this.#ready.size === this.#seats.length && !this.#stopped) this.#go();
            break;
          case 'report':
            this.#tell(this.#ledger.add(index, message.report));
            break;
          case 'finished':
            this.#finished.add(index);
            this.#tell(this.#ledger.finish(index, message.end, message.figures));
            if (this.#finished.size === this.#seats.length && !this.#stopped) this.#endBy(CLOSE_MS);
            break;
          case 'closed':
            this.#close(index);
        }
      },
      failed: (error) => {
        this.#failure ??= error;
        this.#stop();
        this.#close(index);
      },
    });
  }

  #go(): void {
    const zeroNs = process.hrtime.bigint() + BigInt(LEAD_MS * 1e6);
    for (const seat of this.#seats) seat.send({ type: 'go', zeroNs });
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const seat of this.#seats) seat.send({ type: 'stop' });
    this.#endBy(STOPPED_CLOSE_MS);
  }

  /** Ends the run by force after so long. */
  #endBy(ms: number): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#end(), ms);
  }

  #close(index: number): void {
    this.#closed.add(index);
    if (this.#closed.size === this.#seats.length) this.#end();
  }

  #end(): void {
    if (this.#failure) this.#settle.reject(this.#failure);
    else {
      const early = { interrupted: this.#interrupted, abortedBy: this.#abortedBy };
      this.#settle.resolve(this.#ledger.summary(early));
    }
  }

  #tell(samples: readonly LoadSample[]): void {
    for (const sample of samples) this.#onSample?.(sample);
    const { abortOnFail } = this.#plan;
    const last = samples.at(-1);
    if (!abortOnFail || !last || this.#abortedBy !== null || this.#finished.size > 0) return;
    if (last.atMs + last.durationMs < abortOnFail.afterMs) return;
    const missed = this.#ledger.missedThreshold();
    if (missed === undefined) return;
    this.#abortedBy = missed;
    this.#stop();
  }
}
