import { type Chunks, MAGIC_BYTES } from './compression.ts';
import { invalidArchive } from './failures.ts';
import { TAR_BLOCK_BYTES } from './tar-header.ts';
import type { TarMember } from './tar-index.ts';
import { cutShortIn, type PassingBytes, type ScanOptions, scanTar, type TarBytes } from './tar-scan.ts';

/** A regular file of a tar, at the moment when it passes. */
export interface PassingFile {
  /** Normalised. */
  readonly name: string;
  readonly size: number;
  /** Its first bytes: enough to tell what it is by. */
  readonly head: Buffer;
  /** Its bytes, once, before this file has been dealt with; what is not read then is dropped. */
  bytes(): AsyncGenerator<Buffer>;
}

/** As many first bytes as {@link PassingFile.head} has, unless the file is shorter. */
const HEAD_BYTES = Math.max(TAR_BLOCK_BYTES, MAGIC_BYTES);
/** What stays of bytes that are passed over: as far as a scan may look back. */
const LOOK_BACK_BYTES = 2 * TAR_BLOCK_BYTES;

/**
 * Lets a plain tar pass without a copy of it anywhere: each regular file is offered in its turn, for who can use it at
 * once and knows it by its name. Ends when the source does: who writes it is not cut off.
 *
 * @param what names the tar in errors
 * @throws ARCHIVE_INVALID for what is broken or cut short, ARCHIVE_UNSUPPORTED for sparse files, what the source
 *   throws, and what `take` does
 */
export async function passTar(
  tar: Chunks,
  what: string,
  take: (file: PassingFile) => Promise<void>,
  options: ScanOptions = {},
): Promise<void> {
  const passing = new PassingTar(tar, what, async (file) => {
    await take(file);
    return { kind: 'other' };
  });
  try {
    await scanTar(passing, options);
    if (passing.size === 0) throw invalidArchive(what, 'it is empty');
    await passing.end();
  } finally {
    await passing.close();
  }
}

/** A tar as a stream: bytes are there once, and bodies go to who takes them. */
export class PassingTar implements TarBytes, PassingBytes {
  readonly path: string;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #take: (file: PassingFile) => Promise<TarMember>;
  /** Bytes that were read from the stream, and where they begin. */
  #held: Buffer = Buffer.alloc(0);
  #heldAt = 0;

  constructor(tar: Chunks, path: string, take: (file: PassingFile) => Promise<TarMember>) {
    this.path = path;
    this.#chunks = tar[Symbol.asyncIterator]();
    this.#take = take;
  }

  get size(): number {
    return this.#heldAt + this.#held.length;
  }

  get passing(): PassingBytes {
    return this;
  }

  async read(position: number, length: number): Promise<Buffer> {
    this.#letGo(position);
    await this.#hold(position + length);
    const from = position - this.#heldAt;
    return this.#held.subarray(from, from + length);
  }

  async reach(size: number): Promise<void> {
    while (this.size < size) {
      this.#letGo(this.size - LOOK_BACK_BYTES);
      if (!(await this.#hold(this.size + 1))) return;
    }
  }

  async take({ name, position, size }: Parameters<PassingBytes['take']>[0]): Promise<TarMember> {
    const head = await this.read(position, Math.min(size, HEAD_BYTES));
    const end = position + size;
    const bytes = (): AsyncGenerator<Buffer> => this.#content(name, end);
    const member = await this.#take({ name, size, head, bytes });
    for await (const _ of bytes());
    return member;
  }

  /** Reads what follows the tar. */
  async end(): Promise<void> {
    while (!(await this.#chunks.next()).done);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async *#content(name: string, end: number): AsyncGenerator<Buffer> {
    while (this.#heldAt < end) {
      if (this.#held.length === 0 && !(await this.#hold(this.size + 1))) {
        throw cutShortIn(this.path, name, end - this.size);
      }
      const part = this.#held.subarray(0, end - this.#heldAt);
      this.#letGo(this.#heldAt + part.length);
      yield part;
    }
  }

  /** Holds bytes up to this position; false when there are not so many. */
  async #hold(size: number): Promise<boolean> {
    const parts = [this.#held];
    let length = this.#held.length;
    let ended = false;
    while (!ended && this.#heldAt + length < size) {
      const { done, value } = await this.#chunks.next();
      if (done) ended = true;
      else {
        parts.push(value);
        length += value.length;
      }
    }
    const found = parts.filter((part) => part.length > 0);
    this.#held = found.length === 1 ? (found[0] as Buffer) : Buffer.concat(found);
    return !ended;
  }

  #letGo(position: number): void {
    const bytes = Math.min(position - this.#heldAt, this.#held.length);
    if (bytes <= 0) return;
    this.#held = this.#held.subarray(bytes);
    this.#heldAt += bytes;
  }
}
