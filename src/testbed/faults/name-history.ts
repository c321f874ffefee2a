import type { Digest } from '../../oci/index.ts';
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

/** A tag that moved. */
interface Move {
  readonly at: number;
  readonly before: Digest | undefined;
}

/** The latest changes of every list and of every tag, to show them as they were. */
export class NameHistory {
  /** By repository for its tags, and under undefined for the repositories; the latest changed list last. */
  readonly #lists = new Map<string | undefined, Entry[]>();

  /** By `repository:tag`. */
  readonly #moves = new Map<string, Move[]>();

  record({ repository, tag, isListed, before }: NameChange, at: number): void {
    if (tag !== undefined) append(this.#moves, `${repository}:${tag}`, { at, before });
    // A tag that moves was listed before, and still is.
    if (isListed && before) return;
    append(this.#lists, tag === undefined ? undefined : repository, {
      at,
      name: tag ?? repository,
      isListed,
    });
  }

  /** What a tag pointed at some time or some changes ago. */
  tagAsOf(
    repository: string,
    tag: string,
    current: Digest | undefined,
    lag: Lag,
    now: number,
  ): Digest | undefined {
    const moves = this.#moves.get(`${repository}:${tag}`) ?? [];
    let then = current;
    for (const { before } of undoneOf(moves, lag, now)) then = before;
    return then;
  }

  /** What a tag pointed at before it moved to where it is. */
  previousOf(repository: string, tag: string): Digest | undefined {
    return this.#moves.get(`${repository}:${tag}`)?.at(-1)?.before;
  }

  /**
   * A list as it was some time or some changes ago, not in order.
   * @param list a repository for its tags, undefined for the repositories
   * @param names what it holds now
   */
  asOf(list: string | undefined, names: readonly string[], lag: Lag, now: number): readonly string[] {
    const then = new Set(names);
    for (const { name, isListed } of undoneOf(this.#lists.get(list) ?? [], lag, now)) {
      if (isListed) then.delete(name);
      else then.add(name);
    }
    return [...then];
  }
}

/** The changes that are not seen yet, the latest first. */
function* undoneOf<T extends { readonly at: number }>(
  changes: readonly T[],
  lag: Lag,
  now: number,
): Generator<T> {
  for (let age = 0; age < changes.length; age++) {
    const change = changes[changes.length - 1 - age] as T;
    if (!('ms' in lag ? change.at > now - lag.ms : age < lag.changes)) return;
    yield change;
  }
}

/** Adds to the list under a key; what is oldest in a list, and the list unchanged for longest, are forgotten. */
function append<K, T>(lists: Map<K, T[]>, key: K, item: T): void {
  const list = lists.get(key) ?? [];
  list.push(item);
  lists.delete(key);
  lists.set(key, list.length > 2 * MOST_CHANGES ? list.slice(-MOST_CHANGES) : list);
  if (lists.size > MOST_LISTS) lists.delete(lists.keys().next().value as K);
}
