/**
 * How long to wait before try number `attempt` (1 = the first repeat): full jitter, a random time between
 * nothing and the exponential bound, so that many clients do not come back at once.
 *
 * @param random gives 0 (inclusive) to 1 (exclusive)
 */
export function backoffDelayMs(
  attempt: number,
  bounds: { readonly baseMs: number; readonly capMs: number },
  random: () => number = Math.random,
): number {
  return Math.floor(random() * Math.min(bounds.capMs, bounds.baseMs * 2 ** (attempt - 1)));
}
