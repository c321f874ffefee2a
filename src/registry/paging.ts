import { RegopsError } from '../base/index.ts';
import { discardBody, type HttpResponse } from '../http/index.ts';
import type { RegistryClient } from './client.ts';
import { NameSet } from './name-set.ts';

/** A hundred thousand pages or ten million entries mean a registry that never ends. */
const MAX_PAGES = 100_000;
const MAX_ENTRIES = 10_000_000;
/** So many pages in a row may bring nothing new: a list filtered by rights has some, GHCR's `n=0` links have no end. */
const MAX_BARREN_PAGES = 100;

/** What a list is made of, and how one of its pages is read. */
export interface Listing<T> {
  readonly what: string;
  readonly scopes: readonly string[];
  readonly accept: string;
  /** Entries to ask for in one page; default: the registry's choice. */
  readonly pageSize?: number;
  readonly signal?: AbortSignal | undefined;
  /** A page's entries. */
  parse(response: HttpResponse): Promise<readonly T[]>;
  /** What tells an entry from the others. */
  keyOf(entry: T): string;
  /** The error for an answer that is no page. */
  refuse(response: HttpResponse): Promise<RegopsError>;
}

/**
 * Follows a list page by page (distribution spec, "Listing Tags"): yields what each page brings that is new.
 *
 * The next page comes from the Link header alone. It must stay at this registry (CVE-2026-85732), and the
 * list must get on: it ends at a page that was there already, and after too many that bring nothing new.
 *
 * @param path the list's, below `/v2/`
 */
export async function* pages<T>(
  client: RegistryClient,
  path: string,
  listing: Listing<T>,
): AsyncGenerator<readonly T[]> {
  const { what, pageSize } = listing;
  const visited = new Set<string>();
  const seen = new NameSet();
  let barren = 0;
  let to: string | URL | undefined = pageSize === undefined ? path : `${path}?n=${pageSize}`;
  for (let page = 0; to !== undefined; page++) {
    if (page >= MAX_PAGES || seen.size > MAX_ENTRIES) {
      throw new RegopsError('PROTOCOL_VIOLATION', `${what}: the registry's list does not end`);
    }
    const response: HttpResponse = await client.request({
      method: 'GET',
      to,
      headers: { accept: listing.accept },
      scopes: listing.scopes,
      signal: listing.signal,
    });
    if (response.status === 400 && page === 0 && pageSize !== undefined) {
      // distribution refuses to list more at once than its `catalog.maxentries`.
      await discardBody(response);
      to = path;
      continue;
    }
    if (response.status !== 200) throw await listing.refuse(response);
    const fresh: T[] = [];
    for (const entry of await listing.parse(response)) {
      if (seen.add(listing.keyOf(entry))) fresh.push(entry);
    }
    if (fresh.length > 0) yield fresh;
    barren = fresh.length > 0 ? 0 : barren + 1;

    to = nextPage(response, client.origin, what);
    if (to === undefined || visited.has(to.href)) return;
    if (barren >= MAX_BARREN_PAGES) {
      client.log.warn(`${what}: ended after ${barren} pages that brought nothing new`);
      return;
    }
    visited.add(to.href);
  }
}

/**
 * The URL of the next page from the Link headers (RFC 8288), or undefined. Pure.
 * @throws REDIRECT_REFUSED when it leaves the registry
 */
export function nextPage(
  response: Pick<HttpResponse, 'headers' | 'url'>,
  origin: URL,
  what: string,
): URL | undefined {
  const target = linkTarget([response.headers['link'] ?? []].flat().join(', '), 'next');
  if (target === undefined) return undefined;
  const url = URL.parse(target, response.url.href);
  if (!url) throw new RegopsError('PROTOCOL_VIOLATION', `${what}: the Link to the next page is not a URL`);
  // Behind a proxy that ends TLS, distribution writes its own scheme and host into the link.
  if (url.host === origin.host && url.protocol !== origin.protocol) url.protocol = origin.protocol;
  if (url.origin !== origin.origin) {
    throw new RegopsError(
      'REDIRECT_REFUSED',
      `${what}: the Link to the next page leaves the registry (${url.origin})`,
    );
  }
  return url;
}

function linkTarget(header: string, relation: string): string | undefined {
  for (const [, target, parameters] of header.slice(0, 16_384).matchAll(/<([^<>]*)>([^<]*)/g)) {
    const rel = /;\s*rel\s*=\s*"?([^";,]*)"?/i.exec(parameters ?? '')?.[1];
    if (rel?.trim().toLowerCase().split(/\s+/).includes(relation)) return target;
  }
  return undefined;
}
