import type { ClientRequest } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import type { buildConnector as BuildConnector } from 'undici';
import { RegopsError } from '../base/index.ts';
import { isUnknownIssuer, networkError } from './network-error.ts';
import type { ClientCertificate } from './tls-files.ts';

type Connector = BuildConnector.connector;
type Callback = BuildConnector.Callback;

/** How connections to one origin are made. */
export interface ConnectorOptions {
  readonly trust: TrustStore;
  readonly clientCertificate?: ClientCertificate | undefined;
  readonly insecure: boolean;
  /** Tunnel through this proxy. */
  readonly proxy?: URL | undefined;
  /** For the connection to be ready, TLS included. */
  readonly timeoutMs: number;
  /** Sockets that are still connecting, so that closing the agent ends them too. */
  readonly dialing: Set<Socket | ClientRequest>;
}

/**
 * The certificate authorities that are trusted: Node's own, the caller's, and the system's. Reading the
 * system's costs up to a fifth of a second, so it is only done when a certificate was found untrusted.
 */
export class TrustStore {
  readonly #ca: readonly string[];
  #system = false;

  constructor(ca: readonly string[]) {
    this.#ca = ca;
  }

  /** True once the system's authorities are trusted as well. */
  get complete(): boolean {
    return this.#system;
  }

  addSystemRoots(): void {
    this.#system = true;
  }

  /** A TLS context with the roots trusted so far; undefined when Node's default context does. */
  context(client: ClientCertificate | undefined): SecureContext | undefined {
    const more = [...this.#ca, ...(this.#system ? getCACertificates('system') : [])];
    if (more.length === 0 && !client) return undefined;
    return createSecureContext({
      ...(more.length > 0 ? { ca: [...new Set([...getCACertificates('default'), ...more])] } : {}),
      ...(client ? { cert: client.cert, key: client.key } : {}),
    });
  }
}

/**
 * Makes undici's `connect` for one origin. It hands undici RegopsErrors only, all marked as before the
 * first byte, and a proxy's failures as PROXY_FAILED.
 */
export function createConnector(build: typeof BuildConnector, options: ConnectorOptions): Connector {
  const { trust, dialing, timeoutMs } = options;
  const settings = { allowH2: false, timeout: timeoutMs, rejectUnauthorized: !options.insecure };
  let secure: { readonly complete: boolean; readonly dial: Connector } | undefined;
  const plainDial = build(settings);
  /** A context with the roots of a whole system takes as long to make as a request: not where no TLS is spoken. */
  const secureDial = (): Connector => {
    if (secure?.complete !== trust.complete) {
      const secureContext = trust.context(options.clientCertificate);
      const dial = secureContext ? build({ ...settings, secureContext }) : plainDial;
      secure = { complete: trust.complete, dial };
    }
    return secure.dial;
  };

  const dial = (target: BuildConnector.Options, done: Callback): void => {
    // undici's type hides that a connector gives the socket it is connecting.
    const dialer = target.protocol === 'https:' ? secureDial() : plainDial;
    const socket = dialer(target, done) as unknown as Socket;
    dialing.add(socket);
    // Node only emits the alert by which TLS 1.3 asks for a client certificate; the end of the stream that
    // follows would hide it from undici.
    socket.once('error', (error) => socket.destroy(error));
    for (const event of ['connect', 'secureConnect', 'close']) {
      if (event !== 'connect' || target.protocol !== 'https:')
        socket.once(event, () => dialing.delete(socket));
    }
  };

  const connect = (target: BuildConnector.Options, done: Callback): void => {
    if (!options.proxy) {
      dial(target, done);
      return;
    }
    openTunnel(options.proxy, target, options).then(
      (socket) => dial({ ...target, httpSocket: socket }, done),
      (error: Error) => done(error, null),
    );
  };

  return (target, done) => {
    const wasComplete = trust.complete;
    const circumstances = { peer: target.host ?? target.hostname, timeoutMs, sent: false };
    connect(target, (...[error, socket]) => {
      if (!error) done(null, socket);
      else if (!wasComplete && isUnknownIssuer(error)) {
        trust.addSystemRoots();
        connect(target, (...[again, second]) => {
          if (again) done(networkError(again, circumstances), null);
          else done(null, second);
        });
      } else done(networkError(error, circumstances), null);
    });
  };
}

/** `Basic …` for a proxy URL that carries user info. */
export function proxyAuthorization(proxy: URL): string | undefined {
  if (!proxy.username) return undefined;
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** Asks a proxy for a tunnel (RFC 9110 9.3.6). The proxy sees the host and port, nothing else. */
async function openTunnel(
  proxy: URL,
  target: BuildConnector.Options,
  { trust, timeoutMs, dialing }: ConnectorOptions,
): Promise<Socket> {
  const { request } = await (proxy.protocol === 'https:' ? import('node:https') : import('node:http'));
  const authority = `${target.hostname}:${target.port || 443}`;
  const authorization = proxyAuthorization(proxy);
  const ask = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      // A proxy gets neither the client certificate nor the leniency meant for the registry (GHSA-h3wm-jjqf-8jm2).
      const secureContext = proxy.protocol === 'https:' ? trust.context(undefined) : undefined;
      const host = proxy.hostname.replace(/^\[|\]$/g, '');
      const asking = request({
        host,
        // Otherwise node takes the name to verify from the Host header, which is the target's.
        servername: isIP(host) ? '' : host,
        port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
        method: 'CONNECT',
        path: authority,
        headers: { host: authority, ...(authorization ? { 'proxy-authorization': authorization } : {}) },
        agent: false,
        timeout: timeoutMs,
        ...(secureContext ? { secureContext } : {}),
      });
      dialing.add(asking);
      asking.once('close', () => dialing.delete(asking));
      asking.once('timeout', () =>
        asking.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
      );
      asking.once('error', reject);
      asking.once('connect', (response, socket, head) => {
        dialing.delete(asking);
        socket.setTimeout(0);
        // node has let go of it here, and TLS does not hold it yet: an error now must not reach the process.
        socket.on('error', () => {});
        if (response.statusCode === 200) {
          if (head.length > 0) socket.unshift(head);
          resolve(socket as Socket);
        } else {
          socket.destroy();
          reject(proxyRefused(proxy, response.statusCode ?? 0));
        }
      });
      asking.end();
    });
  try {
    return await ask().catch((error) => {
      if (trust.complete || !isUnknownIssuer(error)) throw error;
      trust.addSystemRoots();
      return ask();
    });
  } catch (error) {
    throw proxyUnreachable(proxy, error, timeoutMs);
  }
}

/** The error for a proxy that answered with something else than the way onward. */
export function proxyRefused(proxy: URL, status: number): RegopsError {
  return new RegopsError('PROXY_FAILED', `the proxy ${proxy.origin} answered ${status}`, {
    hints:
      status === 407
        ? ['The proxy wants a user name and password: http://USER:PASSWORD@HOST:PORT.']
        : ['Check HTTPS_PROXY; hosts to be reached directly belong in NO_PROXY.'],
    details: { status, sent: false },
  });
}

/** The error for a proxy that could not be reached or spoken to. */
export function proxyUnreachable(proxy: URL, thrown: unknown, timeoutMs: number): RegopsError {
  const error = networkError(thrown, { peer: proxy.host, timeoutMs, sent: false });
  if (error.code === 'PROXY_FAILED') return error;
  return new RegopsError('PROXY_FAILED', `cannot use the proxy ${proxy.origin}: ${error.message}`, {
    hints: ['Check HTTP_PROXY and HTTPS_PROXY; hosts to be reached directly belong in NO_PROXY.'],
    cause: thrown,
    details: error.details,
  });
}
