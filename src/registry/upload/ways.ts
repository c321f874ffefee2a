import { finished } from 'node:stream/promises';
import { isRegopsError } from '../../base/index.ts';
import type { RegistryClient } from '../client.ts';
import { registryCodeOf, statusOf } from '../failure.ts';
import type { RegistryTraits } from '../traits.ts';
import { type Chunking, SMALLEST_CHUNK, uploadChunked } from './chunked.ts';
import { type PassingPieces, type PieceReader, pieceReader } from './pieces.ts';
import type { UploadSession } from './session.ts';
import type { BlobFacts, KnownBlob, LastingBlob, UploadSource } from './source.ts';
import { type TransferOptions, uploadStreamed, uploadWhole } from './whole.ts';

/** Fewer bytes than these are sent again sooner than it is asked, or noted, how far they got. */
export const WORTH_RESUMING = 4 * 1024 * 1024;
/** Chunks to begin with where a whole blob is too large: below Cloudflare's lowest limit of 100 MB. */
const FIRST_CHUNK = 64 * 1024 * 1024;
/** The same for a blob that comes into being: its chunks are held in memory. */
const HELD_CHUNK = 16 * 1024 * 1024;
/** The same for what passes, which goes in chunks from the start. */
export const PASSING_CHUNK = 8 * 1024 * 1024;
/** So many broken connections say that this blob does not get through in one request. */
const DROPS_UNTIL_CHUNKS = 2;

/** One of the three ways to send a blob. */
export interface Way {
  readonly name: 'whole' | 'as a stream' | 'in chunks';
  send(session: UploadSession, transfer: TransferOptions): Promise<BlobFacts>;
}

/** What is known of an upload when a way is chosen for it. */
export interface UploadState {
  /** What the user wants chunks to be at most. */
  readonly chunkSize: number | undefined;
  /** Bytes that the session has already. */
  readonly from: number;
  /** Connections that broke under this blob. */
  readonly drops: number;
}

/** False for a blob that is sent again sooner than asked for. */
export function mayBeLarge(source: LastingBlob): boolean {
  return source.kind === 'streamed' || source.size >= WORTH_RESUMING;
}

/** How to send a blob next: in one request where nothing speaks against it. Pure. */
export function chooseWay(source: LastingBlob, traits: RegistryTraits, state: UploadState): Way {
  const { from, drops, chunkSize: wanted } = state;
  const limit = Math.min(wanted ?? Number.POSITIVE_INFINITY, traits.bodyLimit ?? Number.POSITIVE_INFINITY);
  const isLimited = source.kind === 'streamed' ? Number.isFinite(limit) : source.size > limit;
  const needsChunks = isLimited || (drops >= DROPS_UNTIL_CHUNKS && mayBeLarge(source));
  if (from > 0 || (needsChunks && !traits.chunksRefused)) {
    const most = source.kind === 'streamed' || drops > 0 ? HELD_CHUNK : FIRST_CHUNK;
    const chunkSize = isLimited && source.kind === 'known' ? limit : Math.min(limit, most);
    return {
      name: 'in chunks',
      send: (session, transfer) => sendChunks(session, source, { chunkSize, from }, transfer),
    };
  }
  if (source.kind === 'streamed' || traits.wholePutRefused) {
    return { name: 'as a stream', send: (session, transfer) => uploadStreamed(session, source, transfer) };
  }
  return {
    name: 'whole',
    async send(session, transfer) {
      await uploadWhole(session, source, transfer);
      return source;
    },
  };
}

/**
 * How to send what passes: in chunks, so that what breaks off can be gone on with. Undefined where there can be none,
 * or too large ones for memory. Pure.
 */
export function passingWay(
  pieces: PassingPieces,
  traits: RegistryTraits,
  { from, chunkSize = PASSING_CHUNK }: UploadState,
  chunkMinimum: number,
): Way | undefined {
  if (traits.chunksRefused || chunkMinimum > FIRST_CHUNK) return undefined;
  const chunking = { from, chunkSize: Math.min(chunkSize, HELD_CHUNK, traits.bodyLimit ?? HELD_CHUNK) };
  return {
    name: 'in chunks',
    send: (session, transfer) => uploadChunked(session, pieces, chunking, transfer),
  };
}

/**
 * Remembers what a refusal says about the way a blob was sent, so that {@link chooseWay} takes another one.
 *
 * @param chunkSize what the user wants chunks to be: told once when there can be none
 * @returns what is done instead; undefined when the refusal says nothing about the way
 */
export function refusedWay(
  way: Way['name'],
  error: unknown,
  source: UploadSource,
  { traits, domain, log }: RegistryClient,
  chunkSize: number | undefined,
): string | undefined {
  const status = statusOf(error);
  const isUnsupported = isRegopsError(error, 'UNSUPPORTED_BY_SERVER');
  // A 404 with a code is about the session or the repository, not about the PUT.
  if (way === 'whole' && (isUnsupported || (status === 404 && registryCodeOf(error) === undefined))) {
    traits.wholePutRefused = true;
    return 'refused, blobs are streamed';
  }
  if (way === 'in chunks' && isUnsupported) {
    if (!traits.chunksRefused && chunkSize !== undefined) {
      log.warn(
        `${domain} takes no uploads in chunks: every blob goes in one request (leave out --chunk-size there)`,
      );
    }
    traits.chunksRefused = true;
    return 'refused, blobs go in one request';
  }
  const size = source.kind === 'known' ? source.size : HELD_CHUNK * 2;
  if (way !== 'in chunks' && !traits.chunksRefused && status === 413 && size > SMALLEST_CHUNK) {
    const half = Math.max(SMALLEST_CHUNK, Math.floor(size / 2));
    traits.bodyLimit = Math.min(traits.bodyLimit ?? FIRST_CHUNK, half);
    return 'refused, it goes in chunks';
  }
  return undefined;
}

/** Chunks larger than may be held in memory need a known blob: one that comes into being is made once to measure it. */
async function sendChunks(
  session: UploadSession,
  source: LastingBlob,
  chunking: Chunking,
  transfer: TransferOptions,
): Promise<BlobFacts> {
  if (source.kind === 'known' || session.chunkMinimum <= FIRST_CHUNK) {
    return sendPieces(session, pieceReader(source), chunking, transfer);
  }
  const { stream, result } = source.open();
  await finished(stream.resume(), { ...(transfer.signal ? { signal: transfer.signal } : {}) });
  const known: KnownBlob = { kind: 'known', ...result(), open: () => source.open().stream };
  return sendPieces(session, pieceReader(known), chunking, transfer);
}

async function sendPieces(
  session: UploadSession,
  reader: PieceReader,
  chunking: Chunking,
  transfer: TransferOptions,
): Promise<BlobFacts> {
  try {
    return await uploadChunked(session, reader, chunking, transfer);
  } finally {
    reader.close();
  }
}
