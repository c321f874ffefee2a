import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { DEFAULT_DOMAIN } from '../oci/index.ts';
import type { EngineInfo } from './model.ts';

/**
 * Whether an engine may talk to a registry in plain http, or over TLS that it cannot verify: moby's
 * `isSecureIndex` (registry/config.go). What daemon.json names counts as it is written there; otherwise an
 * address in one of the insecure ranges does, of which 127.0.0.0/8 is always one. A name is looked up here, while
 * the engine looks it up where it is. The API has no such switch for a single call.
 */
export async function mayTalkPlainly(
  info: Pick<EngineInfo, 'insecureCidrs' | 'registries'>,
  domain: string,
): Promise<boolean> {
  if (domain === DEFAULT_DOMAIN) return false;
  const configured = info.registries[domain];
  if (configured) return !configured.secure;
  const ranges = new BlockList();
  for (const cidr of info.insecureCidrs) addRange(ranges, cidr);
  const addresses = await addressesOf(domain.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));
  return addresses.some((address) => ranges.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'));
}

function addRange(ranges: BlockList, cidr: string): void {
  const [network = '', bits = ''] = cidr.split('/');
  const family = isIP(network);
  const prefix = Number(bits);
  if (family === 0 || bits === '' || !(prefix >= 0 && prefix <= (family === 6 ? 128 : 32))) return;
  ranges.addSubnet(network, prefix, family === 6 ? 'ipv6' : 'ipv4');
}

async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  if (/(^|\.)localhost$/i.test(host)) return ['127.0.0.1', '::1'];
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}
