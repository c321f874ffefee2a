import { type CredentialSource, createAuthenticator } from '../auth/index.ts';
import { type Clock, isRegopsError, type Log } from '../base/index.ts';
import {
  type Agent,
  type ByteRate,
  compose,
  createAgent,
  DEFAULT_RETRY_POLICY,
  discardBody,
  followRedirects,
  limitRate,
  type ProxySettings,
  retry,
  setHeaders,
  type TlsMaterial,
  throttle,
  trace,
} from '../http/index.ts';
import { createRegistryClient, type RegistryClient, type RegistryConnection } from './client.ts';
import type { RegistryTarget } from './target.ts';
import { unknownTraits } from './traits.ts';

/** What a connection to a registry is made of; all of it comes from outside, nothing from the process. */
export interface ConnectOptions {
  readonly target: RegistryTarget;
  readonly credentials: CredentialSource;
  /** `host[:port]` of token services at inner addresses that the user vouches for. */
  readonly allowedRealms?: readonly string[] | undefined;
  readonly tls?: TlsMaterial | undefined;
  readonly insecure?: boolean;
  readonly proxy?: ProxySettings | undefined;
  readonly timeoutMs: number;
  /** Repeats of a request after passing failures. */
  readonly retries: number;
  /** Requests under way at once. Default: 16. */
  readonly connections?: number;
  /** How fast the bodies of requests may go out; shared with whoever has the same one. */
  readonly sendRate?: ByteRate | undefined;
  readonly userAgent: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_CONNECTIONS = 16;

/**
 * Builds the chain to a registry and gives its client. No request is made, unless there is more than one
 * origin to try: a loopback host without a scheme is asked by https, and if nothing there speaks TLS, it is
 * http.
 *
 * @throws what asking by https gave, when TLS is spoken there: TLS_UNTRUSTED, TLS_FAILED, TIMED_OUT …
 */
export async function connectRegistry(options: ConnectOptions): Promise<RegistryClient> {
  const [first, ...others] = options.target.origins;
  let origin = first;
  for (const next of others) {
    if (await speaksTls(origin, options)) break;
    origin = next;
  }
  return clientAt(origin, options);
}

/** Asks once, without credentials, whether there is a TLS server. */
async function speaksTls(origin: URL, options: ConnectOptions): Promise<boolean> {
  const agent = agentAt(origin, options);
  const signal = options.signal ? { signal: options.signal } : {};
  try {
    await discardBody(await agent.send({ method: 'GET', url: new URL('/v2/', origin), ...signal }));
    return true;
  } catch (error) {
    if (isRegopsError(error, 'CONNECTION_FAILED')) return false;
    // An alert (a client certificate is wanted, say) is spoken TLS: http there would only confuse.
    if (isRegopsError(error, 'TLS_FAILED') && !/ALERT/.test(String(error.details['errno']))) return false;
    throw error;
  } finally {
    await agent.close();
  }
}

function agentAt(origin: URL, options: ConnectOptions): Agent {
  return createAgent({
    boundOrigin: origin,
    timeoutMs: options.timeoutMs,
    tls: options.tls,
    insecure: options.insecure ?? false,
    proxy: options.proxy,
    connections: options.connections ?? DEFAULT_CONNECTIONS,
  });
}

/** The chain, outermost first: redirect → authenticate → retry → throttle → trace → agent (house.md). */
function clientAt(origin: URL, options: ConnectOptions): RegistryClient {
  const { clock, log, retries, target } = options;
  const connections = options.connections ?? DEFAULT_CONNECTIONS;
  const agent = agentAt(origin, options);
  const wire = [
    retry({ ...DEFAULT_RETRY_POLICY, attempts: retries + 1 }, { clock, log }),
    throttle({ concurrent: connections }, clock),
    trace(log, clock),
    setHeaders({ origin, userAgent: options.userAgent }),
    ...(options.sendRate ? [limitRate(options.sendRate)] : []),
  ];
  const authenticator = createAuthenticator({
    origin,
    host: target.domain,
    credentials: options.credentials,
    allowedRealms: options.allowedRealms ?? [],
    tokenSend: compose(wire, agent.send),
    clock,
    log,
  });
  const send = compose([followRedirects({ origin }), authenticator.middleware, ...wire], agent.send);
  return createRegistryClient({
    domain: target.domain,
    origin,
    send,
    traits: unknownTraits(),
    log,
    clock,
    retries,
    timeoutMs: options.timeoutMs,
    authorization: authenticator.authorization,
    async connection() {
      return {
        domain: target.domain,
        origin: origin.origin,
        credential: await options.credentials(target.domain),
        allowedRealms: options.allowedRealms ?? [],
        tls: options.tls,
        insecure: options.insecure ?? false,
        proxy: options.proxy,
        timeoutMs: options.timeoutMs,
        retries,
        userAgent: options.userAgent,
      };
    },
    close: () => agent.close(),
  });
}

/** Connects as another thread's client is connected: see `RegistryClient.connection`. */
export function reconnect(
  connection: RegistryConnection,
  context: Pick<ConnectOptions, 'log' | 'clock' | 'connections'>,
): RegistryClient {
  const { domain, origin, credential, ...rest } = connection;
  const url = new URL(origin);
  return clientAt(url, {
    ...rest,
    ...context,
    target: { domain, origins: [url] },
    credentials: async () => credential,
  });
}
