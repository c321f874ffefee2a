import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { allocateChunk } from '../../../src/base/index.ts';
import { type AgentOptions, type BodyRecipe, createAgent, readBody } from '../../../src/http/index.ts';
import { makeAuthority } from '../../support/http-certificates.ts';

const CHUNK = 256 * 1024;

/** A server that reads slowly, in fits and starts, and answers with the digest of what came. */
async function startSlowServer(
  scheme: 'http' | 'https',
): Promise<{ url: URL; options: Partial<AgentOptions> }> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const hash = createHash('sha256');
    let reads = 0;
    for await (const bytes of request) {
      hash.update(bytes as Buffer);
      if (++reads % 16 === 0) await sleep(2);
    }
    response.end(hash.digest('hex'));
  };
  const authority = await makeAuthority();
  const server =
    scheme === 'http' ? createServer(answer) : createTlsServer(await authority.issue(['127.0.0.1']), answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { url: new URL(`${scheme}://127.0.0.1:${port}/`), options: { tls: { ca: [authority.cert] } } };
}

/** Chunks that no two are alike, and the digest of them all. */
function makeChunks(count: number, length: number): { chunks: Buffer[]; digest: string } {
  const hash = createHash('sha256');
  const chunks = Array.from({ length: count }, (_, index) => {
    const chunk = allocateChunk(length).fill(index + 1);
    hash.update(chunk);
    return chunk;
  });
  return { chunks, digest: hash.digest('hex') };
}

async function send(
  scheme: 'http' | 'https',
  chunks: readonly Buffer[],
  more: Partial<BodyRecipe>,
): Promise<string> {
  const { url, options } = await startSlowServer(scheme);
  const agent = createAgent({ boundOrigin: url, timeoutMs: 20_000, ...options });
  onTestFinished(() => agent.close());
  const body: BodyRecipe = { open: () => Readable.from(chunks, { objectMode: false }), ...more };
  return (await readBody(await agent.send({ method: 'PUT', url, body }), 1000, 'digest')).toString();
}

describe.each(['http', 'https'] as const)('a body that is made anew by each opening, over %s', (scheme) => {
  test.each([
    ['of known size', { size: 24 * CHUNK }],
    ['of unknown size', {}],
  ])('%s arrives whole, and its memory is given back', async (_name, size) => {
    const { chunks, digest } = makeChunks(24, CHUNK);
    expect(await send(scheme, chunks, { disposable: true, ...size })).toBe(digest);
    expect(chunks.map(({ length }) => length)).toEqual(chunks.map(() => 0));
  });

  test('in small chunks arrives whole', async () => {
    const { chunks, digest } = makeChunks(100, 5000);
    expect(await send(scheme, chunks, { disposable: true })).toBe(digest);
  });
});

test('another body keeps its chunks', async () => {
  const { chunks, digest } = makeChunks(3, CHUNK);
  expect(await send('http', chunks, {})).toBe(digest);
  expect(chunks.map(({ length }) => length)).toEqual([CHUNK, CHUNK, CHUNK]);
});
