import { createCipheriv, createHash, type Hash, hash as oneShotHash } from 'node:crypto';
import type { Digest } from '../../oci/index.ts';
import type { LayerSize } from './spec.ts';

/** Further than compressors look back by default (zstd's level 19: 8 MiB): a layer that repeats it does not get smaller. */
const POOL_BYTES = 16 * 1024 * 1024;
const BLOCK = 512;
/** What makes a layer differ from all others: the last bytes of its file. */
const UNIQUE_BYTES = 64;
/** Two empty blocks end a tar. */
const TRAILER = Buffer.alloc(2 * BLOCK);

/** A layer without its bytes, which {@link LayerMaker.bytes} gives. */
export interface Layer {
  readonly digest: Digest;
  readonly size: number;
  readonly unique: Uint8Array;
}

/** What all layers of one size begin with, and the state of SHA-256 behind it. */
interface Beginning {
  readonly parts: readonly Uint8Array[];
  readonly hash: Hash;
}

/**
 * Makes layers out of one pool of pseudo-random bytes: plain tars of one file each, that cannot be compressed. All
 * layers of a size are equal up to their last bytes, so the digest of any of them costs the same small time.
 */
export class LayerMaker {
  readonly #seed: number;
  readonly #sizes: readonly LayerSize[];
  readonly #totalWeight: number;
  readonly #beginnings: ReadonlyMap<number, Beginning>;

  /** @param sizes whole blocks, from four on */
  constructor(seed: number, sizes: readonly LayerSize[]) {
    this.#seed = seed;
    this.#sizes = sizes;
    this.#totalWeight = sizes.reduce((total, { weight }) => total + weight, 0);
    const pool = poolOf(seed, Math.min(POOL_BYTES, Math.max(...sizes.map(({ bytes }) => bytes))));
    this.#beginnings = new Map(sizes.map(({ bytes }) => [bytes, beginningOf(bytes, pool)]));
  }

  /** The layer with this name: always the same one for a seed. */
  layer(name: string): Layer {
    const unique = oneShotHash('sha512', `${this.#seed}/${name}`, 'buffer');
    const size = this.#sizeBy(unique.readUInt32LE(0) / 2 ** 32);
    const hash = this.#beginning(size).hash.copy().update(unique).update(TRAILER);
    return { digest: `sha256:${hash.digest('hex')}` as Digest, size, unique };
  }

  /** All its bytes; most of them are shared with every other layer and must not be changed. */
  bytes({ size, unique }: Layer): readonly Uint8Array[] {
    return [...this.#beginning(size).parts, unique, TRAILER];
  }

  #beginning(size: number): Beginning {
    return this.#beginnings.get(size) as Beginning;
  }

  /** @param share in [0, 1) */
  #sizeBy(share: number): number {
    let left = share * this.#totalWeight;
    const chosen = this.#sizes.find(({ weight }) => {
      left -= weight;
      return left < 0;
    });
    return (chosen ?? (this.#sizes[0] as LayerSize)).bytes;
  }
}

/** Bytes that only the seed decides and that look random: AES in counter mode of nothing. */
function poolOf(seed: number, length: number): Buffer {
  const key = createHash('sha256').update(`regops synthetic ${seed}`).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

function beginningOf(size: number, pool: Buffer): Beginning {
  const fileBytes = size - BLOCK - TRAILER.length;
  const parts: Uint8Array[] = [tarHeader('synthetic.bin', fileBytes)];
  for (let left = fileBytes - UNIQUE_BYTES; left > 0; left -= pool.length) parts.push(pool.subarray(0, left));
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return { parts, hash };
}

/** The header of a regular file of root's, of 1970 (POSIX.1-1988 ustar). */
function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number, at: number): void => {
    header.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  };
  header.write(name, 0, 'latin1');
  octal(0o644, 7, 100);
  octal(0, 7, 108);
  octal(0, 7, 116);
  octal(size, 11, 124);
  octal(0, 11, 136);
  // The checksum is taken with spaces in its place; type 0 is a regular file.
  header.write('        0', 148, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  octal(
    header.reduce((total, byte) => total + byte, 0),
    6,
    148,
  );
  header[154] = 0;
  return header;
}
