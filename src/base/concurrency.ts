import pLimit from 'p-limit';
import { throwIfAborted } from './errors.ts';

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

/** Lets callers that ask for the same key at the same time share one piece of work; nothing is kept after it ends. */
export class SingleFlight<K, V> {
  readonly #flights = new Map<K, Promise<V>>();

  run(key: K, work: () => Promise<V>): Promise<V> {
    const running = this.#flights.get(key);
    if (running) return running;
    const flight = work().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }
}
