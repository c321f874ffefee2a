import type { Readable } from 'node:stream';
import type { Digest } from '../oci/index.ts';
import { invalidArchive, quoted } from './failures.ts';
import { type FileLease, RangeStream } from './random-access-file.ts';

/** A file inside an archive, whatever holds its bytes. */
export interface StoredFile {
  /** Its name in the archive, after links were followed. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Says which bytes these are on this machine and changes when they do; undefined when they will be gone. */
  readonly identity: string | undefined;
  /** What the bytes have turned out to be the layer of, where they have been looked at. */
  readonly diffId?: Digest | undefined;
  /** All bytes, as often as asked for. */
  open(): Readable;
  /** The first bytes, at most `length`; fewer only when the file is shorter. */
  head(length: number): Promise<Buffer>;
}

/** A part of a file: a tar's member, or all of a folder's file. */
export class FileRange implements StoredFile {
  readonly name: string;
  readonly size: number;
  readonly identity: string | undefined;
  readonly #acquire: () => Promise<FileLease>;
  readonly #offset: number;

  constructor(
    name: string,
    place: {
      acquire: () => Promise<FileLease>;
      offset: number;
      size: number;
      identity: string | undefined;
    },
  ) {
    this.name = name;
    this.size = place.size;
    this.identity = place.identity;
    this.#acquire = place.acquire;
    this.#offset = place.offset;
  }

  open(): Readable {
    return new RangeStream(quoted(this.name), this.#acquire, this.#offset, this.size);
  }

  async head(length: number): Promise<Buffer> {
    const lease = await this.#acquire();
    try {
      const wanted = Math.min(length, this.size);
      const bytes = await lease.file.read(this.#offset, wanted);
      if (bytes.length < wanted) throw invalidArchive(lease.file.path, `${quoted(this.name)} became shorter`);
      return bytes;
    } finally {
      await lease.release();
    }
  }
}

/** The named files of an archive. Names never lead out of it. */
export interface ArchiveFiles {
  /** How messages call the archive. */
  readonly path: string;
  /**
   * The regular file of that name, links followed inside the archive; undefined when there is none.
   * Throws ARCHIVE_INVALID for links that run in a circle or lead out of the archive.
   */
  find(name: string): StoredFile | undefined;
  /** Some names that are there, for a message that has to say what was found instead. */
  someNames(): readonly string[];
  close(): Promise<void>;
}

/** The whole of a small file. Throws ARCHIVE_INVALID when it is larger than `limit` bytes. */
export async function readWhole(files: ArchiveFiles, file: StoredFile, limit: number): Promise<Buffer> {
  if (file.size > limit) {
    throw invalidArchive(
      files.path,
      `${quoted(file.name)} has ${file.size} bytes; more than ${limit} is refused`,
    );
  }
  return file.head(file.size);
}

/**
 * A member's name as archives are searched by: no `./`, `//` or trailing `/`. Undefined for a name that
 * is absolute, empty or has `..` in it: such a name is nobody's.
 */
export function normaliseName(name: string): string | undefined {
  if (name.startsWith('/') || name.includes('\0')) return undefined;
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  return parts.length === 0 || parts.includes('..') ? undefined : parts.join('/');
}

/** Where a symlink leads inside the archive; undefined when it is absolute or climbs out. */
export function symlinkTarget(from: string, target: string): string | undefined {
  if (target.startsWith('/')) return undefined;
  const parts = from.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return normaliseName(parts.join('/'));
}
