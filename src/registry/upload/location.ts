import { type Log, RegopsError } from '../../base/index.ts';
import { classifyHost } from '../../http/index.ts';
import type { Digest } from '../../oci/index.ts';

/** Where the next request of an upload goes. */
export interface UploadLocation {
  readonly url: URL;
  /** True when it is another origin: no credentials go there (GHSA-jxpm-75mh-9fp7). */
  readonly foreign: boolean;
}

/**
 * Resolves the Location a registry gave for an upload session (distribution spec, end-4a). The query is
 * kept byte for byte: it may be signed.
 *
 * @param base the URL the answer came from, after redirects
 * @throws PROTOCOL_VIOLATION without a usable Location, REDIRECT_REFUSED for one that must not be followed
 */
export function resolveLocation(
  location: string | undefined,
  base: URL,
  origin: URL,
  log: Pick<Log, 'warn'>,
): UploadLocation {
  if (!location)
    throw new RegopsError('PROTOCOL_VIOLATION', `${origin.host} gave no Location for the upload`);
  let url: URL;
  try {
    url = new URL(location, base);
  } catch {
    throw new RegopsError('PROTOCOL_VIOLATION', `${origin.host} gave a malformed Location for the upload`);
  }
  url.hash = '';
  if (url.origin === origin.origin) return { url, foreign: false };
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw refused(origin, `its scheme is ${url.protocol.slice(0, 20)}`);
  }
  if (url.hostname === origin.hostname && url.protocol === 'http:' && origin.protocol === 'https:') {
    // A proxy that ends TLS and does not tell the registry behind it (distribution #2225).
    log.warn(
      `${origin.host} gave an http upload location; using https (is X-Forwarded-Proto missing at its proxy?)`,
    );
    return { url: new URL(`${origin.origin}${url.pathname}${url.search}`), foreign: false };
  }
  if (url.protocol === 'http:' && origin.protocol === 'https:')
    throw refused(origin, 'it leads from https to http');
  if (url.hostname !== origin.hostname && classifyHost(url.hostname) !== 'public') {
    throw refused(origin, `it leads to the ${classifyHost(url.hostname)} address ${url.host}`);
  }
  return { url, foreign: true };
}

/** The URL that ends an upload: `digest=` is appended by hand, since rewriting a signed query can break it. */
export function commitUrl(location: URL, digest: Digest): URL {
  const url = new URL(location);
  url.search = `${location.search}${location.search ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
  return url;
}

function refused(origin: URL, why: string): RegopsError {
  return new RegopsError('REDIRECT_REFUSED', `refused the upload location that ${origin.host} gave: ${why}`);
}
