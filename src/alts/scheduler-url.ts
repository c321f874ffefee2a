import { RegopsError } from '../base/index.ts';
import { isLoopbackHost } from '../http/index.ts';

/**
 * Reads `--scheduler-url`: `http://host:port`, `https://host/path`, or `host[:port]`, which is https but for loopback
 * hosts. The addresses of its pages (`/docs`, `/tasks/schedule` …) stand for the scheduler itself.
 *
 * @throws USAGE, which never quotes user info
 */
export function parseSchedulerUrl(text: string): URL {
  const refuse = (why: string, hint = 'Write http://host:port or https://host.'): RegopsError =>
    new RegopsError('USAGE', `invalid scheduler URL: ${why}`, { hints: [hint] });
  const trimmed = text.trim();
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') {
    throw refuse(`scheme '${scheme.slice(0, 40)}' is neither http nor https`);
  }
  const url = URL.parse(scheme === undefined ? `https://${trimmed}` : trimmed);
  if (!url || /\s/.test(trimmed)) throw refuse('it is not a URL');
  if (url.username || url.password) {
    throw refuse('it holds a user name or password', 'ALTS knows its users by --token or REGOPS_ALTS_TOKEN.');
  }
  if (url.search || url.hash) throw refuse('it has a query or fragment');
  if (scheme === undefined && isLoopbackHost(url.hostname)) url.protocol = 'http:';
  url.pathname = url.pathname.replace(/\/(?:docs|redoc|openapi\.json|tasks\/schedule)?\/?$/, '');
  return url;
}
