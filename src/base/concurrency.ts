import pLimit from 'p-limit';
import { abortReason, throwIfAborted } from './errors.ts';

/**
 * Runs `work` over the items, at most `limit` at once, and gives the results in the items' order.
 * The first failure aborts the signal that the others were given, waits until they have let go of
 * what they hold, and is then thrown.
 */
export async function mapConcurrently<T, R>(
  items: Iterable<T>,
  limit: number,
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const failure = new AbortController();
  const either = signal ? AbortSignal.any([signal, failure.signal]) : failure.signal;
  const run = pLimit(Math.max(1, limit));
  let first: { error: unknown } | undefined;
  const settled = await Promise.allSettled(
    Array.from(items, (item) =>
      run(async () => {
        throwIfAborted(either);
        try {
          return await work(item, either);
        } catch (error) {
          first ??= { error };
          failure.abort(error);
          throw error;
        }
      }),
    ),
  );
  if (first) throw first.error;
  throwIfAborted(signal);
  return settled.map((outcome) => (outcome as PromiseFulfilledResult<R>).value);
}

/**
 * Lets callers that ask for the same key at the same time share one piece of work; nothing is kept after it
 * ends. A caller whose signal aborts leaves at once; the work's own signal aborts when the last has left.
 */
export class SingleFlight<K, V> {
  readonly #flights = new Map<K, { result: Promise<V>; waiting: number; readonly ending: AbortController }>();

  async run(key: K, work: (signal: AbortSignal) => Promise<V>, signal?: AbortSignal): Promise<V> {
    throwIfAborted(signal);
    const flight = this.#flights.get(key) ?? this.#start(key, work);
    flight.waiting++;
    let onAbort = (): void => {};
    try {
      return await new Promise<V>((resolve, reject) => {
        onAbort = () => reject(abortReason(signal as AbortSignal));
        signal?.addEventListener('abort', onAbort, { once: true });
        flight.result.then(resolve, reject);
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
      flight.waiting--;
      if (flight.waiting === 0 && this.#flights.get(key) === flight) {
        // Who comes now must not join work that is being called off.
        this.#flights.delete(key);
        flight.ending.abort(signal?.reason);
      }
    }
  }

  #start(key: K, work: (signal: AbortSignal) => Promise<V>) {
    const ending = new AbortController();
    const flight = { ending, waiting: 0, result: work(ending.signal) };
    const end = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    flight.result.then(end, end);
    this.#flights.set(key, flight);
    return flight;
  }
}
