import { backoffDelayMs, RegopsError } from '../../base/index.ts';
import { discardBody, type HttpResponse, headerOf } from '../../http/index.ts';
import { readComplaint } from '../failure.ts';
import type { PieceReader } from './pieces.ts';
import { bytesStored, rangeEnd, type UploadSession } from './session.ts';
import type { BlobFacts } from './source.ts';
import type { TransferOptions } from './whole.ts';

/** Chunks shrink no further than this, whoever finds them too large. */
export const SMALLEST_CHUNK = 1024 * 1024;
/** GHCR answers 416 "request body too large" above this, whatever the range. */
const GHCR_CHUNK = 4 * 1024 * 1024;
const MAX_CORRECTIONS = 10;
const STANDSTILL = { baseMs: 200, capMs: 5000 } as const;

/** Where chunks begin and how large they are. */
export interface Chunking {
  readonly chunkSize: number;
  /** Bytes that the session has already. */
  readonly from: number;
}

/**
 * Uploads a blob in chunks (distribution spec, "Pushing a blob in chunks"): for proxies that limit a
 * request's size, and to go on with an upload that broke off. Chunks shrink when the other side says they are
 * too large, and the upload goes on from where the registry says it is.
 */
export async function uploadChunked(
  session: UploadSession,
  reader: PieceReader,
  chunking: Chunking,
  options: TransferOptions,
): Promise<BlobFacts> {
  const { traits, clock, domain } = session.client;
  const floor = Math.max(SMALLEST_CHUNK, session.chunkMinimum);
  let chunk = Math.max(chunking.chunkSize, session.chunkMinimum, 1);
  let offset = chunking.from;
  let furthest = offset;
  let corrections = 0;
  for (;;) {
    const piece = await reader.piece(offset, chunk);
    if (!piece) break;
    const end = offset + piece.size;
    const response = await session.patch(piece, [offset, end - 1], options.signal);
    const isRefused = response.status < 200 || response.status >= 300;
    if (isRefused && corrections === MAX_CORRECTIONS) throw await session.refusal(response);
    const smaller = isRefused ? await shrunkChunk(response, piece.size, floor) : undefined;
    let moved = offset;
    if (smaller !== undefined) {
      chunk = smaller;
      traits.bodyLimit = Math.min(traits.bodyLimit ?? smaller, smaller);
      session.follow(response);
    } else if (isRefused) {
      moved = await recoveredOffset(session, response, end, options.signal);
      // A request that was cut off may still be at work over there: it is given time to be noticed.
      if (moved === offset) await clock.sleep(backoffDelayMs(corrections + 1, STANDSTILL), options.signal);
    } else {
      await discardBody(response);
      session.follow(response);
      moved = nextOffset(headerOf(response, 'range'), offset, piece.size);
    }
    // A registry that takes a byte at a time, or none, is not served for ever.
    if (moved < end && ++corrections > MAX_CORRECTIONS) {
      throw new RegopsError('PROTOCOL_VIOLATION', `${domain} does not get on with an upload`);
    }
    if (moved === end && end > furthest) corrections = 0;
    furthest = Math.max(furthest, moved);
    options.onBytes(moved - offset);
    offset = moved;
    await options.onStored(offset);
  }
  const blob = reader.facts();
  options.onKnown(blob);
  await session.commit(blob, options.signal);
  return blob;
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
  sentUpTo: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  if (response.status !== 416) throw await session.refusal(response);
  await discardBody(response);
  session.follow(response);
  const status = await session.status(signal);
  if (status.status !== 204 && status.status !== 202) throw await session.refusal(status);
  await discardBody(status);
  session.follow(status);
  const offset = bytesStored(headerOf(status, 'range')) ?? 0;
  if (offset > sentUpTo) {
    // Another's bytes, or ours twice: only a new session helps.
    throw new RegopsError('UPLOAD_REJECTED', `${session.client.domain} holds more bytes than were sent`, {
      details: { status: response.status },
    });
  }
  return offset;
}
