import type { Operation } from '../../../src/history/index.ts';

/**
 * Whether operations on one tag can be put in an order, after J. Wing and C. Gong: try every one that nothing has to
 * come before, in every state. Shares nothing with what it is compared to. `part`: a read of what none of these
 * wrote is explained by a write of somebody else, at any time.
 */
export function canBeOrdered(operations: readonly Operation[], part = false): boolean {
  const given = operations.filter(
    ({ kind, outcome }) => outcome === 'ok' || (outcome === 'unknown' && /^(put|delete)/.test(kind)),
  );
  const must = given.map(({ outcome }) => outcome === 'ok');
  const calls = given.map(({ callUs }) => callUs);
  const apply: ((state: string | null) => string | null | false)[] = given.map(
    ({ kind, reference, value }) => {
      if (kind === 'put-manifest') return () => value;
      if (kind === 'delete-manifest') {
        return (state) => (reference === 'latest' || reference === state ? null : state);
      }
      return (state) => (state === value ? state : false);
    },
  );
  if (part) {
    const written = new Set(given.filter(({ kind }) => kind === 'put-manifest').map(({ value }) => value));
    const others = new Set(
      given
        .filter(({ kind, value }) => /^(get|head)/.test(kind) && value !== null && !written.has(value))
        .map(({ value }) => value),
    );
    for (const value of others) {
      must.push(false);
      calls.push(Number.NEGATIVE_INFINITY);
      apply.push(() => value);
    }
  }
  const count = must.length;
  const all = must.reduce((mask, one, index) => (one ? mask | (1 << index) : mask), 0);
  const returns = must.map((one, index) =>
    one ? (given[index] as Operation).returnUs : Number.POSITIVE_INFINITY,
  );
  const seen = new Set<string>();
  const visit = (done: number, state: string | null): boolean => {
    if ((done & all) === all) return true;
    const key = `${done} ${state}`;
    if (seen.has(key)) return false;
    seen.add(key);
    for (let index = 0; index < count; index++) {
      if (done & (1 << index)) continue;
      const first = returns.every(
        (end, other) => (done & (1 << other)) !== 0 || end >= (calls[index] as number),
      );
      if (!first) continue;
      const after = (apply[index] as (typeof apply)[number])(state);
      if (after !== false && visit(done | (1 << index), after)) return true;
    }
    return false;
  };
  return visit(0, null);
}
