import type { Credential } from '../auth/index.ts';
import type { Clock, Log } from '../base/index.ts';
import type {
  BodyRecipe,
  HttpResponse,
  Method,
  ProxySettings,
  RequestHeaders,
  Send,
  TlsMaterial,
} from '../http/index.ts';
import type { RegistryTraits } from './traits.ts';

/** A request to a registry, below its `/v2/` or to a URL the registry gave (an upload's Location). */
export interface RegistryRequest {
  readonly method: Method;
  /** Path and query after `/v2/`, already escaped; or a whole URL. */
  readonly to: string | URL;
  readonly headers?: RequestHeaders;
  readonly body?: Uint8Array | BodyRecipe;
  /** Token scopes: see {@link pullScope} and its sisters. */
  readonly scopes?: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly repeatable?: boolean;
  readonly foreign?: boolean;
  readonly timeoutMs?: number;
}

/** All it takes to connect to the same registry from another thread: plain data. Holds secrets: never shown. */
export interface RegistryConnection {
  readonly domain: string;
  readonly origin: string;
  readonly credential?: Credential | undefined;
  readonly allowedRealms: readonly string[];
  readonly tls?: TlsMaterial | undefined;
  readonly insecure: boolean;
  readonly proxy?: ProxySettings | undefined;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly userAgent: string;
}

/** One registry, ready to be spoken to. The verbs are functions beside it: blobs, manifests, tags … */
export interface RegistryClient {
  /** Its name in references. */
  readonly domain: string;
  readonly origin: URL;
  readonly log: Log;
  readonly clock: Clock;
  /** What has been learned about this registry while talking to it. */
  readonly traits: RegistryTraits;
  /** How often a whole upload may start again after a passing failure. */
  readonly retries: number;
  /** How long the answer to a request may usually take to begin. */
  readonly timeoutMs: number;
  /** Sends a request through the whole chain; throws a RegopsError only when there is no response. */
  request(request: RegistryRequest): Promise<HttpResponse>;
  /**
   * The Authorization header for token scopes, as far as earlier requests told what the registry wants; for a
   * fast lane to this client's origin. Throws what the credential source and the token service throw.
   */
  authorization(scopes: readonly string[], signal?: AbortSignal): Promise<string | undefined>;
  /** How another thread connects to the same registry, with the credential that is good for all of it. */
  connection(): Promise<RegistryConnection>;
  close(): Promise<void>;
}

/** A client over a ready chain; `connectRegistry` builds the chain too. */
export function createRegistryClient(parts: {
  domain: string;
  origin: URL;
  send: Send;
  traits: RegistryTraits;
  log: Log;
  clock: Clock;
  retries: number;
  timeoutMs: number;
  authorization: RegistryClient['authorization'];
  connection: RegistryClient['connection'];
  close(): Promise<void>;
}): RegistryClient {
  const { send, ...rest } = parts;
  return {
    ...rest,
    request({ to, signal, ...request }) {
      const url = typeof to === 'string' ? new URL(`/v2/${to}`, parts.origin) : to;
      return send({ ...request, url, ...(signal ? { signal } : {}) });
    },
  };
}

/** Token scope to read a repository (distribution's token scope grammar). */
export function pullScope(repository: string): string {
  return `repository:${repository}:pull`;
}

/** Token scope to write a repository; reading is part of every push. */
export function pushScope(repository: string): string {
  return `repository:${repository}:pull,push`;
}

/** Token scope to delete in a repository: `*`, as containers/image asks, because Quay refuses the action `delete`. */
export function deleteScope(repository: string): string {
  return `repository:${repository}:*`;
}

/** Token scope to list a registry's repositories. */
export const CATALOG_SCOPE = 'registry:catalog:*';
