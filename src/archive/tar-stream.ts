import { Readable } from 'node:stream';
import { RegopsError } from '../base/index.ts';
import { TAR_BLOCK_BYTES } from './tar-header.ts';

/** A regular file of a tar that is written. */
export interface TarFile {
  /** At most 100 bytes. */
  readonly name: string;
  readonly size: number;
  /** Its bytes, opened when their turn comes; exactly `size` of them. */
  open(): Promise<AsyncIterable<Uint8Array> | Iterable<Uint8Array>>;
}

/** What ustar's eleven octal digits can say. */
const OCTAL_MAX = 8 ** 11 - 1;

/**
 * A ustar archive of regular files (IEEE Std 1003.1, "ustar Interchange Format"), made while it is read: at most one
 * of them is open at a time. The stream fails with what `open` throws, and with SIZE_MISMATCH.
 */
export function tarStream(files: readonly TarFile[]): Readable {
  return Readable.from(chunksOf(files), { objectMode: false });
}

async function* chunksOf(files: readonly TarFile[]): AsyncGenerator<Uint8Array> {
  for (const { name, size, open } of files) {
    yield tarHeader(name, size);
    let seen = 0;
    for await (const chunk of await open()) {
      seen += chunk.length;
      if (seen > size) break;
      yield chunk;
    }
    if (seen !== size) {
      throw new RegopsError(
        'SIZE_MISMATCH',
        `${name}: expected ${size} bytes, got ${seen > size ? 'more' : seen}`,
      );
    }
    const rest = size % TAR_BLOCK_BYTES;
    if (rest > 0) yield Buffer.alloc(TAR_BLOCK_BYTES - rest);
  }
  yield Buffer.alloc(2 * TAR_BLOCK_BYTES);
}

function tarHeader(name: string, size: number): Buffer {
  if (Buffer.byteLength(name) > 100) throw new RegopsError('BUG', `'${name}' is too long for a tar header`);
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  block.write(name, 0);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  writeSize(block, size);
  block.write('00000000000\0', 136);
  block.write('0', 156);
  block.write('ustar\x0000', 257);
  block.write('        ', 148);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** In octal, or for 8 GiB and more in GNU's base-256, which every reader of today knows. */
function writeSize(block: Buffer, size: number): void {
  if (size <= OCTAL_MAX) {
    block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
    return;
  }
  block[124] = 0x80;
  block.writeBigUInt64BE(BigInt(size), 128);
}
