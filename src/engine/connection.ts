import type { ClientRequestArgs, IncomingMessage } from 'node:http';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { pipeline, Readable } from 'node:stream';
import type { Dialled, DialOptions, Modem } from 'dockerode';
import type { z } from 'zod';
import {
  abortReason,
  isRegopsError,
  type Log,
  messageOf,
  metered,
  RegopsError,
  redactText,
  throwIfAborted,
} from '../base/index.ts';
import { LIMITS } from '../oci/index.ts';
import type { EngineAddress } from './address.ts';
import { Deadline } from './deadline.ts';
import { type Asked, connectionError, engineError } from './failure.ts';
import { type RegistryCredential, registryAuthHeader } from './registry-auth.ts';

/** What ends one call before it is done. */
export interface CallOptions {
  /**
   * In place of the engine's own signal. Who tidies up after an interruption gives a fresh one:
   * `AbortSignal.timeout(10_000)`.
   */
  readonly signal?: AbortSignal | undefined;
  /** How long the call may take; for a transfer (push, pull, load, export …) how long it may be silent. */
  readonly timeoutMs?: number | undefined;
}

/** Certificates for an engine behind TLS, in PEM. */
export interface EngineTls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** One call of the Engine API. */
export interface EngineRequest extends Asked, CallOptions {
  /** How long the answer may be silent, for those that go on for long. */
  readonly silenceMs?: number | undefined;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Without the API version; nothing in it needs encoding. */
  readonly path: string;
  /** Undefined values are left out, arrays repeat their name. */
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  /** Undefined values are left out, at any depth. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** A tar archive, sent as the body and destroyed in the end. */
  readonly upload?: Readable;
  /** For calls that go on to a registry: its domain, and who the engine is to be there. */
  readonly registry?: { readonly domain: string; readonly credential: RegistryCredential | undefined };
}

/** The head of an answer; its body must be read to its end or closed. */
export interface EngineReply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** The body; it fails with a RegopsError, and ends the call when it is left. */
  chunks(): AsyncGenerator<Buffer>;
  close(): void;
}

/** How long calls may take that move no data. */
export const CALL_TIMEOUT_MS = 120_000;
/** How long a stream may be silent: a large layer is compressed, hashed or unpacked without a word. */
const SILENCE_TIMEOUT_MS = 15 * 60_000;

/** Of a call that moves data: it may take as long as it likes, but not be silent for long. */
export function transferring({
  signal,
  timeoutMs,
}: CallOptions): Pick<EngineRequest, 'signal' | 'silenceMs'> {
  return { signal, silenceMs: timeoutMs ?? SILENCE_TIMEOUT_MS };
}

/** Lists of ten thousand containers or images. */
const REPLY_BYTES = 32 * 1024 * 1024;

/** Every status is ours to judge: docker-modem would read an error's whole body, however long. */
const ANY_STATUS: Readonly<Record<number, true>> = Object.fromEntries(
  Array.from({ length: 500 }, (_, index) => [100 + index, true as const]),
);

/**
 * The way to one engine. dockerode puts the requests together (address, path, query, body, X-Registry-Auth); they are
 * sent from here, because docker-modem's own sender follows redirects in the background (a refused one ends the
 * whole process), reads bodies without a bound and prints credentials for DEBUG=modem.
 */
export class EngineConnection {
  readonly address: EngineAddress;
  readonly log: Log;
  readonly #modem: Modem;
  readonly #signal: AbortSignal | undefined;
  readonly #agent: HttpAgent;
  #version = '';

  private constructor(
    address: EngineAddress,
    modem: Modem,
    agent: HttpAgent,
    log: Log,
    signal: AbortSignal | undefined,
  ) {
    this.address = address;
    this.log = log;
    this.#modem = modem;
    this.#agent = agent;
    this.#signal = signal;
  }

  /** Loads dockerode and points it at the address; nothing is sent yet. Throws CONFIG_INVALID. */
  static async open(
    address: EngineAddress,
    tls: EngineTls | undefined,
    log: Log,
    signal: AbortSignal | undefined,
  ): Promise<EngineConnection> {
    const { default: Docker } = await import('dockerode');
    const secure = address.kind === 'tcp' && address.secure;
    // No connection is kept: one that the engine has just closed would fail the next POST.
    const agent = secure ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
    let modem: Modem;
    try {
      // What is not said here docker-modem takes from the environment, which is cli's to read.
      modem = new Docker({
        socketPath: address.kind === 'unix' ? address.path : undefined,
        host: address.kind === 'tcp' ? address.host : undefined,
        port: address.kind === 'tcp' ? address.port : undefined,
        protocol: secure ? 'https' : 'http',
        pathPrefix: '/',
        ca: tls?.ca,
        cert: tls?.cert,
        key: tls?.key,
        username: undefined,
        timeout: undefined,
        headers: { 'User-Agent': 'regops' },
        agent,
      }).modem;
    } catch (error) {
      throw new RegopsError('CONFIG_INVALID', `docker's environment: ${redactText(messageOf(error))}`, {
        cause: error,
        hints: ['Check DOCKER_HOST and DOCKER_CERT_PATH.'],
      });
    }
    const send = secure ? httpsRequest : httpRequest;
    modem.buildRequest = (options, _context, data, callback) => sendRequest(send, options, data, callback);
    return new EngineConnection(address, modem, agent, log, signal);
  }

  /** From now on calls are made in this version of the API: `1.41`. */
  speak(version: string): void {
    this.#version = `/v${version}`;
  }

  /** Sends a call and gives its answer when that is a success. Throws what the engine's refusal means. */
  async open(asked: EngineRequest): Promise<EngineReply> {
    const deadline = new Deadline(asked.signal ?? this.#signal, asked, asked.what);
    const started = performance.now();
    const close = (): void => {
      deadline.close();
      asked.upload?.destroy();
    };
    try {
      const reply = await this.#dial(asked, deadline);
      const status = reply.statusCode ?? 0;
      const ms = Math.round(performance.now() - started);
      this.log.trace(`engine ${asked.method} ${this.#version}${asked.path} ${status} ${ms} ms`);
      const chunks = () => this.#chunks(asked, reply, deadline, close);
      if (status < 200 || status > 299) {
        throw engineError(asked, messageIn(await readText(chunks(), LIMITS.errorBytes)), status);
      }
      return {
        status,
        headers: reply.headers,
        chunks,
        close: () => {
          close();
          reply.destroy();
        },
      };
    } catch (error) {
      close();
      throw this.#failure(asked, deadline, error);
    }
  }

  /** A call whose answer is one JSON value. Throws PROTOCOL_VIOLATION when it is something else. */
  async json<T>(asked: EngineRequest, schema: z.ZodType<T>): Promise<T> {
    const text = await this.#text(asked);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new RegopsError('PROTOCOL_VIOLATION', `${asked.what}: the engine's answer is not JSON`);
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw new RegopsError(
      'PROTOCOL_VIOLATION',
      `${asked.what}: the engine's answer is not what its API promises (${issue?.path.join('.')}: ${issue?.message})`,
    );
  }

  /** A call whose answer says nothing. */
  async done(asked: EngineRequest): Promise<void> {
    await this.#text(asked);
  }

  /** The connections still open are closed. */
  close(): void {
    this.#agent.destroy();
  }

  async #text(asked: EngineRequest): Promise<string> {
    const limit = asked.silenceMs === undefined ? CALL_TIMEOUT_MS : undefined;
    const reply = await this.open({ ...asked, timeoutMs: asked.timeoutMs ?? limit });
    return readText(reply.chunks(), REPLY_BYTES, asked.what);
  }

  #dial(asked: EngineRequest, deadline: Deadline): Promise<IncomingMessage> {
    const { signal } = deadline;
    if (signal.aborted) return Promise.reject(abortReason(signal));
    const query = Object.entries(asked.query ?? {}).filter(([, value]) => value !== undefined);
    const base = this.address.kind === 'tcp' ? this.address.basePath : '';
    const options: DialOptions = {
      path: `${base}${this.#version}${asked.path}${query.length > 0 ? '?' : ''}`,
      method: asked.method,
      options: { _query: Object.fromEntries(query), _body: asked.body ?? {} },
      // What is sent is a sign of life as well: the engine answers when it has everything.
      ...(asked.upload ? { file: metered(asked.upload, () => deadline.listen()) } : {}),
      ...(asked.registry
        ? {
            authconfig: { base64: registryAuthHeader(asked.registry.domain, asked.registry.credential) },
          }
        : {}),
      abortSignal: signal,
      isStream: true,
      statusCodes: ANY_STATUS,
    };
    return new Promise((resolve, reject) => {
      this.#modem.dial(options, (error, reply) => (reply ? resolve(reply) : reject(error)));
    });
  }

  async *#chunks(
    asked: EngineRequest,
    reply: IncomingMessage,
    deadline: Deadline,
    close: () => void,
  ): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of reply as AsyncIterable<Buffer>) {
        deadline.heard();
        yield chunk;
        deadline.listen();
      }
      // A body that ends with its connection ends well when we cut it.
      throwIfAborted(deadline.signal);
    } catch (error) {
      throw this.#failure(asked, deadline, error);
    } finally {
      close();
      reply.destroy();
    }
  }

  #failure(asked: Asked, deadline: Deadline, error: unknown): RegopsError {
    return deadline.signal.aborted
      ? abortReason(deadline.signal)
      : connectionError(asked, this.address, error);
  }
}

function sendRequest(
  send: typeof httpRequest,
  options: ClientRequestArgs,
  data: string | Readable | undefined,
  callback: Dialled,
): void {
  let request: ReturnType<typeof httpRequest>;
  try {
    request = send(options);
  } catch (error) {
    callback(error as Error, null);
    return;
  }
  request.once('response', (reply) => callback(null, reply));
  // Stays for errors after the answer, which the reader of the body sees.
  request.on('error', (error) => callback(uploadError(data, error) ?? error, null));
  if (data instanceof Readable) {
    // An engine that refuses answers before it has read everything, which is no failure of ours.
    pipeline(data, request, () => {});
  } else {
    request.end(data);
  }
}

/** The failure of the upload itself, for which the request was given up; undefined when it was the other way round. */
function uploadError(data: string | Readable | undefined, error: Error): Error | undefined {
  const own = data instanceof Readable ? data.errored : undefined;
  if (!own || own === error) return undefined;
  if (isRegopsError(own)) return own;
  return new RegopsError('IO_FAILED', `the archive for the engine cannot be read: ${messageOf(own)}`, {
    cause: own,
  });
}

/** A bounded body as text. */
async function readText(chunks: AsyncIterable<Buffer>, limit: number, what?: string): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > limit) {
      if (what === undefined) break;
      throw new RegopsError(
        'RESPONSE_TOO_LARGE',
        `${what}: the engine's answer has more than ${limit} bytes`,
      );
    }
    parts.push(chunk);
  }
  return Buffer.concat(parts).toString();
}

/** The engine's words in the body of an error: `{"message": …}`, podman's `{"cause", "message"}`, or bare text. */
function messageIn(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // not JSON: the text itself
  }
  return body;
}
