import { RegopsError } from '../base/index.ts';
import { isLoopbackHost } from '../http/index.ts';
import { apiHost, DEFAULT_DOMAIN, parseDomain } from '../oci/index.ts';

/** Where a registry is to be found: its name in references, and the origins to try, best first. */
export interface RegistryTarget {
  /** The domain of its references: `docker.io`, `registry.example.com:5000`. */
  readonly domain: string;
  /** Origins to try in order; more than one only for a loopback host without a scheme. */
  readonly origins: readonly [URL, ...URL[]];
}

const HUB_NAMES = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

/**
 * Reads `--registry-url` or the domain of a reference: `http://host:port`, `https://host` or `host[:port]`.
 * Without a scheme it is https; a loopback host is then tried with plain http too (cli.md, "Names").
 *
 * @throws USAGE when the URL carries user info, a path, a query, or another scheme; REFERENCE_INVALID when
 *   it names no host
 */
export function parseTarget(text: string, options: { plainHttp?: boolean } = {}): RegistryTarget {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  const host = scheme === undefined ? text.replace(/\/$/, '') : hostOfUrl(text, scheme);
  const domain = HUB_NAMES.has(host.toLowerCase()) ? DEFAULT_DOMAIN : parseDomain(host);
  if (scheme === 'https' && options.plainHttp) {
    throw new RegopsError('USAGE', `--plain-http contradicts the registry URL ${text}`);
  }
  const at = (protocol: string): URL => new URL(`${protocol}://${apiHost(domain)}`);
  if (scheme !== undefined) return { domain, origins: [at(scheme)] };
  if (options.plainHttp) return { domain, origins: [at('http')] };
  return isLoopbackHost(at('https').hostname)
    ? { domain, origins: [at('https'), at('http')] }
    : { domain, origins: [at('https')] };
}

function hostOfUrl(text: string, scheme: string): string {
  const refuse = (why: string, hint = 'Write http://host:port, https://host, or host[:port].'): RegopsError =>
    new RegopsError('USAGE', `invalid registry URL: ${why}`, { hints: [hint] });
  if (scheme !== 'http' && scheme !== 'https') throw refuse(`scheme '${scheme}' is neither http nor https`);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse('it is not a URL');
  }
  if (url.username || url.password) {
    throw refuse('it holds a user name or password', 'Use --username and --password-stdin, or regops login.');
  }
  if (url.search || url.hash) throw refuse('it has a query or fragment');
  if (url.pathname !== '/' && url.pathname !== '/v2/' && url.pathname !== '/v2') {
    throw refuse(`it has a path (${url.pathname})`, 'Name the repository with --repository.');
  }
  return url.host;
}
