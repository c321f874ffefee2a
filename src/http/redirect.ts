import { RegopsError } from '../base/index.ts';
import { classifyHost } from './address.ts';
import { discardBody } from './body.ts';
import { type HttpRequest, headerOf, type Middleware, type RequestHeaders } from './message.ts';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** What a request may still say about itself once it has left the registry. */
const FOREIGN_HEADERS = new Set([
  'accept',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'range',
  'user-agent',
]);

export interface RedirectOptions {
  /** The registry's: leaving it makes a request foreign. */
  readonly origin: URL;
  /** Hops of one request. Default: 5. */
  readonly max?: number;
}

/**
 * Follows redirects by hand, since a stack that follows them by itself has leaked credentials before
 * (GHSA-vh4v-2xq2-g5cg). GET and HEAD follow any; the other methods only 307 and 308 within their origin.
 * A path that leaves the origin is foreign for good, even if it comes back. Throws REDIRECT_REFUSED.
 */
export function followRedirects({ origin, max = 5 }: RedirectOptions): Middleware {
  return (next) => async (first) => {
    let request: HttpRequest = first;
    const seen = new Set([first.url.href]);
    for (;;) {
      const response = await next(request);
      const location = headerOf(response, 'location');
      if (!REDIRECTS.has(response.status) || location === undefined) return response;
      await discardBody(response);
      const url = redirectTarget(location, request.url, origin);
      const leaves = url.origin !== origin.origin;
      if (
        request.method !== 'GET' &&
        request.method !== 'HEAD' &&
        (response.status < 307 || url.origin !== request.url.origin)
      ) {
        throw refused(
          request.url,
          `a ${request.method} request is not sent on to ${url.origin} (status ${response.status})`,
          `If that is the registry's true address, use it: --registry-url ${url.origin}`,
        );
      }
      if (seen.has(url.href)) throw refused(request.url, 'it leads in a circle');
      if (seen.size > max) throw refused(request.url, `more than ${max} redirects`);
      seen.add(url.href);
      request = leaves || request.foreign ? leave({ ...request, url }) : { ...request, url };
    }
  };
}

/**
 * Where a redirect leads, if it may: never from https to http, never from a public registry to an address
 * of this machine or the network around it (SSRF), and never to a link-local one, where clouds keep their
 * secrets. The registry's own host is always fine.
 */
export function redirectTarget(location: string, from: URL, origin: URL): URL {
  const url = URL.parse(location, from.href);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw refused(from, 'its Location is no http or https URL');
  }
  url.username = '';
  url.password = '';
  url.hash = '';
  if (url.protocol === 'http:' && (from.protocol === 'https:' || origin.protocol === 'https:')) {
    throw refused(from, `it leads from https to ${url.origin}`);
  }
  const target = classifyHost(url.hostname);
  const allowed =
    target === 'public' ||
    url.hostname === origin.hostname ||
    (classifyHost(origin.hostname) !== 'public' && (target === 'loopback' || target === 'private'));
  if (!allowed) throw refused(from, `it leads to the ${target} address ${url.host}`);
  return url;
}

function leave(request: HttpRequest): HttpRequest {
  const headers: RequestHeaders = Object.fromEntries(
    Object.entries(request.headers ?? {}).filter(([name]) => FOREIGN_HEADERS.has(name.toLowerCase())),
  );
  return { ...request, headers, foreign: true };
}

function refused(from: URL, why: string, ...hints: string[]): RegopsError {
  return new RegopsError('REDIRECT_REFUSED', `refused a redirect from ${from.host}: ${why}`, { hints });
}
