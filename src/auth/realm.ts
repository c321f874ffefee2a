import { RegopsError } from '../base/index.ts';
import { classifyHost } from '../http/index.ts';

/** What a token service is judged by. */
export interface RealmPolicy {
  /** The registry's. */
  readonly origin: URL;
  /** `host[:port]` of inner token services that the user vouches for. */
  readonly allowedHosts?: readonly string[] | undefined;
}

/**
 * Checks a token service that a server chose, in a challenge's realm or by a redirect, before anything is
 * sent there: https for an https registry; no literal address of this machine, the network around it, or a
 * link-local or unspecified one, unless it is the registry's own host and port or vouched for
 * (GHSA-xf85-363p-868w; go-containerregistry #2243, #2285, #2302). Throws REQUEST_REFUSED.
 */
export function checkRealm(text: string, { origin, allowedHosts = [] }: RealmPolicy, base?: URL): URL {
  const refused = (why: string, ...hints: string[]): RegopsError =>
    new RegopsError('REQUEST_REFUSED', `refused the token service that ${origin.host} names: ${why}`, {
      hints,
    });
  const url = URL.parse(text, base?.href);
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw refused('its address is no http or https URL');
  }
  if (url.username || url.password) throw refused('its address holds a user name or password');
  url.hash = '';
  if (url.protocol === 'http:' && origin.protocol === 'https:') {
    throw refused(`${url.origin} is plain http, but the registry uses https`);
  }
  const kind = classifyHost(url.hostname);
  if (kind !== 'public' && url.host !== origin.host && !allowedHosts.includes(url.host)) {
    throw refused(
      `${url.host} is a ${kind} address and not the registry's own`,
      `If that is your token service, say so with --allow-realm ${url.host}.`,
    );
  }
  return url;
}
