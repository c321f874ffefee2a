import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach } from 'vitest';
import { type Engine, type EngineOptions, openEngine } from '../../../src/engine/index.ts';

/** A request as the engine saw it. */
export interface SeenRequest {
  readonly method: string;
  /** Without the version of the API. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** What the engine does with requests of one kind. */
export type Answer = (reply: ServerResponse, request: SeenRequest) => void | Promise<void>;

export interface ScriptedEngine {
  /** For DOCKER_HOST. */
  readonly host: string;
  readonly seen: SeenRequest[];
  /** `POST /auth`; the path may end in `*`. The last that fits answers. */
  on(what: string, answer: Answer): void;
  open(options?: EngineOptions): Promise<Engine>;
}

/** Answers with JSON. */
export const json =
  (status: number, value: unknown): Answer =>
  (reply) => {
    reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };

/** Answers 200 and these lines, each with a line end. */
export const lines =
  (...events: readonly (string | object)[]): Answer =>
  (reply) => {
    reply.writeHead(200, { 'content-type': 'application/json' });
    reply.end(
      events.map((event) => `${typeof event === 'string' ? event : JSON.stringify(event)}\r\n`).join(''),
    );
  };

/** One frame of an output stream. */
export function frame(type: number, text: string | Buffer): Buffer {
  const header = Buffer.alloc(8);
  header[0] = type;
  const bytes = Buffer.from(text);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

const cleanup: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).reverse()) await one();
});

/** A server on a socket that says what a test tells it to; it knows its version and nothing else. */
export async function startScriptedEngine(): Promise<ScriptedEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'regops-engine-'));
  cleanup.push(() => rm(folder, { recursive: true, force: true }));
  const answers: { what: string; answer: Answer }[] = [];
  const seen: SeenRequest[] = [];
  const server = createServer(async (incoming, reply) => {
    const url = new URL(incoming.url ?? '', 'http://engine');
    const path = url.pathname.replace(/^\/v\d+\.\d+/, '');
    const what = `${incoming.method} ${path}`;
    const found = answers.findLast((one) =>
      one.what.endsWith('*') ? what.startsWith(one.what.slice(0, -1)) : what === one.what,
    );
    const request = {
      method: incoming.method ?? '',
      path,
      query: url.searchParams,
      headers: incoming.headers,
      body: await buffer(incoming),
    };
    seen.push(request);
    if (found) await found.answer(reply, request);
    else reply.writeHead(404).end(JSON.stringify({ message: 'page not found' }));
  });
  const socket = join(folder, 'engine.sock');
  server.listen(socket);
  await once(server, 'listening');
  cleanup.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const engine: ScriptedEngine = {
    host: `unix://${socket}`,
    seen,
    on: (what, answer) => void answers.push({ what, answer }),
    async open(options = {}) {
      const opened = await openEngine({ host: engine.host, ...options });
      cleanup.push(async () => opened.close());
      return opened;
    },
  };
  engine.on('GET /_ping', (reply) => void reply.writeHead(200, { 'api-version': '1.47' }).end('OK'));
  engine.on(
    'GET /version',
    json(200, { Version: '27.0.0', ApiVersion: '1.47', MinAPIVersion: '1.24', Os: 'linux', Arch: 'amd64' }),
  );
  return engine;
}
