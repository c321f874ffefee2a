import { formatScopes, mergeScopes, parseChallenges, parseScopes } from '../auth/index.ts';
import { type Clock, type Log, messageOf, silentLog } from '../base/index.ts';
import { discardBody, type LaneRequest, type LaneResult, openFastLane } from '../http/index.ts';
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
  /** How often what authorizes has changed: which one a request was sent with. */
  readonly version: number;
  /**
   * Takes up what a refusal (401) says: a token is fetched for the scopes it names beside the grant's own, for a
   * cache or a proxy may know a repository by another name. False when that brings nothing new. Never rejects.
   * @param version of the proof that was refused
   */
  reconsider(refusal: LaneResult['headers'], version: number): Promise<boolean>;
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
      grant.refresh().catch((error) => log.trace(`${connection.domain}: no new token: ${messageOf(error)}`));
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
      const key = scopes.join(' ');
      const grant = grants.get(key) ?? new Grant(scopes, userAgent, (wanted) => client.authorization(wanted));
      await grant.refresh();
      if (grants.size >= MAX_GRANTS) grants.clear();
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
  /** What it is for, and what the registry calls that, if it said so. */
  readonly #wanted: readonly string[];
  #scopes: readonly string[];
  readonly #userAgent: string;
  readonly #authorize: (scopes: readonly string[]) => Promise<string | undefined>;
  #authorization: string | undefined;
  readonly #built = new Map<readonly string[], string[]>();
  version = 0;

  constructor(
    scopes: readonly string[],
    userAgent: string,
    authorize: (scopes: readonly string[]) => Promise<string | undefined>,
  ) {
    this.#wanted = this.#scopes = scopes;
    this.#userAgent = userAgent;
    this.#authorize = authorize;
  }

  /** Throws what the token service throws. */
  async refresh(): Promise<void> {
    const authorization = await this.#authorize(this.#scopes);
    if (authorization === this.#authorization) return;
    this.#authorization = authorization;
    this.version++;
    this.#built.clear();
  }

  async reconsider(refusal: LaneResult['headers'], version: number): Promise<boolean> {
    if (version !== this.version) return true;
    const named = parseChallenges(refusal['www-authenticate'])
      .find(({ scheme }) => scheme === 'bearer')
      ?.parameters.get('scope');
    if (named === undefined) return false;
    // First come first: some registries read only the first (see `ScopeSet`).
    this.#scopes = formatScopes(mergeScopes(parseScopes([named]), parseScopes(this.#wanted)));
    try {
      await this.refresh();
    } catch {
      return false;
    }
    return version !== this.version;
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

/** A lane's grants for very many repositories: one for all where the registry does not ask for what it is. */
export class LaneGrants {
  readonly #lane: RegistryLane;
  #everywhere: LaneGrant | undefined;

  /** @param lane that has learned how the registry wants it */
  constructor(lane: RegistryLane) {
    this.#lane = lane;
  }

  /** The grant for token scopes, if it is at hand. */
  granted(scopes: readonly string[]): LaneGrant | undefined {
    return this.#everywhere ?? this.#lane.granted(scopes);
  }

  /** The grant for token scopes, fetched if need be. Throws what the token service throws. */
  async grant(scopes: readonly string[]): Promise<LaneGrant> {
    const known = this.granted(scopes);
    if (known) return known;
    const grant = await this.#lane.grant(scopes);
    const authorization = await this.#lane.client.authorization(scopes);
    if (authorization === undefined || authorization.startsWith('Basic ')) this.#everywhere = grant;
    return grant;
  }
}
