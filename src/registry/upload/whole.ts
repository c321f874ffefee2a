import { pipeline, type Readable } from 'node:stream';
import { metered, RegopsError } from '../../base/index.ts';
import type { BodyRecipe } from '../../http/index.ts';
import { verifyingStream } from '../../oci/index.ts';
import type { UploadSession } from './session.ts';
import type { BlobFacts, KnownBlob, StreamedBlob } from './source.ts';

export interface TransferOptions {
  readonly signal: AbortSignal | undefined;
  /** Told of bytes as they go out; of a negative number when they have to go out again. */
  readonly onBytes: (bytes: number) => void;
  /** Told after each chunk how many bytes the registry has; the next one waits for it. */
  readonly onStored: (offset: number) => Promise<void>;
  /** Told what a streamed blob became, before it is committed. */
  readonly onKnown: (blob: BlobFacts) => void;
}

/** Uploads a blob of known digest in one PUT: the only way Google's Artifact Registry documents. */
export async function uploadWhole(
  session: UploadSession,
  blob: KnownBlob,
  options: TransferOptions,
): Promise<void> {
  const response = await session.putWhole(blob, verifiedBody(blob, options.onBytes), options.signal);
  await session.accepted(response, blob.digest, options.signal);
}

/**
 * Uploads by a single PATCH without Content-Range, then commits: what docker does, for blobs whose digest
 * is only known at the end and for registries that refuse a whole PUT.
 */
export async function uploadStreamed(
  session: UploadSession,
  source: KnownBlob | StreamedBlob,
  options: TransferOptions,
): Promise<BlobFacts> {
  if (source.kind === 'known') {
    await session.append(verifiedBody(source, options.onBytes), options.signal);
    await session.commit(source, options.signal);
    return source;
  }
  let opened: ReturnType<StreamedBlob['open']> | undefined;
  const count = counter(options.onBytes);
  const open = (): Readable => {
    count.restart();
    opened = source.open();
    return metered(opened.stream, count.add);
  };
  await session.append({ disposable: true, open }, options.signal);
  if (!opened?.stream.readableEnded) {
    throw new RegopsError(
      'PROTOCOL_VIOLATION',
      `${session.client.domain} answered before it had the whole blob`,
    );
  }
  const blob = opened.result();
  options.onKnown(blob);
  await session.commit(blob, options.signal);
  return blob;
}

/** The blob as a body that is checked on its way: a file that changed under us is noticed here. */
function verifiedBody(blob: KnownBlob, onBytes: (bytes: number) => void): BodyRecipe {
  const count = counter(onBytes);
  return {
    size: blob.size,
    disposable: blob.disposable ?? false,
    async open(): Promise<Readable> {
      count.restart();
      const checked = verifyingStream(blob, `blob ${blob.digest}`, count.add);
      pipeline(await blob.open(), checked, () => {});
      return checked;
    },
  };
}

/** Counts a body's bytes; when the body is opened anew (after a 429, or a 401), what was counted is taken back. */
function counter(onBytes: (bytes: number) => void): { restart(): void; add(bytes: number): void } {
  let counted = 0;
  return {
    restart() {
      if (counted > 0) onBytes(-counted);
      counted = 0;
    },
    add(bytes) {
      counted += bytes;
      onBytes(bytes);
    },
  };
}
