import { pipeline, Readable } from 'node:stream';
import { RegopsError } from '../../base/index.ts';
import { verifyingStream } from '../../oci/index.ts';
import {
  type BlobFacts,
  bytesSource,
  type KnownBlob,
  type LastingBlob,
  type PassingBlob,
  type StreamedBlob,
} from './source.ts';

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

/** Reads what can be read again. Pieces of a {@link StreamedBlob} are held in memory, since their size has to be known first. */
export function pieceReader(source: LastingBlob): PieceReader {
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
  readonly #blob: Pick<StreamedBlob, 'open'>;
  #opened: ReturnType<StreamedBlob['open']> | undefined;
  #pass: Pass | undefined;
  /** What is in memory, and the offset at which it begins. */
  #held: Buffer[] = [];
  #heldAt = 0;

  constructor(blob: Pick<StreamedBlob, 'open'>) {
    this.#blob = blob;
  }

  /** Offset of the first byte that can be read without another pass. */
  get from(): number {
    return this.#heldAt;
  }

  async piece(offset: number, length: number): Promise<Piece | undefined> {
    const bytes = cut(await this.#upTo(offset, length), length);
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

  /** All bytes, from the first one on. */
  async *rest(): AsyncGenerator<Buffer> {
    const pass = await this.#passAt(0);
    const held = this.#held;
    this.#held = [];
    yield* held;
    yield* pass.take(Number.POSITIVE_INFINITY);
  }

  /** All bytes, when they turn out to be no more than so many. */
  async whole(most: number): Promise<Buffer | undefined> {
    const held = await this.#upTo(0, most + 1);
    return lengthOf(held) <= most ? Buffer.concat(held) : undefined;
  }

  /** Holds bytes from the offset on: so many, or as many as there are. */
  async #upTo(offset: number, length: number): Promise<Buffer[]> {
    const pass = await this.#passAt(offset);
    for await (const chunk of pass.take(offset + length - pass.position)) this.#held.push(chunk);
    return this.#held;
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

/** Bytes that are read ahead of a blob that passes, while a piece of it is sent. */
const READ_AHEAD = 8 * 1024 * 1024;

/**
 * Pieces of a blob whose bytes are there once. What has been sent is held until the next piece is asked for: up to
 * there a try can be gone on with, and as long as that is the first piece, also begun anew.
 */
export class PassingPieces implements PieceReader {
  readonly #blob: PassingBlob;
  readonly #pieces: HeldPieces;

  constructor(blob: PassingBlob) {
    this.#blob = blob;
    this.#pieces = new HeldPieces({
      open: () => {
        const { stream, result } = blob.open();
        return { stream: Readable.from(stream, { objectMode: false, highWaterMark: READ_AHEAD }), result };
      },
    });
  }

  /** No byte has passed for good. */
  get isWhole(): boolean {
    return this.#pieces.from === 0;
  }

  /** Throws UPLOAD_REJECTED also for an offset before what is held. */
  async piece(offset: number, length: number): Promise<Piece | undefined> {
    if (offset < this.#pieces.from) {
      throw new RegopsError('UPLOAD_REJECTED', 'the registry wants bytes that it had taken already');
    }
    return this.#pieces.piece(offset, length);
  }

  facts(): BlobFacts {
    return this.#pieces.facts();
  }

  /** A blob of at most so many bytes, from memory: it can be sent in any way. */
  async small(most: number): Promise<KnownBlob | undefined> {
    const bytes = await this.#pieces.whole(most);
    return bytes && bytesSource(bytes, this.facts().digest);
  }

  /** Puts the whole blob where it can be read again. */
  keep(): Promise<KnownBlob> {
    return this.#blob.keep(this.#pieces.rest());
  }

  close(): void {
    this.#pieces.close();
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
