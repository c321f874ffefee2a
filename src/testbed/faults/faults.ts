import { type Clock, type Log, RegopsError } from '../../base/index.ts';
import type { Elsewhere } from '../elsewhere.ts';
import type { ApiRequest, Handler, Layer, Reply } from '../exchange.ts';
import type { Storage } from '../storage.ts';
import type { Upload, Uploads } from '../uploads.ts';
import { answerErrors } from '../wire-errors.ts';
import { alterAdministration } from './administration.ts';
import { misplaced, redirected } from './locations.ts';
import { isLie, lyingStorage } from './lying-storage.ts';
import { type Fault, MOST_FAULTS, validateFault } from './model.ts';
import { NameHistory } from './name-history.ts';
import { parseFaults } from './parse.ts';
import { Rule } from './rule.ts';
import { siblingsOf, type Undo, watchWrite } from './undo.ts';
import {
  alterReply,
  bringsBody,
  cutRequest,
  discarded,
  prolonged,
  RESET,
  refusedFrom,
  silence,
  statusReply,
} from './wire.ts';

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
  readonly uploads: Uploads;
  readonly elsewhere: Elsewhere;
  /** Removes the blobs that no manifest refers to, and tells how many they were. */
  readonly collectBlobs: () => Promise<number>;
  /** Ends the token of a request and asks for another; undefined where there are no tokens. */
  readonly expire: ((request: ApiRequest) => Reply | undefined) | undefined;
}

/** The request in which an upload dies. */
interface LastRequest {
  readonly rule: Rule;
  readonly upload: Upload;
  readonly request: ApiRequest;
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
    if (!this.#parts.expire && fresh.some(({ effect }) => effect.expired)) {
      throw new RegopsError('CONFIG_INVALID', 'expired has no meaning without token authentication');
    }
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
    if (fresh.some(({ lag, effect }) => lag || effect.torn)) this.#watch();
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
      const instead = await this.#answerInstead(rule, request);
      if (!instead) continue;
      fired.add(rule);
      return instead;
    }
    for (const rule of hit) if (await this.#sweep(rule)) fired.add(rule);
    const cutter = bringsBody(request)
      ? hit.find(({ effect }) => effect.reset === 'mid' || effect.hang === 'mid')
      : undefined;
    if (cutter) {
      fired.add(cutter);
      const ending = cutter.effect.reset ? RESET : silence(this.#life.signal);
      return discarded(await honest(cutRequest(request)), ending);
    }
    const last = await this.#lastRequest(request, hit);
    const takeBack = await this.#watchWrites(request, hit);
    let reply = await this.#handlerFor(hit, honest, fired)(last?.request ?? request);
    if (last && reply.status === 404) {
      await this.#parts.uploads.drop(last.upload);
      fired.add(last.rule);
    }
    if (reply.status < 300) for (const rule of await takeBack()) fired.add(rule);
    for (const rule of hit) {
      const altered = await this.#alter(rule, reply, request);
      if (altered !== reply) fired.add(rule);
      reply = altered;
    }
    return reply;
  }

  /** The reply of a fault that answers in the registry's place. */
  async #answerInstead(rule: Rule, request: ApiRequest): Promise<Reply | undefined> {
    const { elsewhere, expire } = this.#parts;
    const { reset, hang, handled, expired, status } = rule.effect;
    if (reset === 'before') return RESET;
    if (hang === 'before') return silence(this.#life.signal);
    if (expired) return expire?.(request);
    if (rule.redirect) return redirected(request, rule.redirect, status, elsewhere);
    const instead = handled ? undefined : statusReply(rule.effect, request.route?.name);
    return instead && this.#prolonged(rule, instead, request.method);
  }

  #prolonged(rule: Rule, reply: Reply, method: string): Reply {
    if (rule.endlessBytes === undefined || method === 'HEAD') return reply;
    return prolonged(reply, rule.endlessBytes, this.#life.signal);
  }

  /** Cleans up, at the wrong moment; false when there was nothing to throw away. */
  async #sweep({ effect }: Rule): Promise<boolean> {
    const { uploads, collectBlobs } = this.#parts;
    if (effect.sweep === 'blobs') return (await collectBlobs()) > 0;
    if (effect.sweep === undefined) return false;
    const open = uploads.list();
    for (const upload of open) await uploads.drop(upload);
    return open.length > 0;
  }

  /** The request in which an upload dies, refused from where it does; undefined when none dies. */
  async #lastRequest(request: ApiRequest, hit: readonly Rule[]): Promise<LastRequest | undefined> {
    const { route, headers } = request;
    const { uploads } = this.#parts;
    const upload = route && uploads.get(route.repository, route.reference);
    if (!upload) return undefined;
    // A body whose length is not told may reach the place where the upload dies, or end before it.
    const coming = bringsBody(request) ? Number(headers['content-length'] ?? Number.POSITIVE_INFINITY) : 0;
    const rule = hit.find(({ diesAt }) => diesAt !== undefined && upload.size + coming >= diesAt);
    if (rule?.diesAt === undefined) return undefined;
    const left = rule.diesAt - upload.size;
    if (left <= 0) await uploads.drop(upload);
    return { rule, upload, request: left > 0 ? refusedFrom(request, left) : request };
  }

  /** Asked before the request is handled; what it gives, afterwards: takes writes back, and names the faults that did. */
  async #watchWrites(request: ApiRequest, hit: readonly Rule[]): Promise<() => Promise<readonly Rule[]>> {
    const undoer = hit.find(({ undoneAfterMs }) => undoneAfterMs !== undefined);
    const remover = hit.find(({ effect }) => effect.siblings !== undefined);
    if (!undoer && !remover) return async () => [];
    const { storage } = this.#parts;
    const written = undoer && (await watchWrite(request, storage));
    const siblings = remover ? await siblingsOf(request, storage) : [];
    return async () => {
      const done: Rule[] = [];
      const undo = await written?.();
      if (undoer && undo && (await this.#takeBack(undo, undoer.undoneAfterMs ?? 0))) done.push(undoer);
      const most = remover?.effect.siblings === true ? siblings.length : remover?.effect.siblings;
      const repository = request.route?.repository ?? '';
      for (const tag of siblings.slice(0, most)) await storage.deleteTag(repository, tag);
      if (remover && siblings.length > 0) done.push(remover);
      return done;
    };
  }

  async #takeBack(undo: Undo, afterMs: number): Promise<boolean> {
    if (afterMs === 0) return undo();
    void this.#wait(afterMs).then((isTime) => isTime && undo());
    return true;
  }

  async #alter(rule: Rule, reply: Reply, { method, route }: ApiRequest): Promise<Reply> {
    const { clock, elsewhere } = this.#parts;
    const told = await alterAdministration(rule, reply, route, clock.now());
    const instead = statusReply(rule.effect, route?.name);
    const answered = instead ? discarded(told, instead) : told;
    if (rule.location) return misplaced(answered, rule.location, elsewhere);
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
