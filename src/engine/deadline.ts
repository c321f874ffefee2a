import { abortReason, RegopsError } from '../base/index.ts';

/** How long a call may take. */
export interface TimeLimits {
  /** From its beginning to its end; infinite for no limit. */
  readonly timeoutMs?: number | undefined;
  /** Without a sign of life. */
  readonly silenceMs?: number | undefined;
}

/**
 * The signal of one call: it ends with the caller's signal, and with TIMED_OUT when one of its limits is reached.
 * Close it, or its timers stay.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #silenceMs: number | undefined;
  readonly #what: string;
  #silence: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param what names the call in the error: `cannot push …` */
  constructor(outer: AbortSignal | undefined, limits: TimeLimits, what: string) {
    this.#outer = outer;
    this.#what = what;
    this.#silenceMs = limits.silenceMs;
    if (outer?.aborted) {
      this.#controller.abort(abortReason(outer));
      return;
    }
    outer?.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = this.#after(limits.timeoutMs, 'not done');
    this.listen();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on silence counts, from nothing. */
  listen(): void {
    clearTimeout(this.#silence);
    if (!this.#closed) this.#silence = this.#after(this.#silenceMs, 'the engine has not said anything');
  }

  /** Silence no longer counts: something arrived, and it is us that are busy with it. */
  heard(): void {
    clearTimeout(this.#silence);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#outer?.removeEventListener('abort', this.#onAbort);
  }

  #after(ms: number | undefined, why: string): NodeJS.Timeout | undefined {
    if (ms === undefined || ms === Number.POSITIVE_INFINITY) return undefined;
    return setTimeout(() => {
      this.#controller.abort(
        new RegopsError('TIMED_OUT', `${this.#what}: ${why} within ${ms / 1000} s`, {
          details: { timeoutMs: ms },
        }),
      );
    }, ms);
  }

  readonly #onAbort = (): void => {
    this.#controller.abort(abortReason(this.#outer as AbortSignal));
  };
}
