import { getDefaultHighWaterMark, type Readable } from 'node:stream';
import { isRegopsError, messageOf, RegopsError, releaseChunk } from '../base/index.ts';
import type { HttpRequest } from './message.ts';
import { Relay } from './relay.ts';

/** A body ready to be sent once. */
export interface OpenedBody {
  readonly content: Uint8Array | AsyncIterable<Buffer> | null;
  /** Its exact length, when known. */
  readonly size?: number;
  /** Lets go of its source, however much of it was sent. */
  close(): void;
}

/**
 * Opens a request's body from its first byte. A stream that gives fewer or more bytes than its recipe
 * promises fails with SIZE_MISMATCH before the request is complete, so that nothing wrong is ever stored;
 * its own failure is IO_FAILED, or the RegopsError it threw.
 */
export async function openBody(body: HttpRequest['body']): Promise<OpenedBody> {
  if (body === undefined) return { content: null, close() {} };
  if (body instanceof Uint8Array) return { content: body, size: body.length, close() {} };
  const { size, disposable = false } = body;
  let source: Readable;
  try {
    source = await body.open();
  } catch (error) {
    throw localError(error);
  }
  let seen = 0;
  const relay = new Relay(source, {
    onBytes(bytes) {
      seen += bytes;
      return size !== undefined && seen > size ? sizeMismatch(size, `more than ${size}`) : undefined;
    },
    onEnd: () => (size !== undefined && seen < size ? sizeMismatch(size, String(seen)) : undefined),
    mapError: localError,
  });
  return {
    content: disposable ? sentChunks(relay) : (relay as AsyncIterable<Buffer>),
    ...(size === undefined ? {} : { size }),
    close: () => relay.destroy(),
  };
}

/**
 * The chunks of a body, whose memory is given back once they are sent. undici asks for the next chunk when the socket
 * has room again, which after a chunk beyond its high-water mark means: when all of that has left. A smaller one may
 * still wait to be written, and is left to the garbage collector.
 */
async function* sentChunks(body: Relay): AsyncGenerator<Buffer> {
  const socketBytes = getDefaultHighWaterMark(false);
  for await (const chunk of body as AsyncIterable<Buffer>) {
    const { length } = chunk;
    yield chunk;
    if (length > socketBytes) releaseChunk(chunk);
  }
}

function localError(thrown: unknown): RegopsError {
  if (isRegopsError(thrown)) return thrown;
  return new RegopsError('IO_FAILED', `cannot read what is to be sent: ${messageOf(thrown)}`, {
    cause: thrown,
  });
}

function sizeMismatch(expected: number, actual: string): RegopsError {
  return new RegopsError(
    'SIZE_MISMATCH',
    `the body to be sent should have ${expected} bytes, it has ${actual}`,
    {
      hints: ['The source may have changed while it was read.'],
      details: { expected, actual },
    },
  );
}
