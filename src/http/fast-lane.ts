import { createHash, type Hash, hash as hashOf } from 'node:crypto';
import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { Client, Dispatcher } from 'undici';
import { isRegopsError, systemCode } from '../base/index.ts';
import { createConnector, proxyAuthorization, TrustStore } from './connector.ts';
import type { Method, ResponseHeaders } from './message.ts';
import { isParserError } from './network-error.ts';
import { chooseProxy, type ProxySettings } from './proxy.ts';
import type { TlsMaterial } from './tls-files.ts';

const MAX_HEADER_BYTES = 32 * 1024;
/** undici lets go of an idle connection after 4 s, which is shorter than many a think time. */
const KEEP_ALIVE_MS = 30_000;
const KEEP_ALIVE_MAX_MS = 300_000;
/** Deadlines are looked at so many times per time limit. */
const DEADLINE_LOOKS = 16;

export interface FastLaneOptions {
  /** The one server this lane leads to: nothing that is sent here can reach another. */
  readonly origin: URL;
  /** Connections at once; more requests than that wait for one. */
  readonly connections: number;
  /** How long the other side may be silent: before an answer begins (connecting included), and within it. */
  readonly timeoutMs: number;
  readonly tls?: TlsMaterial | undefined;
  readonly insecure?: boolean | undefined;
  readonly proxy?: ProxySettings | undefined;
}

/** One request of a fast lane. It is read while it is under way, so it must not change until `onDone`. */
export interface LaneRequest {
  readonly method: Method;
  /** Path and query, escaped, beginning with a slash. */
  readonly path: string;
  /** Names (lower case) and values in turn; build them once. */
  readonly headers: string[];
  /** Parts go out one after the other and need a `content-length` among the headers. */
  readonly body?: Uint8Array | Iterable<Uint8Array> | undefined;
  /** Hash the answer's body on its way. */
  readonly hash?: 'sha256' | 'sha512' | undefined;
  /** Keep the body: for small documents. Needs `maxBytes`. */
  readonly keep?: boolean | undefined;
  /** A longer body is cut off and counts as `too-large`. */
  readonly maxBytes?: number | undefined;
  /** Allow more silence than the lane does: for an answer that only comes when a large body was stored. */
  readonly timeoutMs?: number | undefined;
  /** Told once, whatever happens. The next request may be sent from here. */
  onDone(result: LaneResult): void;
}

/** Why there was no whole answer: short, stable words to count by. */
export type LaneError =
  | 'refused'
  | 'reset'
  | 'unreachable'
  | 'name'
  | 'tls'
  | 'proxy'
  | 'timeout'
  | 'truncated'
  | 'too-large'
  | 'protocol'
  | 'closed'
  | 'invalid';

export interface LaneResult {
  /** 0 when no answer began. */
  readonly status: number;
  /** Of the body, as far as it came. */
  readonly bytes: number;
  readonly headers: ResponseHeaders;
  /** Set when there was no whole answer; whatever status it has, it is then no success. */
  readonly error?: LaneError | undefined;
  /** The body's, in hex, when `hash` was asked for and the body came whole. */
  readonly digest?: string | undefined;
  /** When `keep` was asked for and the body came whole. */
  readonly body?: Buffer | undefined;
  /** From `send` to the answer's head; undefined when none came. */
  readonly firstByteMs?: number | undefined;
  /** Address and port at the other end of the connection (a proxy's, if there is one); undefined if it never stood. */
  readonly remote?: string | undefined;
}

/**
 * A way to one server for very many requests: no middlewares, no promises, streams or abort signals per request,
 * and one timer for all deadlines. Redirects are given back, nothing is ever sent again.
 */
export interface FastLane {
  /** Sends at once, or as soon as a connection is free. Never throws. */
  send(request: LaneRequest): void;
  /** Requests whose `onDone` is still to come. */
  readonly active: number;
  /** Ends everything; what is under way is told `closed`. */
  close(): Promise<void>;
}

const NO_HEADERS: ResponseHeaders = {};
const NOTHING = Buffer.alloc(0);
/** undici would take a whole URL for a path too. */
const SENDABLE_PATH = /^\/[\x21-\x7e]*$/;

/** Opens a fast lane: HTTP/1.1, with the certificates, trust and proxies of `createAgent`. No connection is made yet. */
export async function openFastLane(options: FastLaneOptions): Promise<FastLane> {
  const { origin, connections, timeoutMs, tls } = options;
  const { buildConnector, Client } = await import('./undici.ts');
  const dialing = new Set<Socket | ClientRequest>();
  const through = chooseProxy(origin, options.proxy ?? {});
  const forward = origin.protocol === 'http:' ? through : undefined;
  const connect = createConnector(buildConnector, {
    trust: new TrustStore(tls?.ca ?? []),
    clientCertificate: forward ? undefined : tls?.clientCertificate,
    insecure: !forward && options.insecure === true,
    proxy: forward ? undefined : through,
    timeoutMs,
    dialing,
  });
  const clientOptions: Client.Options = {
    allowH2: false,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    // Ours are finer than undici's half seconds.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  const lane = new Lane(
    (onConnect) =>
      new Client((forward ?? origin).origin, {
        ...clientOptions,
        connect: (target, done) =>
          connect(target, (...outcome) => {
            if (outcome[1]) onConnect(outcome[1]);
            done(...outcome);
          }),
      }),
    connections,
    timeoutMs,
    forward ? forwarding(origin, forward) : undefined,
  );
  return {
    send: (request) => lane.send(request),
    get active() {
      return lane.active;
    },
    async close() {
      for (const socket of dialing) socket.destroy();
      await lane.close();
    },
  };
}

/** What a proxy that forwards plain http wants to be told with every request. */
interface Forwarding {
  readonly prefix: string;
  readonly headers: readonly string[];
}

function forwarding(origin: URL, proxy: URL): Forwarding {
  const authorization = proxyAuthorization(proxy);
  return {
    prefix: origin.origin,
    headers: ['host', origin.host, ...(authorization ? ['proxy-authorization', authorization] : [])],
  };
}

/** Makes the client of one connection; told of each socket it gets. */
type OpenClient = (onConnect: (socket: Socket) => void) => Client;

/** A request that waits for a connection. */
interface Waiting {
  readonly request: LaneRequest;
  readonly sentAt: number;
}

class Lane {
  readonly timeoutMs: number;
  readonly forward: Forwarding | undefined;
  readonly #connections: number;
  readonly #openClient: OpenClient;
  readonly #slots: Slot[] = [];
  readonly #free: Slot[] = [];
  #waiting: Waiting[] = [];
  readonly #deadlines: NodeJS.Timeout;
  #closed = false;
  active = 0;

  constructor(
    openClient: OpenClient,
    connections: number,
    timeoutMs: number,
    forward: Forwarding | undefined,
  ) {
    this.#openClient = openClient;
    this.#connections = connections;
    this.timeoutMs = timeoutMs;
    this.forward = forward;
    const everyMs = Math.min(500, Math.max(10, timeoutMs / DEADLINE_LOOKS));
    this.#deadlines = setInterval(() => this.#expire(), everyMs).unref();
  }

  send(request: LaneRequest): void {
    this.active++;
    if (this.#closed || !SENDABLE_PATH.test(request.path)) {
      const error = this.#closed ? 'closed' : 'invalid';
      process.nextTick(() => this.end(request, failed(error)));
      return;
    }
    const slot = this.#free.pop() ?? this.#grow();
    const sentAt = performance.now();
    if (slot) slot.begin(request, sentAt);
    else this.#waiting.push({ request, sentAt });
  }

  /** Gives a slot to who waits for one. */
  release(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next) slot.begin(next.request, next.sentAt);
    else this.#free.push(slot);
  }

  /** A request is over. */
  end(request: LaneRequest, result: LaneResult): void {
    this.active--;
    try {
      request.onDone(result);
    } catch (bug) {
      // undici would take it for a failure of the connection, and it would be lost.
      process.nextTick(() => {
        throw bug;
      });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#deadlines);
    for (const { request } of this.#waiting.splice(0)) this.end(request, failed('closed'));
    await Promise.all(this.#slots.map((slot) => slot.client.destroy()));
  }

  #grow(): Slot | undefined {
    if (this.#slots.length >= this.#connections) return undefined;
    const slot = new Slot(this, this.#openClient);
    this.#slots.push(slot);
    return slot;
  }

  #expire(): void {
    const now = performance.now();
    for (const slot of this.#slots) slot.expire(now);
    const late = ({ request, sentAt }: Waiting): boolean =>
      now - sentAt >= (request.timeoutMs ?? this.timeoutMs);
    if (!this.#waiting.some(late)) return;
    const given = this.#waiting.filter(late);
    this.#waiting = this.#waiting.filter((one) => !late(one));
    for (const { request } of given) this.end(request, failed('timeout'));
  }
}

/**
 * A connection, with the handler undici talks to; used again and again. It has an undici client of its own, because
 * a pool costs more than it is worth here: a search for a free client and a queue with an async resource per
 * request. When a deadline passes while it is still being connected the answer is given at once, but it is only
 * free when undici lets go of the request.
 */
class Slot implements Dispatcher.DispatchHandler {
  readonly client: Client;
  readonly #lane: Lane;
  readonly #options: Dispatcher.DispatchOptions = { path: '', method: 'GET', reset: false };
  #request: LaneRequest | undefined;
  /** Set while the request is on the connection. */
  #controller: Dispatcher.DispatchController | undefined;
  /** Set when regops itself cut the request off. */
  #reason: LaneError | undefined;
  #sentAt = 0;
  /** When the other side was last known to have said something, and whether it has since. */
  #heardAt = 0;
  #heard = false;
  #patienceMs = 0;
  #status = 0;
  #headers: ResponseHeaders = NO_HEADERS;
  #firstByteMs: number | undefined;
  #remote: string | undefined;
  #bytes = 0;
  /** The body's first chunk waits for a second: hashing a whole body at once costs a third of a `Hash`. */
  #first: Buffer | undefined;
  #hash: Hash | undefined;
  #parts: Buffer[] | undefined;

  constructor(lane: Lane, openClient: OpenClient) {
    this.#lane = lane;
    this.client = openClient(({ remoteAddress, remotePort }) => {
      this.#remote = remoteAddress === undefined ? undefined : endpointOf(remoteAddress, remotePort);
    });
  }

  begin(request: LaneRequest, sentAt: number): void {
    const { forward, timeoutMs } = this.#lane;
    this.#request = request;
    this.#reason = undefined;
    this.#sentAt = this.#heardAt = sentAt;
    this.#heard = false;
    this.#patienceMs = request.timeoutMs ?? timeoutMs;
    this.#status = 0;
    this.#headers = NO_HEADERS;
    this.#firstByteMs = undefined;
    this.#bytes = 0;
    this.#parts = request.keep ? [] : undefined;
    const options = this.#options;
    options.method = request.method;
    options.path = forward ? `${forward.prefix}${request.path}` : request.path;
    options.headers = forward ? [...request.headers, ...forward.headers] : request.headers;
    // undici sends the parts of anything that can be iterated; its type does not say so.
    options.body = (request.body ?? null) as Uint8Array | null;
    this.client.dispatch(options, this);
  }

  expire(now: number): void {
    if (!this.#request) return;
    if (this.#heard) {
      this.#heard = false;
      this.#heardAt = now;
    } else if (now - this.#heardAt >= this.#patienceMs) {
      if (this.#controller) this.#cut('timeout');
      else this.#end('timeout');
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (!this.#request) controller.abort(new Error('timed out before a connection was free'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: ResponseHeaders,
  ): void {
    if (status < 200) return;
    this.#heard = true;
    this.#status = status;
    this.#headers = headers;
    this.#firstByteMs = performance.now() - this.#sentAt;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const request = this.#request;
    if (!request) return;
    this.#heard = true;
    this.#bytes += chunk.length;
    if (request.maxBytes !== undefined && this.#bytes > request.maxBytes) {
      this.#cut('too-large');
      return;
    }
    if (request.hash) this.#digest(request.hash, chunk);
    this.#parts?.push(chunk);
  }

  onResponseEnd(): void {
    this.#finish(undefined);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // In the midst of a failure undici takes no new request, and dispatch itself may fail at once.
    process.nextTick(() => this.#finish(this.#reason ?? errorClass(error, this.#status !== 0)));
  }

  /** undici has let go of the request. */
  #finish(error: LaneError | undefined): void {
    this.#controller = undefined;
    const told = this.#take(error);
    this.#lane.release(this);
    if (told) this.#lane.end(told.request, told.result);
  }

  #cut(reason: LaneError): void {
    this.#reason = reason;
    this.#controller?.abort(new Error(reason));
  }

  /** The answer is given, whenever undici will let go. */
  #end(error: LaneError): void {
    const told = this.#take(error);
    if (told) this.#lane.end(told.request, told.result);
  }

  /** What is to be told, once. */
  #take(error: LaneError | undefined): { request: LaneRequest; result: LaneResult } | undefined {
    const request = this.#request;
    if (!request) return undefined;
    const whole = error === undefined;
    const result: LaneResult = {
      status: this.#status,
      bytes: this.#bytes,
      headers: this.#headers,
      error,
      digest:
        whole && request.hash
          ? (this.#hash?.digest('hex') ?? hashOf(request.hash, this.#first ?? NOTHING, 'hex'))
          : undefined,
      body: whole && this.#parts ? joined(this.#parts) : undefined,
      firstByteMs: this.#firstByteMs,
      remote: this.#remote,
    };
    this.#request = undefined;
    this.#first = undefined;
    this.#hash = undefined;
    this.#parts = undefined;
    this.#options.body = null;
    return { request, result };
  }

  #digest(algorithm: 'sha256' | 'sha512', chunk: Buffer): void {
    if (this.#hash) this.#hash.update(chunk);
    else if (this.#first) this.#hash = createHash(algorithm).update(this.#first).update(chunk);
    else this.#first = chunk;
  }
}

/** The answer to a request that never reached the other side. */
function failed(error: LaneError): LaneResult {
  return { status: 0, bytes: 0, headers: NO_HEADERS, error };
}

function endpointOf(address: string, port: number | undefined): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function joined(parts: Buffer[]): Buffer {
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

const SYSTEM_CLASSES: Readonly<Record<string, LaneError>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNABORTED: 'reset',
  UND_ERR_SOCKET: 'reset',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'truncated',
  UND_ERR_DESTROYED: 'closed',
  UND_ERR_CLOSED: 'closed',
  UND_ERR_INVALID_ARG: 'invalid',
  UND_ERR_HEADERS_OVERFLOW: 'too-large',
  HPE_HEADER_OVERFLOW: 'too-large',
};

/** A failure as a word to count by. @param begun whether the answer's head had come */
function errorClass(error: unknown, begun: boolean): LaneError {
  if (isRegopsError(error)) {
    if (error.code === 'TIMED_OUT') return 'timeout';
    if (error.code === 'NAME_NOT_RESOLVED') return 'name';
    if (error.code === 'TLS_FAILED' || error.code === 'TLS_UNTRUSTED') return 'tls';
    if (error.code === 'PROXY_FAILED') return 'proxy';
    return SYSTEM_CLASSES[String(error.details['errno'])] ?? 'unreachable';
  }
  const code = systemCode(error) ?? '';
  const known = SYSTEM_CLASSES[code];
  if (known === 'reset' && begun) return 'truncated';
  if (known) return known;
  // TLS 1.3 refuses a missing client certificate when the connection already stands.
  if (/^(ERR_SSL_|ERR_TLS_|EPROTO)/.test(code)) return 'tls';
  return isParserError(error, code) ? 'protocol' : 'unreachable';
}
