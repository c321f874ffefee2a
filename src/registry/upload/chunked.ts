import { pipeline, Readable } from 'node:stream';
import { RegopsError } from '../../base/index.ts';
import { discardBody, type HttpResponse, headerOf } from '../../http/index.ts';
import { verifyingStream } from '../../oci/index.ts';
import { readComplaint } from '../failure.ts';
import type { UploadSession } from './session.ts';
import type { KnownBlob } from './source.ts';
import type { TransferOptions } from './whole.ts';

/** Chunks shrink no further than this, whoever finds them too large. */
export const SMALLEST_CHUNK = 1024 * 1024;
/** GHCR answers 416 "request body too large" above this, whatever the range. */
const GHCR_CHUNK = 4 * 1024 * 1024;
const MAX_CORRECTIONS = 10;

/**
 * Uploads a blob in chunks (distribution spec, "Pushing a blob in chunks"): for proxies that limit a
 * request's size. Chunks shrink when the other side says they are too large, and the upload goes on from
 * where the registry says it is.
 */
export async function uploadChunked(
  session: UploadSession,
  blob: KnownBlob,
  chunkSize: number,
  options: TransferOptions,
): Promise<void> {
  const cursor = new BlobCursor(blob);
  const { traits } = session.client;
  const floor = Math.max(SMALLEST_CHUNK, session.chunkMinimum);
  let chunk = Math.max(chunkSize, session.chunkMinimum, 1);
  let offset = 0;
  let corrections = 0;
  try {
    while (offset < blob.size) {
      const length = Math.min(chunk, blob.size - offset);
      const from = offset;
      const response = await session.patch(
        { size: length, open: () => cursor.read(from, length) },
        [from, from + length - 1],
        options.signal,
      );
      let moved: number;
      if (response.status >= 200 && response.status < 300) {
        await discardBody(response);
        session.follow(response);
        moved = nextOffset(headerOf(response, 'range'), from, length);
      } else if (corrections === MAX_CORRECTIONS) {
        throw await session.refusal(response);
      } else {
        const smaller = await shrunkChunk(response, length, floor);
        if (smaller !== undefined) {
          chunk = smaller;
          traits.bodyLimit = Math.min(traits.bodyLimit ?? smaller, smaller);
          session.follow(response);
          moved = from;
        } else {
          moved = await recoveredOffset(session, response, blob.size, options.signal);
        }
      }
      // A registry that takes a byte at a time, or none, is not served for ever.
      if (moved < from + length && ++corrections > MAX_CORRECTIONS) {
        throw new RegopsError(
          'PROTOCOL_VIOLATION',
          `${session.client.domain} does not get on with an upload`,
        );
      }
      options.onBytes(moved - offset);
      offset = moved;
    }
  } finally {
    cursor.close();
  }
  await session.commit(blob, options.signal);
}

/**
 * Where to go on after a chunk was accepted. The `Range` is believed when it moves on within what was sent;
 * ECR and old zot leave it stuck although the bytes are stored, and distribution's `0-0` may mean nothing
 * or one byte: then the bytes sent count, and the final digest judges. Pure.
 */
export function nextOffset(range: string | undefined, from: number, length: number): number {
  const reached = rangeEnd(range);
  return reached !== undefined && reached > Math.max(from, 1) && reached <= from + length
    ? reached
    : from + length;
}

/** The offset after a `Range: 0-N` (some write `bytes=0-N`); undefined when it is something else. */
function rangeEnd(range: string | undefined): number | undefined {
  const match = /^(?:bytes[= ])?0-(\d{1,15})$/.exec(range?.trim() ?? '');
  return match ? Number(match[1]) + 1 : undefined;
}

/** A smaller chunk when the answer says that the last one, of `length` bytes, was too large; else undefined. */
async function shrunkChunk(
  response: HttpResponse,
  length: number,
  floor: number,
): Promise<number | undefined> {
  if (response.status === 413) {
    if (length <= floor) return undefined;
    await discardBody(response);
    return Math.max(floor, Math.floor(length / 2));
  }
  if (response.status === 416 && length > GHCR_CHUNK && headerOf(response, 'range') === undefined) {
    const { message } = await readComplaint(response);
    return /too large|too big|exceed/i.test(message) ? GHCR_CHUNK : undefined;
  }
  return undefined;
}

/** After a 416: asks the registry how far it is and goes on from there; everything else ends the session. */
async function recoveredOffset(
  session: UploadSession,
  response: HttpResponse,
  size: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  if (response.status !== 416) throw await session.refusal(response);
  await discardBody(response);
  session.follow(response);
  const status = await session.status(signal);
  if (status.status !== 204 && status.status !== 202) throw await session.refusal(status);
  await discardBody(status);
  session.follow(status);
  const reached = rangeEnd(headerOf(status, 'range')) ?? 0;
  // Right after the start `0-0` is how distribution says that there is nothing yet.
  const offset = reached <= 1 ? 0 : reached;
  if (offset > size) {
    // Another's bytes, or ours twice: only a new session helps.
    throw new RegopsError('UPLOAD_REJECTED', `${session.client.domain} holds more bytes than the blob has`, {
      details: { status: response.status },
    });
  }
  return offset;
}

/**
 * Reads a blob piece by piece over one stream. Going back, or going on after a piece that was not read to
 * its end, opens the blob again and skips to the offset.
 */
class BlobCursor {
  readonly #blob: KnownBlob;
  #reader: PieceReader | undefined;

  constructor(blob: KnownBlob) {
    this.#blob = blob;
  }

  /** A stream of `length` bytes from `offset` on; one at a time. */
  read(offset: number, length: number): Readable {
    return Readable.from(this.#piece(offset, length), { objectMode: false });
  }

  close(): void {
    this.#reader?.close();
  }

  async *#piece(offset: number, length: number): AsyncGenerator<Buffer> {
    let reader = this.#reader;
    this.#reader = undefined;
    try {
      if (reader?.position !== offset) {
        reader?.close();
        reader = await PieceReader.open(this.#blob);
        for await (const _ of reader.take(offset)) {
          // bytes before the offset are dropped
        }
      }
      yield* reader.take(length);
      this.#reader = reader;
    } finally {
      if (this.#reader !== reader) reader?.close();
    }
  }
}

/** One pass over a blob, checked against its digest. */
class PieceReader {
  readonly #stream: Readable;
  readonly #iterator: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  position = 0;

  private constructor(stream: Readable) {
    this.#stream = stream;
    this.#iterator = stream[Symbol.asyncIterator]();
  }

  static async open(blob: KnownBlob): Promise<PieceReader> {
    const checked = verifyingStream(blob, `blob ${blob.digest}`);
    pipeline(await blob.open(), checked, () => {});
    return new PieceReader(checked);
  }

  async *take(length: number): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0; ) {
      if (this.#rest.length === 0) {
        const next = await this.#iterator.next();
        if (next.done) throw new RegopsError('SIZE_MISMATCH', `a blob ended ${missing} bytes early`);
        this.#rest = next.value;
      }
      const piece = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(piece.length);
      this.position += piece.length;
      missing -= piece.length;
      yield piece;
    }
  }

  close(): void {
    this.#stream.destroy();
  }
}
