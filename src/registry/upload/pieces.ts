import { pipeline, Readable } from 'node:stream';
import { RegopsError } from '../../base/index.ts';
import { verifyingStream } from '../../oci/index.ts';
import type { BlobFacts, KnownBlob, StreamedBlob, UploadSource } from './source.ts';

/** Bytes of a blob that go in one request; may be opened again as long as no other piece was asked for. */
export interface Piece {
  readonly size: number;
  open(): Readable;
}

/**
 * Reads a blob piece by piece over one pass. Going back, or going on after a piece that was not read to its
 * end, makes a new pass and skips to the offset.
 */
export interface PieceReader {
  /**
   * At most `length` bytes from `offset` on; undefined where the blob ends. Throws what the source does, DIGEST_MISMATCH
   * and SIZE_MISMATCH when it is not what it promised, UPLOAD_REJECTED when it ends before the offset.
   */
  piece(offset: number, length: number): Promise<Piece | undefined>;
  /** Digest and size; of a blob that comes into being they are known once its end was met. */
  facts(): BlobFacts;
  close(): void;
}

/** Reads any source. Pieces of a {@link StreamedBlob} are held in memory, since their size has to be known first. */
export function pieceReader(source: UploadSource): PieceReader {
  return source.kind === 'known' ? new KnownPieces(source) : new HeldPieces(source);
}

/** Bytes in the order in which they come, as many at a time as are asked for. */
class Pass {
  readonly #stream: Readable;
  readonly #iterator: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  position = 0;

  constructor(stream: Readable) {
    this.#stream = stream;
    this.#iterator = stream[Symbol.asyncIterator]();
  }

  /** The next `length` bytes; fewer when there are no more. */
  async *take(length: number): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0; ) {
      if (this.#rest.length === 0) {
        const next = await this.#iterator.next();
        if (next.done) return;
        this.#rest = next.value;
      }
      const piece = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(piece.length);
      this.position += piece.length;
      missing -= piece.length;
      yield piece;
    }
  }

  /** Lets bytes go by, up to the offset or the end. */
  async skipTo(offset: number): Promise<void> {
    for await (const _ of this.take(offset - this.position)) {
      // dropped
    }
  }

  close(): void {
    this.#stream.destroy();
  }
}

/** Pieces of a blob whose size is known: they go out as they are read. */
class KnownPieces implements PieceReader {
  readonly #blob: KnownBlob;
  #pass: Pass | undefined;

  constructor(blob: KnownBlob) {
    this.#blob = blob;
  }

  async piece(offset: number, length: number): Promise<Piece | undefined> {
    const size = Math.min(length, this.#blob.size - offset);
    if (size <= 0) return undefined;
    return { size, open: () => Readable.from(this.#read(offset, size), { objectMode: false }) };
  }

  facts(): BlobFacts {
    return this.#blob;
  }

  close(): void {
    this.#pass?.close();
  }

  async *#read(offset: number, length: number): AsyncGenerator<Buffer> {
    let pass = this.#pass;
    this.#pass = undefined;
    try {
      if (pass?.position !== offset) {
        pass?.close();
        pass = await this.#begin();
        await pass.skipTo(offset);
      }
      yield* pass.take(length);
      this.#pass = pass;
    } finally {
      if (this.#pass !== pass) pass?.close();
    }
  }

  async #begin(): Promise<Pass> {
    const checked = verifyingStream(this.#blob, `blob ${this.#blob.digest}`);
    pipeline(await this.#blob.open(), checked, () => {});
    return new Pass(checked);
  }
}

/** Pieces of a blob that comes into being: the one that is being sent is kept until the next is asked for. */
class HeldPieces implements PieceReader {
  readonly #blob: StreamedBlob;
  #opened: ReturnType<StreamedBlob['open']> | undefined;
  #pass: Pass | undefined;
  /** What is in memory, and the offset at which it begins. */
  #held: Buffer[] = [];
  #heldAt = 0;

  constructor(blob: StreamedBlob) {
    this.#blob = blob;
  }

  async piece(offset: number, length: number): Promise<Piece | undefined> {
    const pass = await this.#passAt(offset);
    for await (const chunk of pass.take(offset + length - pass.position)) this.#held.push(chunk);
    const bytes = cut(this.#held, length);
    const size = lengthOf(bytes);
    return size === 0 ? undefined : { size, open: () => Readable.from(bytes, { objectMode: false }) };
  }

  facts(): BlobFacts {
    if (!this.#opened?.stream.readableEnded) {
      throw new RegopsError('BUG', 'a blob was not read to its end');
    }
    return this.#opened.result();
  }

  close(): void {
    this.#pass?.close();
  }

  /** The pass, with what is held beginning at the offset. */
  async #passAt(offset: number): Promise<Pass> {
    let pass = this.#pass;
    if (pass === undefined || offset < this.#heldAt) {
      pass?.close();
      this.#opened = this.#blob.open();
      pass = new Pass(this.#opened.stream);
      this.#pass = pass;
      this.#held = [];
      this.#heldAt = 0;
    }
    if (offset > pass.position) {
      this.#held = [];
      await pass.skipTo(offset);
      if (pass.position < offset) {
        throw new RegopsError('UPLOAD_REJECTED', 'the registry holds more bytes than the blob has', {
          details: { status: 416 },
        });
      }
    } else {
      this.#held = after(this.#held, offset - this.#heldAt);
    }
    this.#heldAt = offset;
    return pass;
  }
}

/** The first `length` bytes. */
function cut(chunks: readonly Buffer[], length: number): Buffer[] {
  const taken: Buffer[] = [];
  let missing = length;
  for (const chunk of chunks) {
    if (missing === 0) break;
    const piece = chunk.subarray(0, missing);
    taken.push(piece);
    missing -= piece.length;
  }
  return taken;
}

/** All but the first `length` bytes. */
function after(chunks: readonly Buffer[], length: number): Buffer[] {
  let left = length;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
    return rest.length === 0 ? [] : [rest];
  });
}

function lengthOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}
