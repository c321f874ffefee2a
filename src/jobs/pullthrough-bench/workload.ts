/**
 * The load of a pull-through cache's clients: each puller pulls the images of one pattern in order, again and
 * again; or each image twice in a row; or images come at a rate. In a dry run nobody is asked for anything.
 */
import { backoffDelayMs, silentLog, systemClock } from '../../base/index.ts';
import type { CreateWorkload, OperationOutcome, Random, Turn, Workload } from '../../load/index.ts';
import {
  LaneExchanger,
  type LaneGrant,
  LaneGrants,
  openRegistryLane,
  type PulledRequest,
  Puller,
  type PullOptions,
  type PullResult,
  type RegistryConnection,
  type RegistryLane,
} from '../../registry/index.ts';
import { type CachePlace, type PathStyle, placeOf } from './addressing.ts';
import { type Chill, createChill, noHook, remoteHook } from './cold.ts';
import { Counters, GoneHome } from './counters.ts';
import { DigestSet } from './digest-set.ts';
import { ImageOrder } from './image-order.ts';
import { type ImageMemory, ImageTable } from './image-table.ts';
import type { ColdBy, OnError } from './options.ts';

/** What the job gives to every thread: plain data, and memory they all share. */
export interface PullerOptions {
  /** Undefined in a dry run. */
  readonly connection: RegistryConnection | undefined;
  readonly images: ImageMemory;
  /** Of the patterns that match anything. */
  readonly groups: readonly { readonly pattern: string; readonly images: SharedArrayBuffer }[];
  readonly mode: 'passes' | 'cold-vs-warm' | 'rate';
  readonly pullers: number;
  readonly pullersPerPattern: number;
  readonly pathStyle: PathStyle;
  readonly upstreamName: string;
  readonly pull: PullOptions;
  readonly shuffle: boolean;
  /** After each pass; only with `passes`. */
  readonly cold: ColdBy | undefined;
  /** Where the hook is asked for. */
  readonly hookChannel: string;
  readonly onError: OnError;
  readonly counters: SharedArrayBuffer;
  readonly home: SharedArrayBuffer;
  readonly digests: SharedArrayBuffer;
}

/** The seed's: it keeps a dry run from spinning. */
const DRY_PULL_MS = 100;
/** Pauses after failures: from 100 ms doubling to 10 s, half of each left to chance. */
const BACKOFF = { baseMs: 50, capMs: 5000 };

type Done = (outcome: OperationOutcome) => void;

/** What a puller pulls next, and what happens afterwards. */
interface Next {
  readonly image: number;
  readonly kind: 'pull' | 'cold' | 'warm';
  readonly endsPass: boolean;
}

/** What one puller does, pull by pull. */
interface Staff {
  next(random: Random): Next;
  /** What it does before its next pull, which may be none: see `OperationOutcome.rest`. */
  after(done: Next, ok: boolean, random: Random, turn: Turn): Promise<boolean> | undefined;
}

/** Notes that a puller will pull no more; false, for its `rest`. */
type GoHome = (why: 'done' | 'failed') => boolean;

export const createWorkload: CreateWorkload = async (given, place): Promise<Workload> => {
  const options = given as PullerOptions;
  const table = ImageTable.over(options.images);
  const groups = options.groups.map((group) => ({ ...group, images: new Uint32Array(group.images) }));
  const counters = new Counters(options.counters);
  const home = new GoneHome(options.home);
  const life = new AbortController();
  const { connection } = options;
  const lane =
    connection &&
    (await openRegistryLane(connection, {
      connections: place.concurrency * options.pull.layerConcurrency,
      log: silentLog,
      clock: systemClock,
    }));
  const remote = options.cold === 'hook' && lane ? remoteHook(options.hookChannel) : undefined;
  const chill =
    options.cold && lane ? createChill(options.cold, lane, counters, remote?.hook ?? noHook) : undefined;
  const pullOne = lane ? pulling(lane, table, options, counters) : dryPull;
  const staff = new Map<number, Staff>();

  function staffOf(number: number): Staff {
    const known = staff.get(number);
    if (known) return known;
    const goHome = (why: 'done' | 'failed'): boolean => {
      // At the end of the run everybody is told to go.
      if (life.signal.aborted) return false;
      home.add(number);
      if (why === 'failed') counters.add('stopped');
      return false;
    };
    const fresh =
      options.mode === 'cold-vs-warm'
        ? pairs(table.size, number, options, goHome, life.signal)
        : passes(groups, number, options, { goHome, chill, counters, signal: life.signal });
    staff.set(number, fresh);
    return fresh;
  }

  return {
    async start() {
      if (!lane) return;
      const first = placeAt(table, 0, options);
      await lane.learn('/v2/', []);
      await lane.learn(`/v2/${first.repository}/tags/list${queryOf(first)}`, first.scopes);
    },
    fire(random, done, turn) {
      if (options.mode === 'rate') {
        const group = groups[turn.number % groups.length] as (typeof groups)[number];
        const at = Math.floor(turn.number / groups.length) % group.images.length;
        pullOne(group.images[at] as number, 'pull', turn, done);
        return;
      }
      const puller = staffOf(turn.number);
      const next = puller.next(random);
      pullOne(next.image, next.kind, turn, (outcome) => {
        const rest = puller.after(next, outcome.ok, random, turn);
        done(rest ? { ...outcome, rest } : outcome);
      });
    },
    async close() {
      life.abort();
      remote?.close();
      await lane?.close();
    },
  };
};

/** A path's query for a place, with its question mark. */
export function queryOf({ query }: CachePlace): string {
  return query === undefined ? '' : `?${query}`;
}

function placeAt(table: ImageTable, image: number, options: PullerOptions): CachePlace {
  return placeOf(options.pathStyle, options.upstreamName, table.at(image).repository);
}

function dryPull(_image: number, _kind: Next['kind'], _turn: Turn, done: Done): void {
  setTimeout(() => done({ kind: 'dry', ok: true, bytes: 0 }), DRY_PULL_MS);
}

/** Pulls images through a lane, and books their requests as parts. */
function pulling(
  lane: RegistryLane,
  table: ImageTable,
  options: PullerOptions,
  counters: Counters,
): typeof dryPull {
  const digests = new DigestSet(options.digests);
  const puller = new Puller(new LaneExchanger(lane, (kind) => counters.add(kind)), options.pull);
  const grants = new LaneGrants(lane);
  return (image, kind, turn, done) => {
    const { tag, repository: name } = table.at(image);
    const { repository, query, scopes } = placeOf(options.pathStyle, options.upstreamName, name);
    const suffix = kind === 'pull' ? '' : `_${kind}`;
    const onRequest = (request: PulledRequest): void => {
      if (request.kind === 'getBlob' && request.digest) digests.add(request.digest);
      turn.part(partOf(request, suffix), request.ms);
    };
    const finish = (result: PullResult): void => {
      if (result.redirected) counters.add('redirected');
      done(outcomeOf(kind, result));
    };
    const pull = (grant: LaneGrant): void =>
      puller.pull({ repository, reference: tag, query, grant, onRequest }, finish);
    const known = grants.granted(scopes);
    if (known) pull(known);
    else {
      grants.grant(scopes).then(pull, () => done({ kind, ok: false, error: 'authorization', bytes: 0 }));
    }
  };
}

function partOf(request: PulledRequest, suffix: string): OperationOutcome {
  const { error, bytes, firstByteMs } = request;
  return {
    kind: `${request.kind === 'getBlob' ? 'blob' : 'manifest'}${suffix}`,
    ok: error === undefined,
    bytes,
    ...(error === undefined ? {} : { error }),
    ...(firstByteMs === undefined ? {} : { firstByteMs }),
  };
}

function outcomeOf(kind: string, { error, bytes, firstByteMs }: PullResult): OperationOutcome {
  return {
    kind,
    ok: error === undefined,
    bytes,
    ...(error === undefined ? {} : { error }),
    ...(firstByteMs === undefined ? {} : { firstByteMs }),
  };
}

/** A puller of the ramp: pass after pass through the images of its pattern. */
function passes(
  groups: readonly { readonly pattern: string; readonly images: Uint32Array }[],
  number: number,
  { pullersPerPattern, shuffle, onError }: PullerOptions,
  own: {
    readonly goHome: GoHome;
    readonly chill: Chill | undefined;
    readonly counters: Counters;
    readonly signal: AbortSignal;
  },
): Staff {
  const { pattern, images } = groups[Math.floor(number / pullersPerPattern)] as (typeof groups)[number];
  const offset = Math.floor(((number % pullersPerPattern) * images.length) / pullersPerPattern);
  const order = new ImageOrder(images, offset, shuffle);
  const patience = new Patience(onError, own.signal);

  /** After a pass; false when the puller is not to go on. */
  async function chillAfter(random: Random, turn: Turn): Promise<boolean> {
    const { ms, ...outcome } = await (own.chill as Chill)(pattern);
    turn.part(outcome, ms);
    return outcome.ok || (await patience.failed(random)) || own.goHome('failed');
  }

  return {
    next(random) {
      return { kind: 'pull', ...order.next(random) };
    },
    after({ endsPass }, ok, random, turn) {
      if (endsPass) own.counters.add('pass');
      const tidies = endsPass && own.chill !== undefined;
      if (ok) {
        patience.succeeded();
        return tidies ? chillAfter(random, turn) : undefined;
      }
      if (onError === 'continue' && !tidies) return undefined;
      return (async () => {
        if (!(await patience.failed(random))) return own.goHome('failed');
        return tidies ? chillAfter(random, turn) : true;
      })();
    },
  };
}

/** A puller that pulls each image of its share twice in a row; after a failure it goes on to the next image. */
function pairs(
  images: number,
  number: number,
  { pullers, onError }: PullerOptions,
  goHome: GoHome,
  signal: AbortSignal,
): Staff {
  const end = Math.floor(((number + 1) * images) / pullers);
  const patience = new Patience(onError, signal);
  let image = Math.floor((number * images) / pullers);
  let warm = false;
  return {
    next() {
      return { image, kind: warm ? 'warm' : 'cold', endsPass: image === end - 1 };
    },
    after(done, ok, random) {
      warm = done.kind === 'cold' && ok;
      if (!warm) image++;
      if (image === end) return Promise.resolve(goHome('done'));
      if (ok) {
        patience.succeeded();
        return undefined;
      }
      if (onError === 'continue') return undefined;
      return patience.failed(random).then((goesOn) => goesOn || goHome('failed'));
    },
  };
}

/** How a puller bears failures. */
class Patience {
  readonly #onError: OnError;
  readonly #signal: AbortSignal;
  #failures = 0;

  constructor(onError: OnError, signal: AbortSignal) {
    this.#onError = onError;
    this.#signal = signal;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** Resolves when the puller may go on; to false when it should not. */
  async failed(random: Random): Promise<boolean> {
    if (this.#onError !== 'backoff') return this.#onError === 'continue';
    const { baseMs, capMs } = BACKOFF;
    const attempt = ++this.#failures;
    const ms = Math.min(capMs, baseMs * 2 ** (attempt - 1)) + backoffDelayMs(attempt, BACKOFF, random);
    await systemClock.sleep(ms, this.#signal).catch(() => {});
    return !this.#signal.aborted;
  }
}
