/**
 * Finds where a zstd frame ends without decompressing it (RFC 8878, section 3). Node's decompressor
 * stops after the first frame and silently drops the rest, but pzstd, zstd:chunked and `cat a.zst b.zst`
 * make files of many frames.
 */

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;

/** Bytes of the dictionary ID and of the content size, by the flags of the frame header descriptor. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;

/** True when the bytes begin a frame of data or a skippable frame. */
export function isZstdMagic(bytes: Buffer): boolean {
  if (bytes.length < 4) return false;
  const magic = bytes.readUInt32LE(0);
  return magic === FRAME_MAGIC || (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
}

/** Follows one frame through the chunks it is spread over. */
export class ZstdFrameScanner {
  readonly #field = Buffer.alloc(4);
  #fieldLength = 4;
  #filled = 0;
  #skip = 0;
  #decide: () => void = () => this.#magic();
  #checksumBytes = 0;
  #last = false;

  /** True when the frame's last byte has been seen. */
  get ended(): boolean {
    return this.#last && this.#skip === 0;
  }

  /**
   * Takes the bytes from `start` on and gives the offset behind those that belong to this frame: the
   * chunk's length unless the frame ends in it. Throws a plain Error when they are no zstd frame.
   */
  scan(chunk: Buffer, start: number): number {
    let at = start;
    while (at < chunk.length && !this.ended) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
      } else {
        this.#field[this.#filled++] = chunk[at++] ?? 0;
        if (this.#filled === this.#fieldLength) {
          this.#filled = 0;
          this.#decide();
        }
      }
    }
    return at;
  }

  #expect(bytes: number, decide: () => void): void {
    this.#fieldLength = bytes;
    this.#decide = decide;
  }

  #magic(): void {
    if (!isZstdMagic(this.#field)) throw new Error('what follows is no zstd frame');
    if (this.#field.readUInt32LE(0) === FRAME_MAGIC) this.#expect(1, () => this.#descriptor());
    else this.#expect(4, () => this.#skippableSize());
  }

  #skippableSize(): void {
    this.#skip = this.#field.readUInt32LE(0);
    this.#last = true;
  }

  #descriptor(): void {
    const descriptor = this.#field[0] ?? 0;
    const singleSegment = (descriptor & 0x20) !== 0;
    const contentSize = CONTENT_SIZE_BYTES[(descriptor >> 6) as 0 | 1 | 2 | 3];
    this.#checksumBytes = descriptor & 0x04 ? 4 : 0;
    // Window descriptor, dictionary ID, content size: a single segment has a size byte in place of the first.
    this.#skip =
      (singleSegment ? 0 : 1) +
      DICTIONARY_ID_BYTES[(descriptor & 0x03) as 0 | 1 | 2 | 3] +
      (singleSegment && contentSize === 0 ? 1 : contentSize);
    this.#expect(3, () => this.#block());
  }

  #block(): void {
    const header = this.#field.readUIntLE(0, 3);
    const type = (header >> 1) & 0x03;
    if (type === 3) throw new Error('reserved zstd block type');
    const runLength = type === 1;
    this.#last = (header & 1) !== 0;
    this.#skip = (runLength ? 1 : header >> 3) + (this.#last ? this.#checksumBytes : 0);
  }
}
