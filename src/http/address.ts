import { BlockList, isIP } from 'node:net';

/** What a host written as a literal address (or as `localhost`) points at; every other name is `public`. */
export type HostClass = 'public' | 'loopback' | 'private' | 'link-local' | 'unspecified';

/**
 * Special-purpose ranges (IANA registries; RFC 6890). 100.64/10 counts as private: clouds keep metadata
 * services there. Names are not resolved: an attacker's DNS name that resolves to an inner address is not
 * seen here, as in every other client (go-containerregistry calls it out of scope).
 */
const RANGES: Readonly<Record<Exclude<HostClass, 'public'>, { v4: string[]; v6: string[] }>> = {
  unspecified: { v4: ['0.0.0.0/8'], v6: ['::/128'] },
  loopback: { v4: ['127.0.0.0/8'], v6: ['::1/128'] },
  'link-local': { v4: ['169.254.0.0/16', '224.0.0.0/24'], v6: ['fe80::/10', 'ff02::/16'] },
  private: {
    v4: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'],
    v6: ['fc00::/7', 'fec0::/10'],
  },
};

/** Prefixes that carry an IPv4 address in their last 32 bits: v4-compatible and NAT64 (RFC 6052). BlockList knows v4-mapped itself. */
const EMBEDDING = ['::', '64:ff9b::'];

const CLASSES = Object.entries(RANGES).map(([name, { v4, v6 }]) => {
  const list = new BlockList();
  for (const range of v4) {
    const [network, length] = splitRange(range);
    list.addSubnet(network, length, 'ipv4');
    for (const prefix of EMBEDDING) {
      // ::/96 with 0.0.0.0/8 would swallow ::1
      if (prefix !== '::' || name !== 'unspecified')
        list.addSubnet(`${prefix}${network}`, 96 + length, 'ipv6');
    }
  }
  for (const range of v6) list.addSubnet(...splitRange(range), 'ipv6');
  return [name as HostClass, list] as const;
});

function splitRange(range: string): [string, number] {
  const [network = '', length = ''] = range.split('/');
  return [network, Number(length)];
}

/**
 * Classifies a URL's host name (no port). Odd spellings of IPv4 (`0x7f.1`, `2130706433`), v4-mapped and
 * NAT64 IPv6 are seen through.
 */
export function classifyHost(hostname: string): HostClass {
  const host = normalise(hostname);
  if (host === 'localhost' || host.endsWith('.localhost')) return 'loopback';
  const family = isIP(host);
  if (family === 0) return 'public';
  return CLASSES.find(([, list]) => list.check(host, family === 4 ? 'ipv4' : 'ipv6'))?.[0] ?? 'public';
}

/** True for this machine under any of its names: `localhost`, `*.localhost`, 127/8, `::1`. */
export function isLoopbackHost(hostname: string): boolean {
  return classifyHost(hostname) === 'loopback';
}

/** The host as the WHATWG URL parser writes it, without brackets and without a trailing dot. */
function normalise(hostname: string): string {
  const bare = hostname.replace(/\.$/, '');
  const bracketed = isIP(bare) === 6 ? `[${bare}]` : bare;
  const parsed = URL.parse(`http://${bracketed}/`)?.hostname ?? bare.toLowerCase();
  return parsed.replace(/^\[|\]$/g, '');
}
