import type { NameChange } from '../storage.ts';
import type { Lag } from './amounts.ts';

/** Older changes are forgotten: a list lags behind by these at most. */
const MOST_CHANGES = 10_000;
/** Of the lists that have not changed for longest, all changes are. */
const MOST_LISTS = 10_000;

interface Entry {
  readonly at: number;
  readonly name: string;
  readonly isListed: boolean;
}

/** The latest changes of every list, to show a list as it was. */
export class NameHistory {
  /** By repository for its tags, and under undefined for the repositories; the latest changed list last. */
  readonly #lists = new Map<string | undefined, Entry[]>();

  record({ repository, tag, isListed }: NameChange, at: number): void {
    const list = tag === undefined ? undefined : repository;
    const entries = this.#lists.get(list) ?? [];
    entries.push({ at, name: tag ?? repository, isListed });
    this.#lists.delete(list);
    this.#lists.set(list, entries.length > 2 * MOST_CHANGES ? entries.slice(-MOST_CHANGES) : entries);
    if (this.#lists.size > MOST_LISTS) this.#lists.delete(this.#lists.keys().next().value);
  }

  /**
   * A list as it was some time or some changes ago, not in order.
   * @param list a repository for its tags, undefined for the repositories
   * @param names what it holds now
   */
  asOf(list: string | undefined, names: readonly string[], lag: Lag, now: number): readonly string[] {
    const then = new Set(names);
    const entries = this.#lists.get(list) ?? [];
    const isUndone = (entry: Entry, age: number): boolean =>
      'ms' in lag ? entry.at > now - lag.ms : age < lag.changes;
    for (let at = entries.length - 1; at >= 0; at--) {
      const entry = entries[at] as Entry;
      if (!isUndone(entry, entries.length - 1 - at)) break;
      if (entry.isListed) then.delete(entry.name);
      else then.add(entry.name);
    }
    return [...then];
  }
}
