import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { abortReason, RegopsError, throwIfAborted } from '../base/index.ts';
import {
  createConnector,
  proxyAuthorization,
  proxyRefused,
  proxyUnreachable,
  TrustStore,
} from './connector.ts';
import type { HttpRequest, HttpResponse, ResponseHeaders, Send } from './message.ts';
import { networkError } from './network-error.ts';
import { chooseProxy, type ProxySettings } from './proxy.ts';
import { Relay } from './relay.ts';
import { type OpenedBody, openBody } from './request-body.ts';
import type { TlsMaterial } from './tls-files.ts';

/** Registries' headers are small; signed redirect targets make the largest. */
const MAX_HEADER_BYTES = 32 * 1024;
const DEFAULT_CONNECTIONS = 16;
/** Early hints and the like (1xx) before an answer: each one begins undici's wait for the answer anew. */
const MAX_INTERIM_ANSWERS = 20;

export interface AgentOptions {
  /** The one origin that may see the client certificate, and that `insecure` is about. */
  readonly boundOrigin: URL;
  /** For a connection to be ready, for an answer to begin, and between two parts of it. */
  readonly timeoutMs: number;
  readonly tls?: TlsMaterial | undefined;
  /** Do not check the bound origin's certificate. Every other origin's is checked all the same. */
  readonly insecure?: boolean;
  readonly proxy?: ProxySettings | undefined;
  /** Connections to one origin at once. Default: 16. */
  readonly connections?: number;
}

export interface Agent {
  readonly send: Send;
  /** Ends everything, also what is still under way. */
  close(): Promise<void>;
}

/** How requests to one origin travel. */
interface Route {
  readonly dispatcher: Dispatcher;
  /** Set when a proxy forwards plain http: the request then names the whole URL. */
  readonly forward?: URL;
}

/**
 * The last link of every chain: HTTP/1.1 over kept-alive connections, through undici, which is loaded with
 * the first request. Redirects are given back, never followed. Failures of the network are RegopsErrors:
 * CONNECTION_FAILED, NAME_NOT_RESOLVED, TLS_UNTRUSTED, TLS_FAILED, PROXY_FAILED, TIMED_OUT,
 * PROTOCOL_VIOLATION, RESPONSE_TOO_LARGE; a response's body fails with the same ones.
 */
export function createAgent(options: AgentOptions): Agent {
  const { timeoutMs, tls, proxy = {}, connections = DEFAULT_CONNECTIONS } = options;
  const boundOrigin = options.boundOrigin.origin;
  const trust = new TrustStore(tls?.ca ?? []);
  const dialing = new Set<Socket | ClientRequest>();
  const routes = new Map<string, Route>();
  let loading: Promise<typeof import('./undici.ts')> | undefined;
  let closed = false;

  async function routeFor({ url, foreign }: HttpRequest): Promise<Route> {
    loading ??= import('./undici.ts');
    const { buildConnector, Pool } = await loading;
    const bound = url.origin === boundOrigin;
    // A path that has left the registry does not get its certificate back by returning.
    const trusted = bound && !foreign;
    const key = `${trusted ? 'bound' : 'other'} ${url.origin}`;
    const known = routes.get(key);
    if (known) return known;
    const through = chooseProxy(url, proxy);
    const forward = url.protocol === 'http:' ? through : undefined;
    const connect = createConnector(buildConnector, {
      trust,
      clientCertificate: trusted ? tls?.clientCertificate : undefined,
      insecure: bound && !forward && options.insecure === true,
      proxy: forward ? undefined : through,
      timeoutMs,
      dialing,
    });
    const dispatcher = new Pool((forward ?? url).origin, {
      connections,
      // To a forwarding proxy: its own name for TLS, not the one undici takes from the Host header.
      connect: forward
        ? (target, done) =>
            connect({ ...target, servername: '' }, (...[error, socket]) =>
              error ? done(proxyUnreachable(forward, error, timeoutMs), null) : done(null, socket),
            )
        : connect,
      allowH2: false,
      pipelining: 1,
      maxHeaderSize: MAX_HEADER_BYTES,
    });
    const route = forward ? { dispatcher, forward } : { dispatcher };
    routes.set(key, route);
    return route;
  }

  async function send(request: HttpRequest): Promise<HttpResponse> {
    const { url, signal } = request;
    throwIfAborted(signal);
    const route = await routeFor(request);
    const answerMs = request.timeoutMs ?? timeoutMs;
    const circumstances = { peer: url.host, timeoutMs: answerMs, sent: true };
    const toError = (thrown: unknown): Error =>
      signal?.aborted ? abortReason(signal) : networkError(thrown, circumstances);

    const body = await openBody(request.body);
    let answer: Dispatcher.ResponseData;
    try {
      if (closed) throw Object.assign(new Error('closed'), { code: 'UND_ERR_CLOSED' });
      answer = await untilAborted(
        route.dispatcher.request({
          method: request.method,
          path: route.forward ? `${url.origin}${url.pathname}${url.search}` : `${url.pathname}${url.search}`,
          headers: headersFor(request, body, route),
          // undici's documentation names async iterables, its types do not.
          body: body.content as Readable | Uint8Array | null,
          headersTimeout: answerMs,
          bodyTimeout: answerMs,
          // undici would close the connection after every HEAD, and a push is full of them.
          reset: false,
          onInfo: interimLimit(url.host),
          ...(signal ? { signal } : {}),
        }),
        signal,
      );
    } catch (error) {
      body.close();
      throw toError(error);
    }
    if (answer.statusCode === 407 && route.forward) {
      answer.body.on('error', () => {}).destroy();
      throw proxyRefused(route.forward, 407);
    }
    // Whatever was not sent when the answer is over is not wanted any more.
    const answerBody = new Relay(answer.body, { mapError: toError as (error: Error) => Error });
    answerBody.once('close', body.close);
    return {
      status: answer.statusCode,
      headers: answer.headers as ResponseHeaders,
      url,
      foreign: request.foreign === true || url.origin !== boundOrigin,
      body: answerBody,
    };
  }

  return {
    send,
    async close() {
      closed = true;
      for (const socket of dialing) socket.destroy();
      await Promise.all([...routes.values()].map(({ dispatcher }) => dispatcher.destroy()));
      routes.clear();
    },
  };
}

function headersFor(request: HttpRequest, body: OpenedBody, { forward }: Route): Record<string, string> {
  const authorization = forward && proxyAuthorization(forward);
  return {
    ...request.headers,
    ...(body.size === undefined ? {} : { 'content-length': String(body.size) }),
    ...(forward ? { host: request.url.host } : {}),
    ...(authorization ? { 'proxy-authorization': authorization } : {}),
  };
}

/** Ends a request whose answer is put off by one interim answer after the other. */
function interimLimit(peer: string): () => void {
  let seen = 0;
  return () => {
    if (++seen > MAX_INTERIM_ANSWERS) {
      throw new RegopsError(
        'PROTOCOL_VIOLATION',
        `${peer}: more than ${MAX_INTERIM_ANSWERS} interim answers`,
      );
    }
  };
}

/**
 * undici hears of an abort only once a connection stands; an unreachable host must not hold up Ctrl-C.
 * An answer that comes after all is torn down.
 */
function untilAborted(
  answer: Promise<Dispatcher.ResponseData>,
  signal: AbortSignal | undefined,
): Promise<Dispatcher.ResponseData> {
  if (!signal) return answer;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(abortReason(signal));
      answer.then(
        ({ body }) => body.on('error', () => {}).destroy(),
        () => {},
      );
    };
    signal.addEventListener('abort', onAbort, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
