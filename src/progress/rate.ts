/** Bytes per second over the last seconds, so that a stall shows and an old burst is forgotten. */
export class RateMeter {
  readonly #windowMs: number;
  readonly #points: { readonly at: number; readonly bytes: number }[] = [];

  constructor(windowMs = 5000) {
    this.#windowMs = windowMs;
  }

  /** Notes how many bytes were done at a time (milliseconds). Points closer than a tenth of a second are merged. */
  record(at: number, bytes: number): void {
    const last = this.#points.at(-1);
    const before = this.#points.at(-2);
    if (last && before && at - before.at < 100) this.#points.pop();
    this.#points.push({ at, bytes });
    while (this.#points.length > 2 && at - (this.#points[1]?.at ?? at) >= this.#windowMs)
      this.#points.shift();
  }

  /** Bytes per second up to `now`; undefined while nothing can be said. */
  perSecond(now: number): number | undefined {
    const first = this.#points[0];
    const last = this.#points.at(-1);
    if (!first || !last || now <= first.at) return undefined;
    return Math.max(0, ((last.bytes - first.bytes) * 1000) / (now - first.at));
  }
}
