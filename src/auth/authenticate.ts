import { type Clock, isRegopsError, type Log, SingleFlight, throwIfAborted } from '../base/index.ts';
import {
  detachBody,
  discardBody,
  type HttpRequest,
  type HttpResponse,
  type Middleware,
  type Send,
} from '../http/index.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { AccountCredential, CredentialSource } from './credential.ts';
import { checkRealm } from './realm.ts';
import {
  covers,
  firstResource,
  formatScopes,
  mergeScopes,
  parseScopes,
  repositoryOf,
  type ScopeSet,
  scopeKey,
} from './scope.ts';
import { type Account, accountKey, TokenCache } from './token-cache.ts';
import { basicAuthorization, fetchToken, type Token, type TokenService } from './token-service.ts';

export interface AuthenticateOptions {
  /** The registry's: nothing else ever gets a credential or a token from here. */
  readonly origin: URL;
  /** The registry's name in references, under which its credential is filed; the origin's host if not given. */
  readonly host?: string;
  readonly credentials: CredentialSource;
  /** Chain for the token service: trace → retry → agent, without redirects. */
  readonly tokenSend: Send;
  readonly clock: Clock;
  readonly log: Pick<Log, 'trace'>;
  /** `host[:port]` of token services at inner addresses that the user vouches for. */
  readonly allowedRealms?: readonly string[];
}

/**
 * Adds what the registry asks for: nothing, Basic, or a Bearer token.
 *
 * 1. What is known from earlier answers is sent at once, so that no body travels in vain.
 * 2. A 401 is answered: by a token for the scopes of the challenge and of the request together, else by
 *    Basic. A 401 without a challenge (Google's) is explained by one `GET /v2/`.
 * 3. A 401 for a token from the cache is answered by one new token, and one for too small a scope by one
 *    with the scope the registry names.
 *
 * Whatever still is 401 or 403 then is the response. Requests that left the registry's origin, and answers
 * from elsewhere, never see a credential (go-containerregistry #2349). Throws what the credential source and
 * the token service throw.
 */
export function authenticate(options: AuthenticateOptions): Middleware {
  return createAuthenticator(options).middleware;
}

/** The middleware of {@link authenticate}, and what it has learned. */
export interface RegistryAuthenticator {
  readonly middleware: Middleware;
  /**
   * The Authorization header for token scopes, as far as earlier answers told what the registry wants: undefined
   * when it has asked for nothing yet. Fetches a token when there is none with half a minute left. For requests
   * that do not pass through the middleware; the caller sees to it that they go to the registry's origin alone.
   * Throws what the credential source and the token service throw.
   */
  authorization(scopes: readonly string[], signal?: AbortSignal): Promise<string | undefined>;
}

/** As {@link authenticate}, for callers that also need the header by itself. */
export function createAuthenticator(options: AuthenticateOptions): RegistryAuthenticator {
  const authenticator = new Authenticator(options);
  return {
    middleware: (next) => (request) => authenticator.send(request, next),
    authorization: (scopes, signal) => authenticator.authorization(scopes, signal),
  };
}

/** What a request was sent with. */
interface Proof {
  readonly authorization: string;
  /** For a token: whether it was at hand already, and for what it was wanted. */
  readonly bearer?: { readonly token: Token; readonly cached: boolean; readonly scopes: ScopeSet };
}

/** Reasons to send a request once more; each counts once per request. */
type Reason = 'challenge' | 'refresh' | 'scope';

/** One request on its way, through all its tries. */
interface Turn {
  readonly request: HttpRequest;
  readonly next: Send;
  readonly scopes: ScopeSet;
  readonly credential: AccountCredential | undefined;
  readonly tried: Set<Reason>;
}

type Scheme = { readonly kind: 'basic' } | ({ readonly kind: 'bearer' } & TokenService);

class Authenticator {
  readonly #options: AuthenticateOptions;
  readonly #host: string;
  readonly #tokens = new TokenCache();
  readonly #refreshTokens = new Map<string, string>();
  readonly #flights = new SingleFlight<string, Token>();
  readonly #pings = new SingleFlight<'ping', readonly Challenge[]>();
  #pinged: readonly Challenge[] | undefined;
  /** How the registry last wanted it. */
  #scheme: Scheme | undefined;

  constructor(options: AuthenticateOptions) {
    this.#options = options;
    this.#host = options.host ?? options.origin.host;
  }

  async send(request: HttpRequest, next: Send): Promise<HttpResponse> {
    if (request.foreign || request.url.origin !== this.#options.origin.origin) return next(request);
    const scopes = parseScopes(request.scopes ?? []);
    const credential = await this.#options.credentials(this.#host, repositoryOf(scopes));
    if (credential && 'bearerToken' in credential) {
      return next(withProof(request, { authorization: `Bearer ${credential.bearerToken}` }));
    }
    const turn: Turn = { request, next, scopes, credential, tried: new Set() };
    let proof = await this.#foresee(scopes, credential, request.signal);
    for (;;) {
      const answer = await next(proof ? withProof(request, proof) : request);
      // What explains such an answer is asked first; it may need the very connection this one holds.
      const response = isUnexplained(answer) ? await detachBody(answer) : answer;
      try {
        const better = await this.#reconsider(turn, response, proof);
        if (!better) return response;
        proof = better;
      } catch (error) {
        response.body.destroy();
        throw error;
      }
    }
  }

  async authorization(texts: readonly string[], signal?: AbortSignal): Promise<string | undefined> {
    const scopes = parseScopes(texts);
    const credential = await this.#options.credentials(this.#host, repositoryOf(scopes));
    if (credential && 'bearerToken' in credential) return `Bearer ${credential.bearerToken}`;
    return (await this.#foresee(scopes, credential, signal))?.authorization;
  }

  /** What is known to be needed, before anyone asks. */
  async #foresee(
    scopes: ScopeSet,
    credential: AccountCredential | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Proof | undefined> {
    const scheme = this.#scheme;
    if (!scheme) return undefined;
    if (scheme.kind === 'basic') return basicProof(credential);
    const account = { ...scheme, credential };
    const known = this.#tokens.find(account, scopes, this.#options.clock.now());
    if (known) return bearerProof(known, true, scopes);
    return scopes.size > 0 ? this.#bearer(account, scopes, signal) : undefined;
  }

  /** A better proof after a refusal, with the response let go of; undefined when the response stands. */
  async #reconsider(
    turn: Turn,
    response: HttpResponse,
    proof: Proof | undefined,
  ): Promise<Proof | undefined> {
    const { credential, request, tried } = turn;
    if (response.foreign || (response.status !== 401 && response.status !== 403)) return undefined;
    const header = response.headers['www-authenticate'];
    let challenges: readonly Challenge[] = parseChallenges(header);
    // A 403 is final but for what RFC 6750 3.1 says about scopes.
    if (response.status === 403 && !challenges.some(wantsMoreScope)) return undefined;
    if (isUnexplained(response)) challenges = await this.#ping(turn);

    const bearer = challenges.find(
      ({ scheme, parameters }) => scheme === 'bearer' && parameters.get('realm'),
    );
    if (!bearer) {
      const basic = challenges.some(({ scheme }) => scheme === 'basic') ? basicProof(credential) : undefined;
      if (!basic || (proof && !proof.bearer) || tried.has('challenge')) return undefined;
      tried.add('challenge');
      this.#scheme = { kind: 'basic' };
      await discardBody(response);
      return basic;
    }
    const service = this.#serviceOf(bearer);
    this.#scheme = { kind: 'bearer', ...service };
    const scopes = mergeScopes(parseScopes([bearer.parameters.get('scope') ?? '']), turn.scopes);
    const reason = reasonToTry(proof, scopes);
    if (!reason || tried.has(reason)) return undefined;
    tried.add(reason);
    await discardBody(response);
    const account = { ...service, credential };
    if (reason === 'refresh' && proof?.bearer) this.#tokens.drop(account, proof.bearer.token);
    return this.#bearer(account, scopes, request.signal);
  }

  #serviceOf({ parameters }: Challenge): TokenService {
    const { origin, allowedRealms } = this.#options;
    return {
      realm: checkRealm(parameters.get('realm') ?? '', { origin, allowedHosts: allowedRealms }),
      service: parameters.get('service'),
    };
  }

  /** The challenges of `GET /v2/`, asked once: gcr.io answers real requests with a 401 that explains nothing. */
  async #ping({ next, request: { signal } }: Turn): Promise<readonly Challenge[]> {
    if (this.#pinged) return this.#pinged;
    const ask = async (ending: AbortSignal): Promise<readonly Challenge[]> => {
      const url = new URL('/v2/', this.#options.origin);
      const response = await next({ method: 'GET', url, signal: ending });
      await discardBody(response);
      const explains = response.status === 401 && !response.foreign;
      this.#pinged = explains ? parseChallenges(response.headers['www-authenticate']) : [];
      return this.#pinged;
    };
    try {
      return await this.#pings.run('ping', ask, signal);
    } catch {
      throwIfAborted(signal);
      return [];
    }
  }

  /** A token from the cache, or a new one that callers who need the same share. */
  async #bearer(account: Account, scopes: ScopeSet, signal: AbortSignal | undefined): Promise<Proof> {
    const known = this.#tokens.find(account, scopes, this.#options.clock.now());
    if (known) return bearerProof(known, true, scopes);
    const key = `${accountKey(account)} ${scopeKey(scopes)}`;
    const token = await this.#flights.run(key, (ending) => this.#fetch(account, scopes, ending), signal);
    return bearerProof(token, false, scopes);
  }

  async #fetch(account: Account, asked: ScopeSet, signal: AbortSignal): Promise<Token> {
    const { origin, allowedRealms, tokenSend, clock, log } = this.#options;
    const key = accountKey(account);
    const ask = (scopes: ScopeSet): Promise<Token> =>
      fetchToken(
        { ...account, scopes, refreshToken: this.#refreshTokens.get(key), signal },
        { origin, allowedHosts: allowedRealms, tokenSend, clock },
      );
    let given = asked;
    let token: Token;
    try {
      token = await ask(asked);
    } catch (error) {
      // Mounting needs two repositories; some token services refuse rather than give what they can.
      if (asked.size < 2 || !isRefusal(error)) throw error;
      given = firstResource(asked);
      log.trace(
        `token service refused ${formatScopes(asked).join(' ')}; asking for ${formatScopes(given).join()}`,
      );
      token = await ask(given);
    }
    if (token.refreshToken) this.#refreshTokens.set(key, token.refreshToken);
    else this.#refreshTokens.delete(key);
    this.#tokens.add(account, asked, given, token, clock.now());
    return token;
  }
}

/** Google's 401, which does not say what is wanted. */
function isUnexplained({ status, headers, foreign }: HttpResponse): boolean {
  return status === 401 && !foreign && headers['www-authenticate'] === undefined;
}

function wantsMoreScope({ scheme, parameters }: Challenge): boolean {
  return scheme === 'bearer' && parameters.get('error') === 'insufficient_scope';
}

/** Why a token would help where this proof did not. */
function reasonToTry(proof: Proof | undefined, wanted: ScopeSet): Reason | undefined {
  if (!proof?.bearer) return 'challenge';
  if (!covers(proof.bearer.scopes, wanted)) return 'scope';
  return proof.bearer.cached ? 'refresh' : undefined;
}

function isRefusal(error: unknown): boolean {
  return (
    isRegopsError(error, 'AUTHENTICATION_FAILED') && [400, 401, 403].includes(Number(error.details['status']))
  );
}

function basicProof(credential: AccountCredential | undefined): Proof | undefined {
  return credential && 'password' in credential
    ? { authorization: basicAuthorization(credential) }
    : undefined;
}

function bearerProof(token: Token, cached: boolean, scopes: ScopeSet): Proof {
  return { authorization: `Bearer ${token.value}`, bearer: { token, cached, scopes } };
}

function withProof(request: HttpRequest, { authorization }: Proof): HttpRequest {
  return { ...request, headers: { ...request.headers, authorization } };
}
