import { Readable } from 'node:stream';
import {
  type LayerCache,
  type PackableLayer,
  type PackedLayer,
  packedFacts,
  packLayer,
  type TemporaryCopy,
  temporaryCopy,
} from '../archive/index.ts';
import { isRegopsError, metered } from '../base/index.ts';
import type { Digest, LayerCompression } from '../oci/index.ts';
import {
  type PassingBlob,
  type PushedBlob,
  pushBlob,
  type RegistryClient,
  type UploadJournal,
  uploadBlob,
} from '../registry/index.ts';
import { mountCandidates } from './mount-candidates.ts';

/** Where what passes is sent, and what is known from earlier. */
export interface PassingTarget {
  readonly client: RegistryClient;
  readonly repository: string;
  readonly cache: LayerCache;
  readonly journal: UploadJournal | undefined;
  readonly chunkSize?: number | undefined;
  readonly signal: AbortSignal;
}

/** A layer's stored bytes, which are there once; who knows which layer it is may say so. */
export interface PassingLayer extends Omit<PackableLayer, 'open' | 'identity'> {
  bytes(): AsyncIterable<Buffer>;
}

/** What became of something that passed. */
export interface PushedPassing extends PushedBlob {
  readonly sentBytes: number;
}

/**
 * Packs a layer and sends it while it passes, unless its diffID was said and the registry has what it was packed to
 * before. Its diffID is verified or, when nobody has said it, found.
 *
 * @param onBytes told of its bytes as they are read
 * @throws DIGEST_MISMATCH, what the bytes throw, and what the registry says; then `hasPassed` tells whether it could
 *   have been sent again
 */
export async function pushPassingLayer(
  layer: PassingLayer,
  packing: { readonly compression: LayerCompression; readonly level?: number | undefined },
  target: PassingTarget,
  onBytes: (bytes: number) => void,
): Promise<PushedPassing & { readonly diffId: Digest | undefined }> {
  const { bytes, ...source } = layer;
  const packed = packLayer({ ...source, open: () => metered(streamOf(bytes()), onBytes) }, packing);
  const pushed =
    (await findLayer(packed, target)) ??
    (await sendPassing(
      {
        contentName: packed.cacheKey ?? packed.facts?.digest,
        open: () => packed.open(),
        result: () => packedFacts(packed),
      },
      target,
    ));
  if (pushed.status === 'uploaded' && packed.cacheKey) {
    const { digest, size } = pushed;
    target.cache.set(packed.cacheKey, { digest, size });
  }
  return { ...pushed, diffId: packed.diffId };
}

/** Bytes that are there once, on their way to a registry. */
export interface PassingBytes {
  readonly contentName?: string | undefined;
  /** Called at most once. */
  open(): Readable;
  /** Asked when the stream has ended well. */
  result(): { readonly digest: Digest; readonly size: number };
}

/** Sends a blob while it passes. Throws as {@link pushPassingLayer} does. */
export async function sendPassing(blob: PassingBytes, target: PassingTarget): Promise<PushedPassing> {
  const { client, repository, journal, chunkSize, signal } = target;
  const copies: TemporaryCopy[] = [];
  const source: PassingBlob = {
    kind: 'passing',
    contentName: blob.contentName,
    open: () => ({ stream: blob.open(), result: () => blob.result() }),
    async keep(bytes) {
      const copy = await temporaryCopy(bytes);
      copies.push(copy);
      return { kind: 'known', ...blob.result(), disposable: true, open: () => copy.open() };
    },
  };
  try {
    const uploaded = await uploadBlob(client, repository, source, { signal, journal, chunkSize });
    return { ...uploaded, status: 'uploaded', sentBytes: uploaded.size - (uploaded.resumedBytes ?? 0) };
  } finally {
    for (const copy of copies) await copy.close();
  }
}

/** What the registry has of a layer, as far as it is known what that is; undefined when it has to be sent. */
export async function findLayer(
  { facts, cacheKey }: Pick<PackedLayer, 'facts' | 'cacheKey'>,
  target: PassingTarget,
): Promise<PushedPassing | undefined> {
  const known = facts ?? (cacheKey && target.cache.get(cacheKey));
  try {
    return known && (await findBlob(known, target));
  } catch (error) {
    if (facts || !cacheKey || !isRegopsError(error, 'PROTOCOL_VIOLATION')) throw error;
    // The registry and the cache contradict each other: the layer itself says who is right.
    target.cache.forget(cacheKey);
    return undefined;
  }
}

/** A blob that the registry has, in the repository or in one that it was seen in; undefined when it has to be sent. */
export async function findBlob(
  known: { readonly digest: Digest; readonly size: number },
  { client, repository, cache, signal }: PassingTarget,
): Promise<PushedPassing | undefined> {
  const there = await pushBlob(client, repository, known, undefined, {
    signal,
    ...mountCandidates(cache, client, known.digest),
  });
  return there && { ...there, sentBytes: 0 };
}

function streamOf(bytes: AsyncIterable<Buffer>): Readable {
  return Readable.from(bytes, { objectMode: false });
}
