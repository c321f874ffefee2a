import { abortReason, type Clock, systemClock, throwIfAborted } from '../base/index.ts';
import { type Middleware, mayHaveBody } from './message.ts';

/** How hard one origin may be pressed. */
export interface ThrottlePolicy {
  /** Requests under way at once, the bodies of their answers included. */
  readonly concurrent: number;
  /** Requests begun per second. Default: no limit. */
  readonly perSecond?: number;
}

/**
 * Bounds the requests to each origin; those beyond wait their turn, first come first served. A request is
 * under way until its answer's body has ended or was destroyed: who holds a body open while asking the same
 * origin for more needs a bound above one.
 */
export function throttle(policy: ThrottlePolicy, clock: Clock = systemClock): Middleware {
  const gates = new Map<string, Gate>();
  return (next) => async (request) => {
    const { origin } = request.url;
    const gate = gates.get(origin) ?? new Gate(policy, clock);
    gates.set(origin, gate);
    await gate.enter(request.signal);
    let held = true;
    const leave = (): void => {
      if (held) gate.leave();
      held = false;
    };
    try {
      const response = await next(request);
      if (response.body.closed || !mayHaveBody(request.method, response)) leave();
      else response.body.once('close', leave);
      return response;
    } catch (error) {
      leave();
      throw error;
    }
  };
}

/** Admits so many at once, and so many per second. */
class Gate {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #waiting = new Set<() => void>();
  #free: number;
  #nextStart = 0;

  constructor(policy: ThrottlePolicy, clock: Clock) {
    this.#clock = clock;
    this.#free = Math.max(1, policy.concurrent);
    this.#intervalMs = policy.perSecond ? 1000 / policy.perSecond : 0;
  }

  async enter(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    if (this.#intervalMs === 0) return;
    const now = this.#clock.now();
    const start = Math.max(now, this.#nextStart);
    this.#nextStart = start + this.#intervalMs;
    if (start === now) return;
    try {
      await this.#clock.sleep(start - now, signal);
    } catch (error) {
      this.leave();
      throw error;
    }
  }

  leave(): void {
    const [first] = this.#waiting;
    if (first) first();
    else this.#free++;
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const admit = (): void => {
        this.#waiting.delete(admit);
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        this.#waiting.delete(admit);
        reject(abortReason(signal as AbortSignal));
      };
      this.#waiting.add(admit);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }
}
