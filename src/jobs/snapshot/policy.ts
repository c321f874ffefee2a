/** What a prune has to decide about: one snapshot in one place, a registry's repository or an engine. */
export interface Candidate {
  readonly id: string;
  /** The container it was made of: `keep` counts per source. */
  readonly source: string;
  readonly createdMs: number;
  readonly expiresMs?: number | undefined;
  /** What it takes there; parts of one key are shared between snapshots and count once. */
  readonly parts: readonly { readonly key: string; readonly bytes: number }[];
  /** Names beside its own that still point at the same content, which would go with it. */
  readonly sharedBy: readonly string[];
}

/** What goes. At least one rule must be given. */
export interface PruneRules {
  /** Snapshots past their expiry go. */
  readonly expired: boolean;
  /** So many of the newest of every source stay. Without one of the rules below all others go. */
  readonly keep?: number | undefined;
  /** Of those that `keep` does not protect, the ones older than this go. */
  readonly maxAgeMs?: number | undefined;
  /** Of those that `keep` does not protect, the oldest go until the rest takes no more than this. */
  readonly maxTotalBytes?: number | undefined;
}

export type PruneReason = 'expired' | 'keep' | 'max-age' | 'max-total-size';

export interface PrunePlan<C extends Candidate> {
  readonly remove: readonly { readonly candidate: C; readonly reason: PruneReason }[];
  /** Would go by the rules, but content that another name points at stays. */
  readonly shared: readonly { readonly candidate: C; readonly reason: PruneReason }[];
  readonly stay: readonly C[];
  /** Bytes of what stays, shared parts once. */
  readonly bytesAfter: number;
}

/**
 * Decides what of one place goes. Pure, and independent of the order of its input: the oldest come first, equal
 * times by ID. Expired ones go first and count for nothing else; then `keep` protects the newest of every source
 * that are left; age and size choose among the rest.
 */
export function planPrune<C extends Candidate>(
  candidates: readonly C[],
  rules: PruneRules,
  nowMs: number,
): PrunePlan<C> {
  const oldestFirst = candidates.toSorted(
    (a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  );
  const doomed = new Map<C, PruneReason>();
  if (rules.expired) {
    for (const one of oldestFirst) if (isExpired(one, nowMs)) doomed.set(one, 'expired');
  }
  const safe = newestOfSources(
    oldestFirst.filter((one) => !doomed.has(one)),
    rules.keep ?? 0,
  );
  const open = oldestFirst.filter((one) => !doomed.has(one) && !safe.has(one));
  const { keep, maxAgeMs, maxTotalBytes } = rules;
  if (keep !== undefined && maxAgeMs === undefined && maxTotalBytes === undefined) {
    for (const one of open) doomed.set(one, 'keep');
  }
  if (maxAgeMs !== undefined) {
    for (const one of open) if (nowMs - one.createdMs > maxAgeMs) doomed.set(one, 'max-age');
  }
  const stays = (one: C): boolean => !doomed.has(one) || one.sharedBy.length > 0;
  if (maxTotalBytes !== undefined) {
    const usage = new Usage(oldestFirst.filter(stays));
    for (const one of open) {
      if (usage.bytes <= maxTotalBytes) break;
      if (doomed.has(one)) continue;
      doomed.set(one, 'max-total-size');
      if (one.sharedBy.length === 0) usage.remove(one);
    }
  }
  const going = [...doomed].map(([candidate, reason]) => ({ candidate, reason }));
  const stay = oldestFirst.filter(stays);
  return {
    remove: going.filter(({ candidate }) => candidate.sharedBy.length === 0),
    shared: going.filter(({ candidate }) => candidate.sharedBy.length > 0),
    stay,
    bytesAfter: new Usage(stay).bytes,
  };
}

/** True when its time is over. */
export function isExpired({ expiresMs }: Pick<Candidate, 'expiresMs'>, nowMs: number): boolean {
  return expiresMs !== undefined && expiresMs <= nowMs;
}

function newestOfSources<C extends Candidate>(oldestFirst: readonly C[], keep: number): Set<C> {
  const bySource = Map.groupBy(oldestFirst, ({ source }) => source);
  return new Set([...bySource.values()].flatMap((ones) => (keep > 0 ? ones.slice(-keep) : [])));
}

/** What candidates take together, each part once for as long as anybody has it. */
class Usage {
  readonly #holders = new Map<string, number>();
  bytes = 0;

  constructor(candidates: readonly Candidate[]) {
    for (const { parts } of candidates) {
      for (const { key, bytes } of distinct(parts)) {
        const holders = this.#holders.get(key) ?? 0;
        if (holders === 0) this.bytes += bytes;
        this.#holders.set(key, holders + 1);
      }
    }
  }

  remove({ parts }: Candidate): void {
    for (const { key, bytes } of distinct(parts)) {
      const holders = (this.#holders.get(key) ?? 1) - 1;
      this.#holders.set(key, holders);
      if (holders === 0) this.bytes -= bytes;
    }
  }
}

/** An image may name a layer twice. */
function distinct(parts: Candidate['parts']): Candidate['parts'] {
  return [...new Map(parts.map((part) => [part.key, part])).values()];
}
