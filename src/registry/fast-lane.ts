import { type Clock, type Log, messageOf, silentLog } from '../base/index.ts';
import { discardBody, type LaneRequest, openFastLane } from '../http/index.ts';
import type { RegistryClient, RegistryConnection } from './client.ts';
import { reconnect } from './connect.ts';
import { resolveLocation } from './upload/location.ts';

/** Tokens are asked for anew when less than half a minute is left: this is often enough to never be late. */
const REFRESH_MS = 10_000;
/** A registry that lists ever new repositories must not fill the memory. */
const MAX_GRANTS = 10_000;

/** Leave to do something, as the headers that show it; kept fresh while the lane is open. */
export interface LaneGrant {
  /** Headers (names and values in turn) with the user agent and what authorizes; built once per `base` and proof. */
  headers(base: readonly string[]): string[];
}

/**
 * A registry for very many requests: a fast lane beside an ordinary client. The client is for all that is not
 * measured, and by its requests it learns what the registry wants; the lane then sends the same proof, to the
 * same origin, and nowhere else.
 */
export interface RegistryLane {
  readonly client: RegistryClient;
  /** Requests of the lane that are under way. */
  readonly active: number;
  /** Sends a request as it is; see `LaneRequest`. Never throws, follows nothing. */
  send(request: LaneRequest): void;
  /**
   * Asks for a path once by the client, whatever comes back: after that the registry's wishes are known. A
   * registry whose `/v2/` is open may still want to know who reads or writes. Throws when there is no answer.
   */
  learn(path: string, scopes: readonly string[]): Promise<void>;
  /** The grant for token scopes, fetched if need be. Throws what the token service throws. */
  grant(scopes: readonly string[]): Promise<LaneGrant>;
  /** The same, if it is at hand. */
  granted(scopes: readonly string[]): LaneGrant | undefined;
  /** A Location of this registry as path and query; undefined for one that is missing, malformed or elsewhere. */
  pathTo(location: string | string[] | undefined, from: string): string | undefined;
  close(): Promise<void>;
}

/**
 * Opens a lane.
 * @param options.connections of the lane; the client has a few of its own
 */
export async function openRegistryLane(
  connection: RegistryConnection,
  options: { readonly connections: number; readonly log: Log; readonly clock: Clock },
): Promise<RegistryLane> {
  const { connections, log, clock } = options;
  const { tls, insecure, proxy, timeoutMs, userAgent } = connection;
  const origin = new URL(connection.origin);
  const client = reconnect(connection, { log, clock });
  const lane = await openFastLane({ origin, connections, timeoutMs, tls, insecure, proxy });
  const grants = new Map<string, Grant>();

  const refresh = setInterval(() => {
    for (const grant of grants.values()) {
      client.authorization(grant.scopes).then(
        (authorization) => grant.prove(authorization),
        (error) => log.trace(`${connection.domain}: no new token: ${messageOf(error)}`),
      );
    }
  }, REFRESH_MS).unref();

  return {
    client,
    get active() {
      return lane.active;
    },
    send: (request) => lane.send(request),
    async learn(path, scopes) {
      await discardBody(await client.request({ method: 'GET', to: new URL(path, origin), scopes }));
    },
    async grant(scopes) {
      const authorization = await client.authorization(scopes);
      const key = scopes.join(' ');
      const known = grants.get(key);
      if (known) {
        known.prove(authorization);
        return known;
      }
      if (grants.size >= MAX_GRANTS) grants.clear();
      const grant = new Grant(scopes, userAgent, authorization);
      grants.set(key, grant);
      return grant;
    },
    granted: (scopes) => grants.get(scopes.join(' ')),
    pathTo(location, from) {
      const text = Array.isArray(location) ? location[0] : location;
      try {
        const { url, foreign } = resolveLocation(text, new URL(from, origin), origin, silentLog);
        return foreign ? undefined : `${url.pathname}${url.search}`;
      } catch {
        return undefined;
      }
    },
    async close() {
      clearInterval(refresh);
      await Promise.all([lane.close(), client.close()]);
    },
  };
}

class Grant implements LaneGrant {
  readonly scopes: readonly string[];
  readonly #userAgent: string;
  #authorization: string | undefined;
  readonly #built = new Map<readonly string[], string[]>();

  constructor(scopes: readonly string[], userAgent: string, authorization: string | undefined) {
    this.scopes = scopes;
    this.#userAgent = userAgent;
    this.#authorization = authorization;
  }

  prove(authorization: string | undefined): void {
    if (authorization === this.#authorization) return;
    this.#authorization = authorization;
    this.#built.clear();
  }

  headers(base: readonly string[]): string[] {
    let built = this.#built.get(base);
    if (!built) {
      const proof = this.#authorization === undefined ? [] : ['authorization', this.#authorization];
      built = ['user-agent', this.#userAgent, ...base, ...proof];
      this.#built.set(base, built);
    }
    return built;
  }
}
