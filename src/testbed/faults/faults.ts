import { type Clock, type Log, RegopsError } from '../../base/index.ts';
import type { ApiRequest, Handler, Layer, Reply } from '../exchange.ts';
import type { Storage } from '../storage.ts';
import { answerErrors } from '../wire-errors.ts';
import { alterAdministration } from './administration.ts';
import { isLie, lyingStorage } from './lying-storage.ts';
import { type Fault, MOST_FAULTS, validateFault } from './model.ts';
import { NameHistory } from './name-history.ts';
import { parseFaults } from './parse.ts';
import { Rule } from './rule.ts';
import { alterReply, bringsBody, cutRequest, discarded, RESET, statusReply } from './wire.ts';

/** How often a fault was met. */
export interface FaultCount {
  readonly name: string;
  readonly fault: Fault;
  /** Requests it looked at: those its match covers, before `nth`, `every`, `first` and `probability`. */
  readonly matched: number;
  /** Requests in which it made something go wrong. */
  readonly fired: number;
}

/** The faults of a running testbed. */
export interface FaultControl {
  /**
   * Adds a fault, or those that a text describes; gives their names.
   * Throws CONFIG_INVALID; nothing is added then.
   */
  add(fault: Fault | string): readonly string[];
  /** False when there was none of that name. */
  remove(name: string): boolean;
  clear(): void;
  counts(): readonly FaultCount[];
}

export interface FaultParts {
  readonly seed: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly storage: Storage;
  /** The endpoints, on another storage than the true one. */
  readonly endpointsOn: (storage: Storage) => Handler;
}

/** Holds the faults and is the layer that brings them about. Without any it hands every request on. */
export class Faults implements FaultControl {
  readonly #parts: FaultParts;
  readonly #history = new NameHistory();
  readonly #life = new AbortController();
  #rules: readonly Rule[] = [];
  #added = 0;
  #isWatching = false;

  constructor(parts: FaultParts) {
    this.#parts = parts;
  }

  add(fault: Fault | string): readonly string[] {
    return this.addAll(typeof fault === 'string' ? parseFaults(fault) : [fault]);
  }

  /** Adds several, or none when one is wrong. */
  addAll(faults: readonly Fault[]): readonly string[] {
    const { seed, clock } = this.#parts;
    const fresh = faults.map((given, at) => {
      const fault = validateFault(given, `faults[${at}]`);
      return new Rule(fault, fault.name ?? `fault-${this.#added + at + 1}`, seed, clock.now());
    });
    const rules = [...this.#rules, ...fresh];
    if (rules.length > MOST_FAULTS) {
      throw new RegopsError('CONFIG_INVALID', `invalid faults: more than ${MOST_FAULTS}`);
    }
    const names = new Set<string>();
    for (const { name } of rules) {
      if (names.has(name)) throw new RegopsError('CONFIG_INVALID', `two faults are called ${name}`);
      names.add(name);
    }
    this.#rules = rules;
    this.#added += fresh.length;
    if (fresh.some(({ lag }) => lag)) this.#watch();
    return fresh.map(({ name }) => name);
  }

  remove(name: string): boolean {
    const rest = this.#rules.filter((rule) => rule.name !== name);
    const isFound = rest.length < this.#rules.length;
    this.#rules = rest;
    return isFound;
  }

  clear(): void {
    this.#rules = [];
  }

  counts(): readonly FaultCount[] {
    return this.#rules.map(({ name, fault, matched, fired }) => ({ name, fault, matched, fired }));
  }

  /** Lets nobody wait any longer. */
  async close(): Promise<void> {
    this.#life.abort();
  }

  /** Stands next to the endpoints, behind authentication: who may not in meets no fault. */
  readonly layer: Layer = (next) => {
    const honest = answerErrors(this.#parts.log)(next);
    return (request) => {
      if (this.#rules.length === 0) return next(request);
      const now = this.#parts.clock.now();
      const hit = this.#rules.filter((rule) => rule.hits(request, now));
      return hit.length === 0 ? next(request) : this.#answer(request, hit, honest);
    };
  };

  async #answer(request: ApiRequest, hit: readonly Rule[], honest: Handler): Promise<Reply> {
    const fired = new Set<Rule>();
    const reply = await this.#misbehave(request, hit, honest, fired);
    for (const rule of fired) rule.fired++;
    return { ...reply, faults: Array.from(fired, ({ name }) => name) };
  }

  async #misbehave(
    request: ApiRequest,
    hit: readonly Rule[],
    honest: Handler,
    fired: Set<Rule>,
  ): Promise<Reply> {
    const { clock } = this.#parts;
    for (const rule of hit) {
      const waitMs = rule.waitMs(clock.now());
      if (waitMs === undefined) continue;
      fired.add(rule);
      if (!(await this.#wait(waitMs))) return RESET;
    }
    for (const rule of hit) {
      const { reset, handled } = rule.effect;
      const instead = reset === 'before' ? RESET : statusReply(rule.effect, request.route?.name);
      if (!instead || (handled && reset !== 'before')) continue;
      fired.add(rule);
      return instead;
    }
    const cutter = bringsBody(request) ? hit.find(({ effect }) => effect.reset === 'mid') : undefined;
    if (cutter) {
      fired.add(cutter);
      return discarded(await honest(cutRequest(request)), RESET);
    }
    let reply = await this.#handlerFor(hit, honest, fired)(request);
    for (const rule of hit) {
      const altered = await this.#alter(rule, reply, request);
      if (altered !== reply) fired.add(rule);
      reply = altered;
    }
    return reply;
  }

  async #alter(rule: Rule, reply: Reply, { method, route }: ApiRequest): Promise<Reply> {
    const { clock } = this.#parts;
    const told = await alterAdministration(rule, reply, route, clock.now());
    const instead = statusReply(rule.effect, route?.name);
    const answered = instead ? discarded(told, instead) : told;
    return alterReply(rule, answered, method, clock, this.#life.signal);
  }

  /** The endpoints, on a storage that lies when the faults say so. */
  #handlerFor(hit: readonly Rule[], honest: Handler, fired: Set<Rule>): Handler {
    const liars = hit.filter(isLie);
    if (liars.length === 0) return honest;
    const { storage, endpointsOn, clock, log } = this.#parts;
    const told = { history: this.#history, now: clock.now(), tells: (rule: Rule) => void fired.add(rule) };
    return answerErrors(log)(endpointsOn(lyingStorage(storage, liars, told)));
  }

  /** False when the testbed closes meanwhile. */
  async #wait(ms: number): Promise<boolean> {
    try {
      await this.#parts.clock.sleep(ms, this.#life.signal);
      return true;
    } catch {
      return false;
    }
  }

  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { storage, clock } = this.#parts;
    storage.watchNames((change) => this.#history.record(change, clock.now()));
  }
}
