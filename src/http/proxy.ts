import { BlockList, isIP } from 'node:net';
import { RegopsError } from '../base/index.ts';
import { isLoopbackHost } from './address.ts';

/** Proxies as the environment names them (`HTTP_PROXY` …); only `cli/` reads the environment. */
export interface ProxySettings {
  /** For http URLs. A missing scheme means http. */
  readonly httpProxy?: string | undefined;
  /** For https URLs, which go through a CONNECT tunnel. */
  readonly httpsProxy?: string | undefined;
  /** Hosts reached directly, separated by commas or spaces. */
  readonly noProxy?: string | undefined;
}

/**
 * The proxy for a URL, or undefined to go there directly. Follows Go's httpproxy, which docker, skopeo and
 * crane use: this machine is never proxied; an entry of `noProxy` is `*`, an address, a CIDR range, or a
 * name that stands for itself and its subdomains (with a leading dot or `*.` for its subdomains alone),
 * each with an optional port. Throws CONFIG_INVALID for a proxy that is no http(s) URL.
 */
export function chooseProxy(url: URL, settings: ProxySettings): URL | undefined {
  const proxy = url.protocol === 'https:' ? settings.httpsProxy : settings.httpProxy;
  if (!proxy?.trim() || isLoopbackHost(url.hostname) || isExempt(url, settings.noProxy ?? ''))
    return undefined;
  return parseProxy(proxy.trim(), url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
}

function parseProxy(text: string, variable: string): URL {
  const parsed = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  const usable =
    parsed && (parsed.protocol === 'http:' || parsed.protocol === 'https:') && isDecodable(parsed);
  if (!usable) {
    throw new RegopsError('CONFIG_INVALID', `${variable} is not the URL of an http or https proxy`, {
      hints: [
        'Write it like http://proxy.example.com:3128; a % in its user name or password is written as %25.',
      ],
    });
  }
  return parsed;
}

/** True when the user info can be read: a bare `%` in a password cannot. */
function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== '' && matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return inRange(entry, host);
  const { name, port: onlyPort } = splitPort(entry);
  if (onlyPort !== undefined && onlyPort !== port) return false;
  if (isIP(name)) return name === host;
  if (name.startsWith('*.')) return host.endsWith(name.slice(1));
  if (name.startsWith('.')) return host.endsWith(name);
  return host === name || host.endsWith(`.${name}`);
}

function inRange(entry: string, host: string): boolean {
  const [network = '', length = ''] = entry.split('/');
  const family = isIP(network);
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  // A range that is none exempts nothing.
  if (family === 0 || !(bits <= (family === 4 ? 32 : 128)) || isIP(host) !== family) return false;
  const name = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, bits, name);
  return list.check(host, name);
}

function splitPort(entry: string): { name: string; port?: string } {
  const match = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry);
  const name = (match?.[1] ?? entry).replace(/^\[|\]$/g, '');
  return match?.[2] === undefined ? { name } : { name, port: match[2] };
}
