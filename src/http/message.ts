import type { Readable } from 'node:stream';

/** Header names in lower case. */
export type RequestHeaders = Readonly<Record<string, string>>;
export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/**
 * How to get a body, as often as needed: every retry opens it anew from its first byte.
 * `size` is its exact length; without it the body goes out chunked (length unknown until the end).
 */
export interface BodyRecipe {
  readonly size?: number;
  /** True when each opening makes its chunks anew: their memory is given back once they are sent. */
  readonly disposable?: boolean;
  open(): Readable | Promise<Readable>;
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** One request as the middlewares pass it down; they copy it to change it. */
export interface HttpRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers?: RequestHeaders;
  /** Bytes already in memory, or a recipe. */
  readonly body?: Uint8Array | BodyRecipe;
  readonly signal?: AbortSignal;
  /** Token scopes this request needs (`repository:team/app:pull,push`); read by the authenticate middleware. */
  readonly scopes?: readonly string[];
  /**
   * False forbids repeating the request after it may have reached the server (an appended chunk must not
   * be appended twice). Connection failures before the first byte, and 429 and 503, which say that
   * nothing was done, are still repeated. Default: true.
   */
  readonly repeatable?: boolean;
  /**
   * True for a request that has left the registry's origin (a redirect, a foreign upload location): no
   * credentials, no registry headers, no client certificate, ever again on this path.
   */
  readonly foreign?: boolean;
  /** How long the answer may take to begin, when longer than usual (a registry that stores a large blob); in milliseconds. */
  readonly timeoutMs?: number;
}

/** The answer; `body` must be read to its end or given to `discardBody`. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** Where the answer came from, after redirects: relative Locations are resolved against it. */
  readonly url: URL;
  /** True when the answer came from another origin than the one the client is bound to. */
  readonly foreign?: boolean;
  readonly body: Readable;
}

/** Sends a request and gives the response's head; throws a RegopsError when there is none. */
export type Send = (request: HttpRequest) => Promise<HttpResponse>;

/** One job on the way of a request: wraps the rest of the chain. */
export type Middleware = (next: Send) => Send;

/** Builds a chain; the first middleware is the outermost. */
export function compose(middlewares: readonly Middleware[], last: Send): Send {
  return middlewares.reduceRight<Send>((next, middleware) => middleware(next), last);
}

/** A single header's value; of a repeated one the first. `name` in lower case. */
export function headerOf(response: Pick<HttpResponse, 'headers'>, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** False when nothing can follow the head (RFC 9112 6.3): such a body need not be read. */
export function mayHaveBody(method: Method, response: Pick<HttpResponse, 'status' | 'headers'>): boolean {
  return (
    method !== 'HEAD' &&
    response.status !== 204 &&
    response.status !== 304 &&
    headerOf(response, 'content-length') !== '0'
  );
}
