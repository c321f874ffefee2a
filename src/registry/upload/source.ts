import { Readable } from 'node:stream';
import type { Digest } from '../../oci/index.ts';

/** What a blob is known by. */
export interface BlobFacts {
  readonly digest: Digest;
  readonly size: number;
}

/** A blob whose digest and size are known before the first byte is sent. */
export interface KnownBlob extends BlobFacts {
  readonly kind: 'known';
  /** True when each opening makes its chunks anew, so that whoever reads them may use them up. */
  readonly disposable?: boolean;
  /** Its bytes from the first one, as often as asked. */
  open(): Readable | Promise<Readable>;
}

/** A blob that comes into being while it is sent (a layer compressed on the way). */
export interface StreamedBlob {
  readonly kind: 'streamed';
  /** Names the bytes: the same name always means the same bytes. Without one no later run can go on with the upload. */
  readonly contentName?: string | undefined;
  /** Makes it anew from the first byte on, for a reader that may use its chunks up; `result` may be asked once the stream has ended well. */
  open(): { readonly stream: Readable; result(): BlobFacts };
}

/** A blob whose bytes are there once: what comes through a pipe. */
export interface PassingBlob {
  readonly kind: 'passing';
  /** As {@link StreamedBlob.contentName}. */
  readonly contentName?: string | undefined;
  /** Its bytes from the first one on; called once. `result` may be asked once the stream has ended well. */
  open(): { readonly stream: Readable; result(): BlobFacts };
  /** Puts them where they can be read again, for a registry that takes no chunks; called once at most. */
  keep(bytes: AsyncIterable<Buffer>): Promise<KnownBlob>;
}

/** What can be read as often as needed. */
export type LastingBlob = KnownBlob | StreamedBlob;

export type UploadSource = LastingBlob | PassingBlob;

/** A blob of a few bytes that is already in memory. */
export function bytesSource(bytes: Uint8Array, digest: Digest): KnownBlob {
  return {
    kind: 'known',
    digest,
    size: bytes.length,
    open: () => Readable.from([bytes], { objectMode: false }),
  };
}
