import { isIPv6 } from 'node:net';
import { type Clock, type Log, RegopsError, silentLog, systemClock } from '../base/index.ts';
import type { Account } from './accounts.ts';
import { requireBasic, requireToken } from './authentication.ts';
import { uploadEndpoints } from './blob-uploads.ts';
import { blobEndpoints } from './blobs.ts';
import { makeCertificates, writeCertificates } from './certificates.ts';
import { discoveryEndpoints } from './discovery.ts';
import { dispatch, refuseInvalidNames } from './endpoints.ts';
import { type Handler, type Layer, wrap } from './exchange.ts';
import { type Fault, type FaultControl, Faults } from './faults/index.ts';
import { folderStorage } from './folder-storage.ts';
import { memoryStorage } from './indexed-storage.ts';
import { manifestEndpoints } from './manifests.ts';
import { References } from './nscr-contents.ts';
import { nscrEndpoints } from './nscr-endpoints.ts';
import { PullThroughStorage } from './pull-through.ts';
import { ApiServer, type RequestLine } from './server.ts';
import type { Storage } from './storage.ts';
import { tokenEndpoints } from './token-service.ts';
import { Tokens } from './tokens.ts';
import { Uploads } from './uploads.ts';
import type { Upstream } from './upstream.ts';
import { answerErrors } from './wire-errors.ts';

const TOKEN_LIFETIME_MS = 5 * 60 * 1000;

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
  /** Ends every connection and frees everything; what a folder holds stays. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts a registry in this process.
 *
 * @throws CONFIG_INVALID for options that contradict each other, an address that cannot be had, or a folder
 * that is not a testbed's; IO_FAILED or INPUT_INVALID for a folder that cannot be used
 */
export async function startTestbed(options: TestbedOptions = {}): Promise<Testbed> {
  const { host = '127.0.0.1', port = 0, auth, upstream, log = silentLog, clock = systemClock } = options;
  if (options.clientCertificates && !options.tls) {
    throw new RegopsError('CONFIG_INVALID', 'client certificates need TLS');
  }
  const closers: (() => Promise<void>)[] = [];
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= closeAll(closers);
    return closed;
  };
  try {
    const own = options.dir === undefined ? memoryStorage() : await folderStorage(options.dir);
    const storage = upstream ? new PullThroughStorage(own, upstream, log) : own;
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
      ? new Tokens(clock, options.tokenLifetimeMs ?? TOKEN_LIFETIME_MS)
      : undefined;
    const layers: Layer[] = [answerErrors(log), refuseInvalidNames];
    if (tokens) layers.push(requireToken(tokens, () => url, auth));
    else if (auth) layers.push(requireBasic(auth));
    const nscr = { uploads, references: new References(), clock, startedAt: clock.now() };
    const endpointsOn = (held: Storage): Handler =>
      dispatch({
        ...discoveryEndpoints(held),
        ...blobEndpoints(held),
        ...uploadEndpoints(held, uploads),
        ...manifestEndpoints(held),
        ...nscrEndpoints({ storage: held, ...nscr }),
        ...(tokens && tokenEndpoints(tokens, auth)),
      });
    const faults = new Faults({ seed: options.faultSeed ?? 0, clock, log, storage, endpointsOn });
    faults.addAll(options.faults ?? []);
    layers.push(faults.layer);
    const handler = wrap(layers, endpointsOn(storage));
    const { onRequest } = options;
    const server = await ApiServer.listen(handler, { host, port, certificates, log, onRequest });
    closers.push(() => server.close());
    // First of all: who waits for a fault would keep the server open.
    closers.push(() => faults.close());

    const shownHost = isIPv6(clientHost) ? `[${clientHost}]` : clientHost;
    url = `${certificates ? 'https' : 'http'}://${shownHost}:${server.port}`;
    return {
      url,
      host: clientHost,
      port: server.port,
      faults,
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
