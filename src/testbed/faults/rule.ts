import { isRegopsError, parseSize, RegopsError } from '../../base/index.ts';
import type { ApiRequest } from '../exchange.ts';
import {
  type Delay,
  type Drift,
  durationOf,
  type Lag,
  parseBodyPart,
  parseDelay,
  parseDrift,
  parseLag,
} from './amounts.ts';
import { isOfKind, type Reach, reachOf } from './endpoints.ts';
import { type Misplacement, parseMisplacement, parseRedirect, type RedirectTarget } from './locations.ts';
import type { Fault, FaultEffect, FaultMatch, Kind } from './model.ts';
import { type Pattern, parsePattern } from './patterns.ts';
import { hashed, seededRandom } from './random.ts';

/** A fault at work: what it hits, decided by what came before and by the seed, and how often it did. */
export class Rule {
  readonly name: string;
  readonly fault: Fault;
  readonly effect: FaultEffect;
  /** When it was set, in milliseconds since the epoch. */
  readonly setAt: number;
  readonly repository: Pattern | undefined;
  readonly forgets: Pattern | undefined;
  readonly lag: Lag | undefined;
  readonly drift: Drift | undefined;
  readonly shorten: ((length: number) => number) | undefined;
  readonly truncate: ((length: number) => number) | undefined;
  readonly location: Misplacement | undefined;
  readonly redirect: RedirectTarget | undefined;
  /** How many bytes an upload has when it dies. */
  readonly diesAt: number | undefined;
  /** How many bytes an endless body has. */
  readonly endlessBytes: number | undefined;
  /** How long after its answer a write is taken back. */
  readonly undoneAfterMs: number | undefined;
  /** Draws of this fault alone: what others draw does not change them. */
  readonly random: () => number;
  matched = 0;
  fired = 0;

  readonly #match: FaultMatch;
  readonly #reach: Reach;
  readonly #kinds: readonly Kind[] | undefined;
  readonly #path: Pattern | undefined;
  readonly #reference: Pattern | undefined;
  readonly #lost: Pattern | undefined;
  readonly #delay: Delay | undefined;
  readonly #nth: ReadonlySet<number> | undefined;
  readonly #startMs: number;
  readonly #endMs: number;
  readonly #salt: number;

  /** Throws CONFIG_INVALID for an effect that means nothing where the match points. */
  constructor(fault: Fault, name: string, seed: number, now: number) {
    const { match = {}, effect } = fault;
    this.name = name;
    this.fault = fault;
    this.effect = effect;
    this.setAt = now;
    this.#match = match;
    this.#kinds = listOf(match.kind);
    this.#reach = reach(fault, name, this.#kinds);
    this.repository = patternOf(match.repository);
    this.#path = patternOf(match.path);
    this.#reference = patternOf(match.reference);
    this.#lost = effect.lost === true ? () => true : patternOf(effect.lost);
    this.forgets = typeof effect.forget === 'string' ? parsePattern(effect.forget) : undefined;
    this.#nth = match.nth === undefined ? undefined : new Set([match.nth].flat());
    this.#startMs = match.after === undefined ? 0 : durationOf(match.after);
    this.#endMs = match.for === undefined ? Number.POSITIVE_INFINITY : this.#startMs + durationOf(match.for);
    this.#delay = effect.delay === undefined ? undefined : parseDelay(effect.delay);
    this.lag = effect.stale === undefined ? undefined : parseLag(effect.stale);
    this.drift = effect.drift === undefined ? undefined : parseDrift(effect.drift);
    this.shorten = effect.shorten === undefined ? undefined : parseBodyPart(effect.shorten);
    this.truncate = effect.truncate === undefined ? undefined : parseBodyPart(effect.truncate);
    this.location = effect.location === undefined ? undefined : parseMisplacement(effect.location);
    this.redirect = effect.redirect === undefined ? undefined : parseRedirect(effect.redirect);
    this.diesAt = amountOf(effect.dead, parseSize, 0);
    this.endlessBytes = amountOf(effect.endless, parseSize, Number.POSITIVE_INFINITY);
    this.undoneAfterMs = amountOf(effect.undone, durationOf, 0);
    this.#salt = Math.floor(hashed(name, seed) * 2 ** 32);
    this.random = seededRandom(this.#salt);
  }

  /** True when this request is hit; counts it. */
  hits(request: ApiRequest, now: number): boolean {
    if (!this.#covers(request, now)) return false;
    this.matched++;
    const { every, first, probability } = this.#match;
    if (this.#nth && !this.#nth.has(this.matched)) return false;
    if (every !== undefined && this.matched % every !== 0) return false;
    if (first !== undefined && this.matched > first) return false;
    return probability === undefined || this.random() < probability;
  }

  /** How long a request waits, in milliseconds; undefined when it does not. */
  waitMs(now: number): number | undefined {
    const stallMs = this.effect.stall ? this.setAt + this.#endMs - now : 0;
    const delayMs = this.#delay?.(this.random()) ?? 0;
    return this.#delay || this.effect.stall ? Math.max(0, stallMs) + delayMs : undefined;
  }

  /** True for a tag that this fault has lost. */
  loses(repository: string, tag: string): boolean {
    return (this.#lost?.(tag) ?? false) && this.#isShared(`${repository}:${tag}`);
  }

  /** The one entry of a list that is forgotten when no pattern says which: always the same one. */
  oneOf(names: readonly string[]): string | undefined {
    let lowest: { name: string; hash: number } | undefined;
    for (const name of names) {
      const hash = hashed(name, this.#salt);
      if (!lowest || hash < lowest.hash) lowest = { name, hash };
    }
    return lowest?.name;
  }

  #covers({ method, path, route }: ApiRequest, now: number): boolean {
    const sinceMs = now - this.setAt;
    if (sinceMs < this.#startMs || sinceMs >= this.#endMs) return false;
    const { methods, routes } = this.#reach;
    if (methods && !methods.has(method)) return false;
    if (routes && !(route && routes.has(route.name))) return false;
    if (this.#kinds && !this.#kinds.some((kind) => route && isOfKind(kind, route.name, method))) return false;
    if (this.#path && !this.#path(path)) return false;
    // A drift's repository says whose count drifts: the state names none in its path.
    const isElsewhere = this.drift && route?.repository === '';
    if (this.repository && !isElsewhere && !this.repository(route?.repository ?? '')) return false;
    if (this.#reference && !this.#reference(route?.reference ?? '')) return false;
    if (this.#lost) return true;
    return this.#isShared(route?.reference ? `${route.repository}:${route.reference}` : path);
  }

  #isShared(object: string): boolean {
    const { share } = this.#match;
    return share === undefined || hashed(object, this.#salt) < share;
  }
}

function reach({ match, effect }: Fault, name: string, kinds: readonly Kind[] | undefined): Reach {
  try {
    return reachOf(effect, { methods: listOf(match?.method), kinds, hasPath: match?.path !== undefined });
  } catch (error) {
    if (!isRegopsError(error)) throw error;
    throw new RegopsError('CONFIG_INVALID', `invalid fault ${name}: effect.${error.message}`, {
      cause: error,
    });
  }
}

/** An effect's amount; `always` for one that is given without. */
function amountOf(
  given: true | string | undefined,
  parse: (text: string) => number,
  always: number,
): number | undefined {
  if (given === undefined) return undefined;
  return given === true ? always : parse(given);
}

function listOf<T extends string>(value: T | readonly T[] | undefined): readonly T[] | undefined {
  return value === undefined ? undefined : ([value].flat() as readonly T[]);
}

function patternOf(text: string | undefined): Pattern | undefined {
  return text === undefined ? undefined : parsePattern(text);
}
