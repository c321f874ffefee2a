import { randomUUID } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { Handler, Reply } from './exchange.ts';
import { ApiServer, type ServerOptions } from './server.ts';
import { errorReply } from './wire-errors.ts';

/** Older ones are forgotten. */
const MOST_REQUESTS = 10_000;

/** A request that came to the second origin. */
export interface ForeignRequest {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  readonly status: number;
  /** True when it brought an Authorization or a Cookie, which were not meant for this origin. */
  readonly hadCredentials: boolean;
}

/**
 * A second origin beside the registry, as the storage that registries send their clients to: what it serves is
 * asked for with a ticket in the query, and who brings credentials too is refused with 400, as by S3. It listens
 * from when it is first needed.
 */
export class Elsewhere {
  readonly #ticket = randomUUID();
  readonly #handler: Handler;
  readonly #options: Omit<ServerOptions, 'port' | 'onRequest'>;
  readonly #clientHost: string;
  readonly #requests: ForeignRequest[] = [];
  #server: Promise<ApiServer> | undefined;

  /** @param clientHost where clients reach `options.host` */
  constructor(handler: Handler, options: Omit<ServerOptions, 'port' | 'onRequest'>, clientHost: string) {
    this.#handler = handler;
    this.#options = options;
    this.#clientHost = clientHost;
  }

  /** What has come so far. */
  get requests(): readonly ForeignRequest[] {
    return this.#requests;
  }

  /** Where this path of the registry is at the second origin. */
  async urlOf(path: string): Promise<string> {
    this.#server ??= ApiServer.listen((request) => this.#answer(request), {
      ...this.#options,
      port: 0,
      onRequest: undefined,
    });
    const { port } = await this.#server;
    const host = isIPv6(this.#clientHost) ? `[${this.#clientHost}]` : this.#clientHost;
    return `${this.#options.certificates ? 'https' : 'http'}://${host}:${port}${this.#withTicket(path)}`;
  }

  async close(): Promise<void> {
    await (await this.#server)?.close();
  }

  readonly #answer: Handler = async (request) => {
    const { method, path, headers } = request;
    const hadCredentials = headers.authorization !== undefined || headers.cookie !== undefined;
    const reply = await this.#reply(request, hadCredentials);
    if (this.#requests.length >= MOST_REQUESTS) this.#requests.shift();
    this.#requests.push({ method, path, status: reply.status, hadCredentials });
    return reply;
  };

  async #reply(request: Parameters<Handler>[0], hadCredentials: boolean): Promise<Reply> {
    if (hadCredentials)
      return errorReply('UNSUPPORTED', 'only one way to sign in is allowed', { status: 400 });
    if (request.query.get('ticket') !== this.#ticket) {
      return errorReply('UNSUPPORTED', 'no ticket', { status: 403 });
    }
    const reply = await this.#handler(request);
    const location = reply.headers?.['location'];
    if (!location?.startsWith('/')) return reply;
    return { ...reply, headers: { ...reply.headers, location: this.#withTicket(location) } };
  }

  #withTicket(path: string): string {
    return `${path}${path.includes('?') ? '&' : '?'}ticket=${this.#ticket}`;
  }
}
