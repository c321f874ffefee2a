import { randomBytes } from 'node:crypto';
import { type FileHandle, open, statfs, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';
import type { Digest } from '../oci/index.ts';
import { type Chunks, MAGIC_BYTES } from './compression.ts';
import { quoted } from './failures.ts';
import type { PassingFile } from './passing-tar.ts';
import { CHUNK_BYTES, RandomAccessFile, RangeStream } from './random-access-file.ts';
import type { StoredFile } from './stored-file.ts';
import type { TarFile, TarMember } from './tar-index.ts';

/** A file of an archive that is elsewhere by now. */
export interface SentFile {
  /** Its bytes as they were in the archive. */
  open(): Readable;
  readonly identity?: string | undefined;
  readonly diffId?: Digest | undefined;
}

/** Takes a file of an archive while it passes; undefined, with nothing of it read, when it must be kept here. */
export type SendAhead = (file: PassingFile) => Promise<SentFile | undefined>;

/**
 * What is kept in memory of an archive that is sent ahead: all that is read at once anyway, and layers so small that
 * it is better to have them at hand.
 */
const HELD_FILE_BYTES = 8 * 1024 ** 2;
const HELD_BYTES = 32 * 1024 ** 2;
/** Beyond so many, what it takes to know of each is more than what is in it. */
const HELD_FILES = 10_000;

/** From so many bytes on it is asked first whether there is room for them. */
const LARGE_BYTES = 16 * 1024 ** 2;

/**
 * The files of an archive that passes: in a private temporary file, which is gone with the process; or, where somebody
 * takes the large ones ahead, in memory as long as they are few and small.
 */
export class KeptFiles implements TarFile {
  readonly path: string;
  readonly #folder: string;
  readonly #sendAhead: SendAhead | undefined;
  #file: TemporaryFile | undefined;
  #heldFiles = 0;
  #heldBytes = 0;

  private constructor(path: string, folder: string, sendAhead: SendAhead | undefined) {
    this.path = path;
    this.#folder = folder;
    this.#sendAhead = sendAhead;
  }

  /**
   * @param path names the archive in errors
   * @param folder where a temporary file goes; without `sendAhead` it is made at once
   * @throws IO_FAILED
   */
  static async open(path: string, folder: string, sendAhead: SendAhead | undefined): Promise<KeptFiles> {
    const kept = new KeptFiles(path, folder, sendAhead);
    if (!sendAhead) await kept.#temporary();
    return kept;
  }

  /** Takes a file in; throws IO_FAILED, and what sending it does. */
  async take(file: PassingFile): Promise<TarMember> {
    if (!this.#sendAhead) return this.#write(file);
    const isHeld =
      file.size <= HELD_FILE_BYTES &&
      this.#heldBytes + file.size <= HELD_BYTES &&
      this.#heldFiles < HELD_FILES;
    if (isHeld) return { kind: 'elsewhere', file: await this.#hold(file) };
    const head = Buffer.from(file.head.subarray(0, MAGIC_BYTES));
    const sent = await this.#sendAhead(file);
    return sent ? { kind: 'elsewhere', file: sentFile(file, head, sent) } : this.#write(file);
  }

  async read(position: number, length: number): Promise<Buffer> {
    return (await this.#temporary()).reader(this.path).read(position, length);
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  async #hold({ name, size, bytes }: PassingFile): Promise<StoredFile> {
    const chunks: Buffer[] = [];
    for await (const chunk of bytes()) chunks.push(chunk);
    // A copy: a chunk may be a small part of much memory.
    const content = Buffer.concat(chunks);
    this.#heldBytes += size;
    this.#heldFiles++;
    return {
      ...{ name, size, identity: undefined },
      open: () => Readable.from(slices(content), { objectMode: false }),
      head: async (length) => content.subarray(0, length),
    };
  }

  async #write(file: PassingFile): Promise<TarMember> {
    const temporary = await this.#temporary();
    const offset = temporary.size;
    if (file.size >= LARGE_BYTES) await temporary.refuseMoreThanFits(file.size, quoted(file.name));
    for await (const chunk of file.bytes()) await temporary.write(chunk);
    return { kind: 'file', offset, size: file.size };
  }

  async #temporary(): Promise<TemporaryFile> {
    this.#file ??= await TemporaryFile.open(this.#folder);
    return this.#file;
  }
}

function sentFile({ name, size }: PassingFile, head: Buffer, sent: SentFile): StoredFile {
  return {
    ...{ name, size, identity: sent.identity, diffId: sent.diffId },
    open: () => sent.open(),
    head: async (length) => head.subarray(0, length),
  };
}

function* slices(content: Buffer): Generator<Buffer> {
  for (let at = 0; at < content.length; at += CHUNK_BYTES) yield content.subarray(at, at + CHUNK_BYTES);
}

/** Bytes in a private temporary file. */
export interface TemporaryCopy {
  /** Opens them from the first one on, as often as asked. */
  open(): Readable;
  close(): Promise<void>;
}

/**
 * Puts bytes that are there once where they can be read again. Close it when done.
 *
 * @param folder default: the system's for temporary files
 * @throws IO_FAILED, and what the bytes throw
 */
export async function temporaryCopy(bytes: Chunks, folder = tmpdir()): Promise<TemporaryCopy> {
  const temporary = await TemporaryFile.open(folder);
  try {
    for await (const chunk of bytes) await temporary.write(chunk);
    const { size } = temporary;
    const name = 'a temporary copy';
    const lease = { file: temporary.reader(name), release: async () => {} };
    return {
      open: () => new RangeStream(name, async () => lease, 0, size),
      close: () => temporary.close(),
    };
  } catch (error) {
    await temporary.close();
    throw error;
  }
}

/** A file that has lost its name before the first byte is in it: nothing of it stays behind, not even after a crash. */
class TemporaryFile {
  size = 0;
  readonly #handle: FileHandle;
  readonly #folder: string;

  private constructor(handle: FileHandle, folder: string) {
    this.#handle = handle;
    this.#folder = folder;
  }

  /** Throws IO_FAILED. */
  static async open(folder: string): Promise<TemporaryFile> {
    const name = join(folder, `regops-${randomBytes(12).toString('hex')}.tmp`);
    let handle: FileHandle | undefined;
    try {
      handle = await open(name, 'wx+', 0o600);
      await unlink(name);
      return new TemporaryFile(handle, folder);
    } catch (error) {
      await handle?.close();
      throw temporaryFailure(folder, error);
    }
  }

  /** Appends; throws IO_FAILED. */
  async write(chunk: Buffer): Promise<void> {
    try {
      for (let written = 0; written < chunk.length; ) {
        written += (await this.#handle.write(chunk, written)).bytesWritten;
      }
      this.size += chunk.length;
    } catch (error) {
      throw temporaryFailure(this.#folder, error);
    }
  }

  /** Throws IO_FAILED when what claims to be so large cannot be kept here: an archive may claim terabytes. */
  async refuseMoreThanFits(bytes: number, what: string): Promise<void> {
    const { blocks, bavail, bsize } = await statfs(this.#folder).catch((error: unknown) => {
      throw temporaryFailure(this.#folder, error);
    });
    const free = bavail * bsize;
    // Some file systems do not say how large they are.
    if (blocks === 0 || bytes <= free) return;
    throw new RegopsError(
      'IO_FAILED',
      `no space in ${this.#folder} for ${what}, which says it has ${bytes} bytes: ${free} are free`,
      { hints: MORE_ROOM, details: { bytes, free } },
    );
  }

  /** @param path names the file in errors */
  reader(path: string): RandomAccessFile {
    return new RandomAccessFile(this.#handle, path, this.size);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

const MORE_ROOM = [
  'Point TMPDIR to a folder with more room.',
  'A plain tar file given by its path needs no temporary file.',
];

function temporaryFailure(folder: string, error: unknown): RegopsError {
  const full = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemCode(error) ?? '');
  return new RegopsError(
    'IO_FAILED',
    full
      ? `no space left in ${folder} for the decompressed archive`
      : `cannot write a temporary file in ${folder}: ${messageOf(error)}`,
    { cause: error, hints: MORE_ROOM },
  );
}
