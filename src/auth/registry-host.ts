/**
 * Registry hosts as credentials are filed under them. Two hosts are the same only when they are equal
 * letter for letter after this: no prefix, suffix or substring ever matches (sigstore-js 85c58380).
 */

/** Docker Hub, under one name. */
export const HUB_HOST = 'docker.io';
/** Under which docker files Docker Hub's credentials. */
export const HUB_KEY = 'https://index.docker.io/v1/';
const HUB_HOSTS = new Set([HUB_HOST, 'index.docker.io', 'registry-1.docker.io']);

/** `host[:port]` in lower case, without https' own port; Docker Hub's three names are one. */
export function canonicalHost(host: string): string {
  const lower = host.trim().toLowerCase().replace(/:443$/, '');
  return HUB_HOSTS.has(lower) ? HUB_HOST : lower;
}

/** A key of a credential file, understood. */
export interface RegistryKey {
  readonly host: string;
  /** Podman's namespace: the key holds for repositories at or below this path only. */
  readonly namespace?: string;
}

/**
 * Reads a key: `host[:port]`, podman's `host/namespace`, or a URL as docker wrote them for v1 registries
 * (`https://host/v1/`), of which only the host counts.
 */
export function parseRegistryKey(key: string): RegistryKey | undefined {
  if (/^https?:\/\//i.test(key)) {
    const url = URL.parse(key);
    return url ? { host: canonicalHost(url.host) } : undefined;
  }
  const slash = key.indexOf('/');
  const host = canonicalHost(slash === -1 ? key : key.slice(0, slash));
  if (host === '') return undefined;
  const path = slash === -1 ? '' : key.slice(slash + 1).replace(/\/+$/, '');
  return path === '' || path === 'v1' || path === 'v2' ? { host } : { host, namespace: path };
}

/**
 * The key that fits a registry and repository best: the longest namespace, else the plain host, and of
 * several spellings of that the exact one.
 */
export function bestKey(keys: Iterable<string>, host: string, repository?: string): string | undefined {
  const wanted = canonicalHost(host);
  let best: { key: string; rank: number } | undefined;
  for (const key of keys) {
    const parsed = parseRegistryKey(key);
    if (parsed?.host !== wanted) continue;
    const { namespace } = parsed;
    if (namespace !== undefined && repository !== namespace && !repository?.startsWith(`${namespace}/`))
      continue;
    const rank = namespace === undefined ? (key === wanted ? 1 : 0) : 1 + namespace.length;
    if (!best || rank > best.rank) best = { key, rank };
  }
  return best?.key;
}

/** What a registry is called towards docker, its files and its helpers. */
export function dockerKey(host: string): string {
  const canonical = canonicalHost(host);
  return canonical === HUB_HOST ? HUB_KEY : canonical;
}
