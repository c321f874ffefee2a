import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { expect, onTestFinished } from 'vitest';

/** What a request has to look like. */
export interface Expectation {
  readonly method?: string;
  /** Path and query. */
  readonly path: string | RegExp;
  /** A header's value; null when it must be missing. */
  readonly headers?: Readonly<Record<string, string | RegExp | null>>;
  readonly body?: string | RegExp;
}

/** What the server does then. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Uint8Array;
  /** Misbehaviour: cut the connection before the head, send half of the body and cut or go silent, never answer, or these bytes as they are. */
  readonly fault?: 'cut' | 'cut-body' | 'stall-body' | 'silence' | { readonly raw: string };
}

/** One line of the script; `times` (default 1) may be Infinity. */
export interface Exchange {
  readonly expect: Expectation;
  readonly reply: Reply;
  readonly times?: number;
}

/** A request as it came. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Counts connections from 1. */
  readonly connection: number;
  /** True when the client showed a certificate that the server's authority signed. */
  readonly clientCertificate: boolean;
}

/** A running server. */
export interface ScriptedServer {
  readonly origin: URL;
  readonly port: number;
  readonly requests: readonly SeenRequest[];
  /** Connections open now. */
  readonly connections: number;
  url(path: string): URL;
  /** Lengthens the script. */
  add(...exchanges: readonly Exchange[]): void;
}

/**
 * Starts a server on loopback that plays a script: each request is answered by the first exchange that fits
 * and is not used up. When the test ends, a request that fitted nothing and an exchange that was not played
 * fail it, and the server is closed.
 *
 * @param script the exchanges, or a function that gives them once the server's address is known
 */
export async function startServer(
  script: readonly Exchange[] | ((origin: string) => readonly Exchange[]),
  options: { tls?: SecureContextOptions & TlsOptions; onRequest?: (request: IncomingMessage) => void } = {},
): Promise<ScriptedServer> {
  const requests: SeenRequest[] = [];
  const unmatched: string[] = [];
  const sockets = new Map<Socket, number>();
  let opened = 0;
  const left: { exchange: Exchange; times: number }[] = [];
  const add = (...exchanges: readonly Exchange[]): void => {
    left.push(...exchanges.map((exchange) => ({ exchange, times: exchange.times ?? 1 })));
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    options.onRequest?.(request);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(chunks).toString('utf8'),
      connection: sockets.get(request.socket) ?? 0,
      clientCertificate: (request.socket as { authorized?: boolean }).authorized === true,
    };
    requests.push(seen);
    const line = left.find(({ exchange, times }) => times > 0 && fits(exchange.expect, seen));
    if (line) {
      line.times--;
      play(line.exchange.reply, request, response);
    } else {
      unmatched.push(
        `${seen.method} ${seen.path} ${JSON.stringify(seen.headers)} ${seen.body.slice(0, 200)}`,
      );
      response.writeHead(599).end();
    }
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    // A client that goes away in the middle is part of some tests.
    handle(request, response).catch(() => response.destroy());
  };
  const server = options.tls ? createTlsServer(options.tls, listener) : createServer(listener);
  server.on(options.tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.set(socket, ++opened);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const origin = new URL(`${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`);
  add(...(typeof script === 'function' ? script(origin.origin) : script));

  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(unmatched, 'requests that fit no exchange').toEqual([]);
    const unplayed = left.filter(({ times }) => times > 0 && times !== Number.POSITIVE_INFINITY);
    expect(
      unplayed.map(({ exchange }) => `${exchange.expect.method ?? 'GET'} ${exchange.expect.path}`),
      'exchanges that were not played',
    ).toEqual([]);
  });
  return {
    origin,
    port,
    requests,
    get connections() {
      return sockets.size;
    },
    url: (path) => new URL(path, origin),
    add,
  };
}

function fits(expected: Expectation, seen: SeenRequest): boolean {
  return (
    (expected.method ?? 'GET') === seen.method &&
    matches(expected.path, seen.path) &&
    (expected.body === undefined || matches(expected.body, seen.body)) &&
    Object.entries(expected.headers ?? {}).every(([name, value]) => {
      const actual = seen.headers[name];
      return value === null ? actual === undefined : typeof actual === 'string' && matches(value, actual);
    })
  );
}

function matches(expected: string | RegExp, actual: string): boolean {
  return typeof expected === 'string' ? expected === actual : expected.test(actual);
}

function play(reply: Reply, request: IncomingMessage, response: ServerResponse): void {
  const { status = 200, headers = {}, body = '', fault } = reply;
  if (fault === 'silence') return;
  if (fault === 'cut') {
    request.socket.destroy();
    return;
  }
  if (typeof fault === 'object') {
    request.socket.end(fault.raw);
    return;
  }
  const bytes = Buffer.from(body);
  if (fault === undefined) {
    response.writeHead(status, { 'content-length': bytes.length, ...headers });
    response.end(request.method === 'HEAD' ? undefined : bytes);
    return;
  }
  response.writeHead(status, { 'content-length': bytes.length, ...headers });
  response.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => {
    if (fault === 'cut-body') request.socket.destroy();
  });
}
