import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type Log, messageOf, RegopsError, redactText } from '../base/index.ts';
import type { Certificates } from './certificates.ts';
import { type Handler, IncomingRequest, sendReply } from './exchange.ts';

/** How long `close` waits for requests under way before it cuts them off. */
const CLOSE_GRACE_MS = 2000;

/** One answered request, for an access log. */
export interface RequestLine {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** 0 when the client left before an answer began. */
  readonly status: number;
  readonly ms: number;
  /** Bytes of the bodies, as far as they were read and sent. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Names of the faults that made something of it go wrong. */
  readonly faults?: readonly string[];
}

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly certificates: Certificates | undefined;
  readonly log: Log;
  readonly onRequest: ((line: RequestLine) => void) | undefined;
}

/** A listening socket with a handler behind it. */
export class ApiServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #handler: Handler;
  readonly #options: ServerOptions;
  #active = 0;
  #isClosing = false;

  private constructor(handler: Handler, options: ServerOptions) {
    const { certificates } = options;
    const listener = (message: IncomingMessage, response: ServerResponse): void => {
      void this.#answer(message, response);
    };
    const settings = {
      // Node's default ends a request after 5 minutes: an honest upload may take longer. Headers may not.
      requestTimeout: 0,
      headersTimeout: 60_000,
      keepAliveTimeout: 60_000,
    };
    this.#handler = handler;
    this.#options = options;
    this.#server = certificates
      ? createHttpsServer({ ...settings, ...tlsOptions(certificates) }, listener)
      : createHttpServer(settings, listener);
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Listens. Throws CONFIG_INVALID when the address cannot be had. */
  static async listen(handler: Handler, options: ServerOptions): Promise<ApiServer> {
    const server = new ApiServer(handler, options);
    const { host, port } = options;
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', (error) => {
        const message = `cannot listen on ${host} port ${port}: ${messageOf(error)}`;
        const hints = ['Choose another port, or 0 for any free one.'];
        reject(new RegopsError('CONFIG_INVALID', message, { hints, cause: error }));
      });
      server.#server.listen({ host, port }, resolve);
    });
    server.#server.on('error', (error) => options.log.warn(`testbed: ${messageOf(error)}`));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no more connections, lets requests under way end for a moment, then cuts off what is left. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    const grace = setTimeout(() => this.#cutOff(), CLOSE_GRACE_MS);
    if (this.#active === 0) this.#cutOff();
    await closed;
    clearTimeout(grace);
  }

  /** Also connections that are kept alive, never asked anything, or hang in a handshake. */
  #cutOff(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const began = performance.now();
    const request = new IncomingRequest(message);
    let bytesOut = 0;
    let faults: readonly string[] | undefined;
    this.#active++;
    response.once('close', () => {
      this.#active--;
      if (this.#isClosing && this.#active === 0) this.#cutOff();
      this.#options.onRequest?.({
        method: request.method,
        path: request.path,
        status: response.headersSent ? response.statusCode : 0,
        ms: performance.now() - began,
        bytesIn: request.received,
        bytesOut,
        ...(faults && { faults }),
      });
    });
    try {
      const reply = await this.#handler(request);
      faults = reply.faults;
      if (this.#isClosing) response.shouldKeepAlive = false;
      await sendReply(response, request.method, reply, (bytes) => {
        bytesOut += bytes;
      });
    } catch (error) {
      response.destroy();
      this.#options.log.warn(
        `testbed: ${request.path}: the reply broke off: ${redactText(messageOf(error))}`,
      );
    }
  }
}

function tlsOptions({ caCert, server, client }: Certificates) {
  const own = { cert: server.cert, key: server.key };
  return client ? { ...own, ca: caCert, requestCert: true, rejectUnauthorized: true } : own;
}
