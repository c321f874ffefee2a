import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { RegopsError } from '../base/index.ts';
import { matchRoute, type Route } from './routes.ts';

/** One request as the layers and handlers see it. */
export interface ApiRequest {
  readonly method: string;
  /** The path as it came, percent-encoded, without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Which endpoint the path names; the names in it are not checked yet. */
  readonly route: Route | undefined;
  /** `http://host:port` as the client addressed us; not checked. */
  readonly origin: string;
  /** The body's bytes, to be read once; what nobody reads is thrown away. */
  readonly body: AsyncIterable<Buffer>;
}

/** Bytes of a reply: already in memory, or streamed. */
export type Body = readonly Uint8Array[] | Readable;

/** What goes back. A streamed body needs its `content-length` among the headers; of the others it is counted. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body;
  /** Where a fault breaks the connection off. */
  readonly cut?: Cut;
  /** Names of the faults that had a part in it, for the access log. */
  readonly faults?: readonly string[];
}

/** A connection that ends before its reply does. */
export interface Cut {
  /** After so many bytes of the body, or before the head. */
  readonly after: number | 'nothing';
  /** With an abrupt reset, by an orderly end, or not at all: nothing more is said until the client leaves. */
  readonly with: 'reset' | 'end' | 'silence';
  /** Ends a silence. */
  readonly until?: AbortSignal;
}

export type Handler = (request: ApiRequest) => Promise<Reply>;

/** Wraps a handler: may answer itself, change the request on its way in or the reply on its way out. */
export type Layer = (next: Handler) => Handler;

/** Puts layers around a handler; the first is the outermost. */
export function wrap(layers: readonly Layer[], handler: Handler): Handler {
  return layers.reduceRight<Handler>((next, layer) => layer(next), handler);
}

/** The same request, with something of it changed; its body is still to be read once. */
export function changedRequest(
  request: ApiRequest,
  changes: Partial<Pick<ApiRequest, 'query' | 'headers' | 'route' | 'body'>>,
): ApiRequest {
  const { method, path, query, headers, route, origin } = request;
  return {
    ...{ method, path, query, headers, route, origin },
    get body() {
      return request.body;
    },
    ...changes,
  };
}

/** A JSON reply. */
export function jsonReply(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: [Buffer.from(JSON.stringify(value))],
  };
}

/** A request that arrived at our server. */
export class IncomingRequest implements ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly route: Route | undefined;
  readonly #message: IncomingMessage;
  readonly #search: string;
  #query: URLSearchParams | undefined;
  #received = 0;

  constructor(message: IncomingMessage) {
    const url = message.url ?? '/';
    const question = url.indexOf('?');
    this.#message = message;
    this.method = message.method ?? 'GET';
    this.path = question === -1 ? url : url.slice(0, question);
    this.#search = question === -1 ? '' : url.slice(question + 1);
    this.route = matchRoute(this.path);
  }

  get headers(): IncomingHttpHeaders {
    return this.#message.headers;
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#search);
    return this.#query;
  }

  get origin(): string {
    const scheme = 'encrypted' in this.#message.socket ? 'https' : 'http';
    return `${scheme}://${this.headers.host ?? ''}`;
  }

  /** Bytes of the body read so far. */
  get received(): number {
    return this.#received;
  }

  get body(): AsyncIterable<Buffer> {
    return this.#read();
  }

  async *#read(): AsyncGenerator<Buffer> {
    try {
      // Destroying an unread request would destroy its socket, and with it the reply that says why we stopped.
      for await (const chunk of this.#message.iterator({ destroyOnReturn: false })) {
        this.#received += (chunk as Buffer).length;
        yield chunk as Buffer;
      }
    } catch (error) {
      throw new RegopsError('INTERRUPTED', 'the client went away', { cause: error });
    }
  }
}

/**
 * Sends a reply. A body that fails under way, or ends before its length, ends the connection, so that the
 * client sees it cut and does not wait.
 *
 * @param onBytes told of the bytes of the body as they are handed to the socket
 */
export async function sendReply(
  response: ServerResponse,
  method: string,
  reply: Reply,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { status, body = [] } = reply;
  const headers: Record<string, string | number> = {
    'docker-distribution-api-version': 'registry/2.0',
    ...reply.headers,
  };
  const mayHaveLength = status !== 204 && status !== 304;
  if (!(body instanceof Readable) && mayHaveLength) {
    headers['content-length'] ??= body.reduce((total, part) => total + part.length, 0);
  }
  if (response.destroyed) {
    if (body instanceof Readable) body.destroy();
    return;
  }
  if (reply.cut) {
    await sendUntilCut(response, method, { status, headers, body, cut: reply.cut }, onBytes);
    return;
  }
  response.writeHead(status, headers);
  if (method === 'HEAD' || !mayHaveLength) {
    if (body instanceof Readable) body.destroy();
    response.end();
    return;
  }
  let sent = 0;
  try {
    for await (const part of body) {
      // Leaving the loop destroys a stream.
      if (response.destroyed) return;
      onBytes(part.length);
      sent += part.length;
      if (!response.write(part) && !response.destroyed) await drained(response);
    }
    if (sent < Number(headers['content-length'] ?? 0)) response.destroy();
    else response.end();
  } catch (error) {
    response.destroy();
    throw error;
  }
}

/** Sends what comes before a cut, and breaks the connection off there. */
async function sendUntilCut(
  response: ServerResponse,
  method: string,
  reply: { status: number; headers: Record<string, string | number>; body: Body; cut: Cut },
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { body, cut } = reply;
  const { socket } = response;
  try {
    if (cut.after !== 'nothing') response.writeHead(reply.status, reply.headers).flushHeaders();
    let left = method === 'HEAD' || cut.after === 'nothing' ? 0 : cut.after;
    if (left > 0) {
      for await (const part of body) {
        const sent = part.subarray(0, left);
        if (response.destroyed) return;
        onBytes(sent.length);
        left -= sent.length;
        if (!response.write(sent) && !response.destroyed) await drained(response);
        if (left === 0) break;
      }
    }
    if (cut.with === 'silence') await leftAlone(response, cut.until);
    // A reset must not overtake what was written before it.
    if (cut.with === 'reset' && cut.after !== 'nothing' && socket)
      await new Promise((resolve) => socket.write('', resolve));
  } finally {
    if (body instanceof Readable) body.destroy();
    if (cut.with === 'end') socket?.destroySoon();
    else if (cut.with === 'silence') response.destroy();
    else if (socket && !('encrypted' in socket)) socket.resetAndDestroy();
    else response.destroy();
  }
}

/** Takes whatever still comes, and resolves when the client has left or the silence ends. */
function leftAlone(response: ServerResponse, until: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed || until?.aborted) return resolve();
    const done = (): void => {
      response.off('close', done);
      until?.removeEventListener('abort', done);
      resolve();
    };
    response.once('close', done);
    until?.addEventListener('abort', done, { once: true });
    // Nobody notices that a client has left while its bytes are not read.
    response.req.resume();
  });
}

/** Resolves when the socket takes more, or never will. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}
