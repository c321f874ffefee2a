import { messageOf } from '../base/index.ts';
import type { Chunks } from './compression.ts';
import { invalidArchive, quoted } from './failures.ts';
import {
  decodePax,
  decodePaxSize,
  decodeTarHeader,
  decodeText,
  hasContent,
  type PaxRecords,
  TAR_BLOCK_BYTES,
  type TarHeader,
} from './tar-header.ts';

/** A regular file of a tar, at the moment when it passes. */
export interface PassingFile {
  readonly name: string;
  readonly size: number;
  /** Its bytes, once, before the next file is asked for; what is not read then is dropped. */
  bytes(): AsyncGenerator<Buffer>;
}

const EXTENDED_HEADER_BYTES = 1024 * 1024;

/**
 * The regular files of a plain tar in the order they lie in it, without a copy of it anywhere: for who can use each
 * at once and knows it by its name. Links and folders are passed over.
 *
 * @param what names the tar in errors
 * @throws ARCHIVE_INVALID for what is broken or cut short, and what the source throws
 */
export async function* passingFiles(tar: Chunks, what: string): AsyncGenerator<PassingFile> {
  const cursor = new Cursor(tar, what);
  try {
    let pax: PaxRecords = {};
    let longName: string | undefined;
    for (;;) {
      const block = await cursor.take(TAR_BLOCK_BYTES);
      const header = sound(() => decodeTarHeader(block), what);
      if (!header) break;
      if (header.type === 'x') {
        const content = await extendedHeader(cursor, header, what);
        pax = { ...pax, ...sound(() => decodePax(content), what) };
      } else if (header.type === 'L') {
        longName = decodeText(await extendedHeader(cursor, header, what));
      } else {
        const name = pax.path || longName || header.name;
        const { size: told } = pax;
        const size = told && hasContent(header.type) ? sound(() => decodePaxSize(told), what) : header.size;
        const isFile = (header.type === '0' || header.type === '7') && !name.endsWith('/') && !pax.sparse;
        pax = {};
        longName = undefined;
        cursor.begin(size);
        if (isFile) yield { name, size, bytes: () => cursor.content(name) };
        await cursor.finish(name);
      }
    }
    // What is written behind the end would hold up the one who writes it.
    await cursor.drain();
  } finally {
    await cursor.close();
  }
}

/** A decoder's plain Error, as one of this tar. */
function sound<T>(decode: () => T, what: string): T {
  try {
    return decode();
  } catch (error) {
    throw invalidArchive(what, messageOf(error));
  }
}

async function extendedHeader(cursor: Cursor, { size }: TarHeader, what: string): Promise<Buffer> {
  if (size > EXTENDED_HEADER_BYTES) throw invalidArchive(what, `an extended header of ${size} bytes`);
  const content = await cursor.take(size);
  await cursor.take(padding(size));
  return content;
}

function padding(size: number): number {
  return (TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

/** A place in a stream of chunks. */
class Cursor {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #what: string;
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of the file that passes, still to come; and what fills its last block. */
  #left = 0;
  #padding = 0;

  constructor(tar: Chunks, what: string) {
    this.#chunks = tar[Symbol.asyncIterator]();
    this.#what = what;
  }

  /** So many bytes, in one piece. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      const part = await this.#next(missing, 'a header');
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  begin(size: number): void {
    this.#left = size;
    this.#padding = padding(size);
  }

  async *content(name: string): AsyncGenerator<Buffer> {
    while (this.#left > 0) {
      const part = await this.#next(this.#left, quoted(name));
      this.#left -= part.length;
      yield part;
    }
  }

  async finish(name: string): Promise<void> {
    for await (const _ of this.content(name));
    await this.take(this.#padding);
  }

  async drain(): Promise<void> {
    while (!(await this.#chunks.next()).done);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #next(most: number, within: string): Promise<Buffer> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) throw invalidArchive(this.#what, `it is cut short in ${within}`);
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }
}
