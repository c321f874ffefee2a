import { RegopsError } from '../base/index.ts';

/** Where a process wrote. */
export type OutputStream = 'stdout' | 'stderr';

/** A piece of what a process wrote. */
export interface OutputPiece {
  readonly stream: OutputStream;
  readonly bytes: Buffer;
}

const HEADER_BYTES = 8;
/** moby's pkg/stdcopy: 0 is what went in (echoed by nobody), 3 is the engine's own error text. */
const STREAMS: readonly (OutputStream | undefined)[] = ['stdout', 'stdout', 'stderr', 'stderr'];

/**
 * Takes apart the two output streams of a process without a terminal, which the engine sends as one (Engine API,
 * "Stream format"): frames of a type, a length and so many bytes. What it has seen of a frame it gives at
 * once, so that no frame is ever held whole.
 */
export class Demultiplexer {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerSeen = 0;
  #stream: OutputStream = 'stdout';
  #missing = 0;

  /** The pieces that a chunk holds. Throws PROTOCOL_VIOLATION when it is no such stream. */
  *feed(chunk: Buffer): Generator<OutputPiece> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#missing === 0) {
        const taken = chunk.copy(
          this.#header,
          this.#headerSeen,
          offset,
          offset + HEADER_BYTES - this.#headerSeen,
        );
        offset += taken;
        this.#headerSeen += taken;
        if (this.#headerSeen === HEADER_BYTES) this.#begin();
        continue;
      }
      const bytes = chunk.subarray(offset, offset + this.#missing);
      offset += bytes.length;
      this.#missing -= bytes.length;
      yield { stream: this.#stream, bytes };
    }
  }

  /** True between two frames: a stream that ends elsewhere was cut. */
  get whole(): boolean {
    return this.#missing === 0 && this.#headerSeen === 0;
  }

  #begin(): void {
    const stream = STREAMS[this.#header[0] as number];
    if (stream === undefined || this.#header.readUIntBE(1, 3) !== 0) {
      throw new RegopsError('PROTOCOL_VIOLATION', "the engine's output stream is not in its stream format", {
        hints: ['Does the container have a terminal (docker run -t)? Then its output is one stream.'],
      });
    }
    this.#stream = stream;
    this.#missing = this.#header.readUInt32BE(4);
    this.#headerSeen = 0;
  }
}
