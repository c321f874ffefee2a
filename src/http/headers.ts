import type { Middleware, RequestHeaders } from './message.ts';

export interface HeaderOptions {
  /** The only origin that gets `headers`. */
  readonly origin: URL;
  /** Sent everywhere. */
  readonly userAgent: string;
  /** Headers of the user's own, such as docker's `HttpHeaders` (GHSA-whvf-jp7m-59f3: they went to other origins). */
  readonly headers?: RequestHeaders;
}

/** Adds the user agent to every request, and the user's headers to those of the bound origin; a request's own headers win. */
export function setHeaders({ origin, userAgent, headers = {} }: HeaderOptions): Middleware {
  const own = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return (next) => (request) =>
    next({
      ...request,
      headers: {
        'user-agent': userAgent,
        ...(request.foreign || request.url.origin !== origin.origin ? {} : own),
        ...request.headers,
      },
    });
}
