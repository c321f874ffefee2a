import { RegopsError } from '../base/index.ts';

/** Where an engine listens. */
export type EngineAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly secure: boolean;
      /** What a proxy in front of it puts before every path; without a slash at its end. */
      readonly basePath: string;
    };

const DEFAULT_SOCKET = '/var/run/docker.sock';

/**
 * Reads a DOCKER_HOST: `unix:///path`, `tcp://host[:port]`, `http://`, `https://`, `host:port`; nothing means
 * docker's own socket. The ports are docker's: 2375, and 2376 with TLS. Throws CONFIG_INVALID, in particular for
 * the ways that regops does not go (ssh, Windows' named pipes).
 *
 * @param tls whether certificates were given: then tcp is TLS
 */
export function parseEngineHost(text: string | undefined, tls = false): EngineAddress {
  const host = text?.trim() ?? '';
  if (host === '') return { kind: 'unix', path: DEFAULT_SOCKET };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(host)?.[1]?.toLowerCase();
  switch (scheme) {
    case 'unix':
      return unixAddress(host);
    case 'ssh':
      throw refused(
        host,
        'regops does not open ssh connections',
        'Forward the socket, then name it: ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST, DOCKER_HOST=unix:///tmp/engine.sock.',
      );
    case 'npipe':
      throw refused(
        host,
        "named pipes are Windows' alone",
        'Let the engine listen on tcp://127.0.0.1:2375, or run regops where its socket is.',
      );
    case 'tcp':
    case 'http':
    case 'https':
      return tcpAddress(host, host.slice(scheme.length + 3), tls || scheme === 'https');
    case undefined:
      return tcpAddress(host, host, tls);
    default:
      throw refused(host, `unknown scheme ${scheme}`, EXAMPLES);
  }
}

/** The address as DOCKER_HOST would have it. */
export function formatEngineAddress(address: EngineAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `tcp://${host}:${address.port}${address.basePath}`;
}

const EXAMPLES = 'Write it like unix:///var/run/docker.sock or tcp://192.0.2.1:2376.';

function unixAddress(text: string): EngineAddress {
  const path = text.slice('unix://'.length) || DEFAULT_SOCKET;
  if (!path.startsWith('/')) throw refused(text, 'the path of a socket is absolute', EXAMPLES);
  return { kind: 'unix', path };
}

function tcpAddress(text: string, rest: string, secure: boolean): EngineAddress {
  // A scheme that has no port of its own, or URL would drop ports 80 and 443.
  const url = URL.parse(`engine://${rest}`);
  if (!url?.hostname) throw refused(text, 'not a host', EXAMPLES);
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw refused(`${url.protocol}//…`, 'only host, port and path may be given', EXAMPLES);
  }
  return {
    kind: 'tcp',
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 2376 : 2375) : Number(url.port),
    secure,
    basePath: url.pathname.replace(/\/+$/, ''),
  };
}

function refused(text: string, why: string, hint: string): RegopsError {
  return new RegopsError('CONFIG_INVALID', `DOCKER_HOST '${text.slice(0, 200)}': ${why}`, { hints: [hint] });
}
