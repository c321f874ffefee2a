import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { type Clock, type Log, RegopsError, silentLog, systemClock } from '../base/index.ts';
import type { Account } from './accounts.ts';
import { answerAlts, type RunTask, Tasks } from './alts/index.ts';
import { expireToken, requireBasic, requireToken } from './authentication.ts';
import { uploadEndpoints } from './blob-uploads.ts';
import { blobEndpoints } from './blobs.ts';
import { makeCertificates, writeCertificates } from './certificates.ts';
import { discoveryEndpoints } from './discovery.ts';
import { Elsewhere, type ForeignRequest } from './elsewhere.ts';
import { dispatch, refuseInvalidNames } from './endpoints.ts';
import { type Handler, type Layer, wrap } from './exchange.ts';
import { type Fault, type FaultControl, Faults } from './faults/index.ts';
import { folderStorage } from './folder-storage.ts';
import { memoryStorage } from './indexed-storage.ts';
import { manifestEndpoints } from './manifests.ts';
import { ContentCounter, collectGarbage, References } from './nscr-contents.ts';
import { nscrEndpoints } from './nscr-endpoints.ts';
import { PERSONAS, type Persona, type PersonaName, personaEndpoints, playEdge } from './personas/index.ts';
import { pruneEndpoints } from './prune.ts';
import { PullThroughStorage } from './pull-through.ts';
import { ApiServer, type RequestLine } from './server.ts';
import type { Storage } from './storage.ts';
import { checkSynthetic, type SyntheticSpec, SyntheticStorage } from './synthetic/index.ts';
import { tokenEndpoints } from './token-service.ts';
import { Tokens } from './tokens.ts';
import { answerTraffic, type Traffic, TrafficCounter, type TrafficWatch } from './traffic.ts';
import { Uploads } from './uploads.ts';
import type { Upstream } from './upstream.ts';
import { addressUpstream } from './upstream-address.ts';
import { answerErrors, errorReply } from './wire-errors.ts';

const TOKEN_LIFETIME_MS = 5 * 60 * 1000;
const ALTS_FILE = 'alts.ndjson';
const ALTS_TASK_MS = 2000;
const ALTS_WORKERS = 4;

/** An ALTS scheduler beside the registry. */
export interface AltsOptions {
  /** Asks for tokens that this secret has signed (HS256); without it everybody is let in. */
  readonly secret?: string | undefined;
  /** False for ALTS since November 2023, which takes no submissions. */
  readonly submissions?: boolean;
  /** Runs a test whose package's name follows no script; without it such a test passes. */
  readonly runTask?: RunTask | undefined;
  /** How long a test takes that is not run for real; default 2 s. */
  readonly taskMs?: number | undefined;
  /** How many tests are under way at once; default 4. */
  readonly workers?: number | undefined;
}

export interface TestbedOptions {
  /** Default 0: any free one. */
  readonly port?: number;
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** Folder to keep everything in; default: in memory. */
  readonly dir?: string;
  /** Asks for this user name and password: by Basic, or at the token service. */
  readonly auth?: Account;
  /** Bearer tokens from our own `/token`. With `auth` anonymous clients may pull only; without, everybody may do all. */
  readonly tokenAuth?: boolean;
  /** How long an access token is good; default five minutes. */
  readonly tokenLifetimeMs?: number;
  /** https, with an authority of our own. */
  readonly tls?: boolean;
  /** With `tls`: only clients with our client certificate are let in. */
  readonly clientCertificates?: boolean;
  /** Fetches from there what is missing here. */
  readonly upstream?: Upstream;
  /** Serves these images, computed when they are asked for, and takes no pushes; not with `dir` or `upstream`. */
  readonly synthetic?: SyntheticSpec;
  /** Also schedules tests of packages; with `dir` they outlive the process. */
  readonly alts?: AltsOptions;
  /** Plays a registry that clients meet, with the quirks it is known for (personas/table.ts). */
  readonly persona?: PersonaName;
  /** Repositories that exist from the start, for a persona that makes none when something is pushed. */
  readonly repositories?: readonly string[];
  readonly log?: Log;
  /** Told of every request when it is over. */
  readonly onRequest?: (line: RequestLine) => void;
  /** The time by which tokens age, sessions last and faults wait; default the machine's. */
  readonly clock?: Clock;
  /** What goes wrong, from the start on (faults/README.md). */
  readonly faults?: readonly Fault[];
  /** What chance among faults hangs on; default 0. */
  readonly faultSeed?: number;
}

/** A registry that is running. */
export interface Testbed {
  /** `http://127.0.0.1:5000`, without a slash at its end. */
  readonly url: string;
  /** The host clients connect to, without the port. */
  readonly host: string;
  readonly port: number;
  /** With `tls`: PEM of the authority to trust, in a private folder that `close` removes. */
  readonly caFile?: string;
  /** With `clientCertificates`: the pair to show. */
  readonly clientCertFile?: string;
  readonly clientKeyFile?: string;
  /** What goes wrong: may be changed at any time. */
  readonly faults: FaultControl;
  /** What was fetched so far; the same as `GET /api/regops/traffic`. */
  traffic(): Traffic;
  /** What came to the second origin, where faults and personas send clients. */
  readonly foreignRequests: readonly ForeignRequest[];
  /** Upload sessions that are open. */
  openUploads(): number;
  /** Sets what `traffic` tells to nothing. */
  resetTraffic(): void;
  /** Counts what is fetched from now on, beside what `traffic` tells. */
  watchTraffic(): TrafficWatch;
  /** Ends every connection and frees everything; what a folder holds stays. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts a registry in this process.
 *
 * @throws USAGE for synthetic images that cannot be; CONFIG_INVALID for options that contradict each other, an
 * address that cannot be had, or a folder that is not a testbed's; IO_FAILED or INPUT_INVALID for a folder that
 * cannot be used
 */
export async function startTestbed(options: TestbedOptions = {}): Promise<Testbed> {
  const { host = '127.0.0.1', port = 0, auth, upstream, log = silentLog, clock = systemClock } = options;
  if (options.clientCertificates && !options.tls) {
    throw new RegopsError('CONFIG_INVALID', 'client certificates need TLS');
  }
  const synthetic = options.synthetic && checkSynthetic(options.synthetic);
  if (synthetic && (upstream || options.dir !== undefined)) {
    throw new RegopsError('CONFIG_INVALID', 'synthetic images are not kept in a folder and have no upstream');
  }
  if (synthetic && options.persona) {
    throw new RegopsError('CONFIG_INVALID', 'synthetic images have no quirks: they can only be read');
  }
  const persona: Persona | undefined = options.persona && PERSONAS[options.persona];
  if (persona?.tokenService === false && options.tokenAuth) {
    throw new RegopsError('CONFIG_INVALID', `${persona.title} has no token service`, {
      hints: ['Its clients sign in by Basic: give an account alone.'],
    });
  }
  const closers: (() => Promise<void>)[] = [];
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= closeAll(closers);
    return closed;
  };
  try {
    const traffic = new TrafficCounter({ hasUpstream: upstream !== undefined });
    const own = synthetic
      ? new SyntheticStorage(synthetic)
      : options.dir === undefined
        ? memoryStorage()
        : await folderStorage(options.dir);
    const cache = upstream && new PullThroughStorage({ local: own, upstream, traffic, clock, log });
    const storage = cache ?? own;
    closers.push(() => storage.close());
    const uploads = new Uploads(() => storage.spool(), clock);
    closers.push(() => uploads.close());

    const clientHost = reachableHost(host);
    const certificates = options.tls
      ? await makeCertificates(clientHost, options.clientCertificates ?? false)
      : undefined;
    const files = certificates && (await writeCertificates(certificates));
    if (files) closers.push(() => files.remove());

    let url = '';
    const tokens = options.tokenAuth
      ? new Tokens(clock, options.tokenLifetimeMs ?? persona?.tokenLifetimeMs ?? TOKEN_LIFETIME_MS)
      : undefined;
    const layers: Layer[] = [answerErrors(log)];
    if (upstream?.domain !== undefined) layers.push(addressUpstream(upstream.domain));
    layers.push(refuseInvalidNames);
    if (persona) layers.push(playEdge(persona));
    if (tokens) layers.push(requireToken(tokens, () => url, auth));
    else if (auth) layers.push(requireBasic(auth));
    layers.push(answerTraffic(traffic));
    const references = new References();
    const pruning = cache && pruneEndpoints({ cache, references, domain: upstream?.domain, clock });
    const nscr = { uploads, references, clock, startedAt: clock.now() };
    const honestOn = (held: Storage): Handler => {
      const reading = {
        ...discoveryEndpoints(held),
        ...blobEndpoints(held, traffic),
        ...manifestEndpoints(held, traffic),
        ...(tokens && tokenEndpoints(tokens, auth, persona?.refusedAction)),
      };
      if (synthetic) return refuseWrites(dispatch(reading));
      return dispatch({
        ...reading,
        ...uploadEndpoints(held, uploads),
        ...nscrEndpoints({ storage: held, ...nscr }),
        ...pruning,
      });
    };
    const elsewhere = new Elsewhere(
      wrap([answerErrors(log), refuseInvalidNames], honestOn(storage)),
      { host, certificates, log },
      clientHost,
    );
    const endpointsOn = persona
      ? personaEndpoints(persona, honestOn, {
          ...{ uploads, references, elsewhere, log },
          repositories: options.repositories ?? [],
        })
      : honestOn;
    const faults = new Faults({
      ...{ seed: options.faultSeed ?? 0, clock, log, storage, endpointsOn, uploads, elsewhere },
      collectBlobs: async () =>
        (await collectGarbage(storage, new ContentCounter(storage, references))).blobs,
      expire: tokens && ((request) => expireToken(tokens, request, url)),
    });
    faults.addAll(options.faults ?? []);
    layers.push(faults.layer);
    if (options.alts) {
      const {
        secret,
        submissions = true,
        runTask,
        taskMs = ALTS_TASK_MS,
        workers = ALTS_WORKERS,
      } = options.alts;
      const path = options.dir === undefined ? undefined : join(options.dir, ALTS_FILE);
      const tasks = await Tasks.open({ clock, log, runTask, taskMs, workers, path });
      closers.push(() => tasks.close());
      // Before all others: it knows nothing of the registry's credentials.
      layers.unshift(answerAlts({ tasks, secret, submissions, clock, log, faults: faults.layer }));
    }
    const handler = wrap(layers, endpointsOn(storage));
    const { onRequest } = options;
    const server = await ApiServer.listen(handler, { host, port, certificates, log, onRequest });
    closers.push(
      () => server.close(),
      () => elsewhere.close(),
    );
    // First of all: who waits for a fault would keep the server open.
    closers.push(() => faults.close());

    const shownHost = isIPv6(clientHost) ? `[${clientHost}]` : clientHost;
    url = `${certificates ? 'https' : 'http'}://${shownHost}:${server.port}`;
    return {
      url,
      host: clientHost,
      port: server.port,
      faults,
      foreignRequests: elsewhere.requests,
      openUploads: () => uploads.list().length,
      traffic: () => traffic.totals(),
      resetTraffic: () => traffic.reset(),
      watchTraffic: () => traffic.watch(),
      ...(files && { caFile: files.caFile }),
      ...(files?.clientCertFile && { clientCertFile: files.clientCertFile }),
      ...(files?.clientKeyFile && { clientKeyFile: files.clientKeyFile }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Endpoints that only read: what would write is answered before it comes to them. The token service takes POST. */
function refuseWrites(next: Handler): Handler {
  return async (request) => {
    const { method, route } = request;
    if (method === 'GET' || method === 'HEAD' || route?.name === 'token') return next(request);
    return errorReply('UNSUPPORTED', 'synthetic images can only be read', {
      headers: { allow: 'GET, HEAD' },
    });
  };
}

/** The last opened first; what fails does not keep the others from being closed. */
async function closeAll(closers: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const close of closers.toReversed()) await close().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** Where a client connects: a server that listens on every address is reached on the loopback one. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
