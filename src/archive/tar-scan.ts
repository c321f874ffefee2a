import { messageOf, RegopsError, throwIfAborted } from '../base/index.ts';
import { invalidArchive, quoted } from './failures.ts';
import type { RandomAccessFile } from './random-access-file.ts';
import { normaliseName } from './stored-file.ts';
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
import { TarIndex, type TarMember } from './tar-index.ts';

/** How much of a tar's claims is believed. */
export interface TarLimits {
  /** One extended header or long name (CVE-2025-58183 is the class: headers that grow without bound). */
  readonly extendedHeaderBytes: number;
  /** Headers in one archive. */
  readonly members: number;
  /** All names together. */
  readonly nameBytes: number;
}

export const TAR_LIMITS: TarLimits = {
  extendedHeaderBytes: 1024 * 1024,
  members: 1_000_000,
  nameBytes: 128 * 1024 * 1024,
};

/** The bytes of a tar: a file, or a stream that is read once from its beginning to its end. */
export interface TarBytes {
  /** How messages call it. */
  readonly path: string;
  /** Length in bytes; of a stream, so far. */
  readonly size: number;
  /** The bytes there, fewer than asked for only where it ends. */
  read(position: number, length: number): Promise<Buffer>;
  /** What makes it a stream. */
  readonly passing?: PassingBytes;
}

/** What a stream does that a file need not: its bytes are there once. */
export interface PassingBytes {
  /** Goes on to so many bytes, or to its end. */
  reach(size: number): Promise<void>;
  /** A regular file comes next: what becomes of it. */
  take(file: { readonly name: string; readonly position: number; readonly size: number }): Promise<TarMember>;
}

/** What lies in a tar, by normalised name, and some of the names as they are written. */
export type TarContents = Pick<TarScan, 'members' | 'foundNames'>;

/** Read at once where headers are looked for: bodies that are longer are skipped, not read. */
const WINDOW_BYTES = 64 * 1024;

/**
 * Indexes a tar by its headers alone: reads 64 KiB where headers lie and skips over the bodies, so the
 * time depends on the number of members and not on their sizes.
 *
 * A member that ends behind the file's end is an error; missing end-of-archive blocks are not (many
 * writers leave them out). Throws ARCHIVE_INVALID, ARCHIVE_UNSUPPORTED (sparse members), IO_FAILED,
 * INTERRUPTED.
 */
export async function indexTar(file: RandomAccessFile, options: ScanOptions = {}): Promise<TarIndex> {
  const { members, foundNames } = await scanTar(file, options);
  return new TarIndex(file, members, foundNames);
}

export interface ScanOptions {
  readonly signal?: AbortSignal | undefined;
  readonly limits?: TarLimits | undefined;
}

/** As {@link indexTar}, for what need not be whole yet: it is asked to grow no further than to the tar's end. */
export async function scanTar(tar: TarBytes, { signal, limits }: ScanOptions = {}): Promise<TarContents> {
  const scan = new TarScan(tar, signal, limits ?? TAR_LIMITS);
  await scan.run();
  return scan;
}

const SHOWN_NAMES = 5;

/** One walk from header to header. */
class TarScan {
  readonly members = new Map<string, TarMember>();
  readonly foundNames: string[] = [];
  readonly #file: TarBytes;
  readonly #signal: AbortSignal | undefined;
  readonly #limits: TarLimits;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;
  #position = 0;
  #headers = 0;
  #nameBytes = 0;
  #lastName: string | undefined;
  #globalPax: PaxRecords = {};
  #pax: PaxRecords | undefined;
  #longName: string | undefined;
  #longLink: string | undefined;

  constructor(file: TarBytes, signal: AbortSignal | undefined, limits: TarLimits) {
    this.#file = file;
    this.#signal = signal;
    this.#limits = limits;
  }

  async run(): Promise<void> {
    while (await this.#has(this.#position + 1)) {
      const header = await this.#header(this.#position);
      if (header === undefined) {
        await this.#refuseLoneZeroBlock();
        break;
      }
      if (++this.#headers > this.#limits.members) {
        throw this.#broken(`more than ${this.#limits.members} members`);
      }
      await this.#take(header);
    }
    if ((this.#pax ?? this.#longName ?? this.#longLink) !== undefined) {
      throw this.#broken('it ends after an extended header, before the member that belongs to it');
    }
  }

  async #header(position: number): Promise<TarHeader | undefined> {
    const block = await this.#bytes(position, TAR_BLOCK_BYTES);
    if (block.length < TAR_BLOCK_BYTES) {
      throw this.#headers === 0 ? notATar(this.#file.path) : this.#cutShort('in the middle of a header');
    }
    try {
      return decodeTarHeader(block);
    } catch (error) {
      if (this.#headers === 0) throw notATar(this.#file.path);
      throw this.#broken(`broken header at byte ${position}: ${messageOf(error)}`);
    }
  }

  async #take(header: TarHeader): Promise<void> {
    const start = this.#position + TAR_BLOCK_BYTES;
    switch (header.type) {
      case 'x':
        this.#pax = this.#readPax(await this.#extendedHeader(header, start));
        break;
      case 'g':
        this.#globalPax = {
          ...this.#globalPax,
          ...this.#readPax(await this.#extendedHeader(header, start)),
        };
        break;
      case 'L':
        this.#longName = decodeText(await this.#extendedHeader(header, start));
        break;
      case 'K':
        this.#longLink = decodeText(await this.#extendedHeader(header, start));
        break;
      default:
        await this.#takeMember(header, start);
        return;
    }
    this.#position = start + padded(header.size);
  }

  async #takeMember(header: TarHeader, start: number): Promise<void> {
    const pax = { ...this.#globalPax, ...this.#pax };
    const name = pax.path || this.#longName || header.name;
    const target = pax.linkpath || this.#longLink || header.linkName;
    const size = pax.size && hasContent(header.type) ? this.#paxSize(pax.size) : header.size;
    this.#pax = this.#longName = this.#longLink = undefined;
    if (header.type === 'S' || pax.sparse) {
      throw new RegopsError(
        'ARCHIVE_UNSUPPORTED',
        `${this.#file.path}: ${quoted(name)} is stored as a sparse file`,
        { hints: ['Make the archive without sparse members: tar without -S.'] },
      );
    }
    const normal = this.#remember(name, target);
    let member = memberOf(name, header.type, start, size, target);
    if (member.kind === 'file' && normal !== undefined && this.#file.passing) {
      member = await this.#file.passing.take({ name: normal, position: start, size });
    }
    if (!(await this.#has(start + size))) {
      throw cutShortIn(this.#file.path, name, start + size - this.#file.size);
    }
    if (normal !== undefined) this.members.set(normal, member);
    this.#lastName = name;
    this.#position = start + padded(size);
  }

  /** The name as archives are searched by, if it is one. */
  #remember(name: string, target: string): string | undefined {
    if (this.foundNames.length < SHOWN_NAMES) this.foundNames.push(name);
    const normal = normaliseName(name);
    if (normal === undefined) return undefined;
    this.#nameBytes += normal.length + target.length;
    if (this.#nameBytes > this.#limits.nameBytes) {
      throw this.#broken(`its names together are longer than ${this.#limits.nameBytes} bytes`);
    }
    return normal;
  }

  async #extendedHeader(header: TarHeader, start: number): Promise<Buffer> {
    if (header.size > this.#limits.extendedHeaderBytes) {
      throw this.#broken(
        `an extended header of ${header.size} bytes at byte ${this.#position}; more than ${this.#limits.extendedHeaderBytes} is refused`,
      );
    }
    const content = await this.#bytes(start, header.size);
    if (content.length < header.size) throw this.#cutShort('in the middle of an extended header');
    return content;
  }

  #readPax(content: Buffer): PaxRecords {
    try {
      return decodePax(content);
    } catch (error) {
      throw this.#broken(`${messageOf(error)} at byte ${this.#position}`);
    }
  }

  #paxSize(text: string): number {
    try {
      return decodePaxSize(text);
    } catch (error) {
      throw this.#broken(`${messageOf(error)} before byte ${this.#position}`);
    }
  }

  /** The archive ends with two blocks of zeros; one alone in the middle means that what follows is not to be trusted. */
  async #refuseLoneZeroBlock(): Promise<void> {
    const next = this.#position + TAR_BLOCK_BYTES;
    if (!(await this.#has(next + TAR_BLOCK_BYTES))) return;
    if ((await this.#bytes(next, TAR_BLOCK_BYTES)).some((byte) => byte !== 0)) {
      throw this.#headers === 0
        ? notATar(this.#file.path)
        : this.#broken(`a lone block of zeros at byte ${this.#position}`);
    }
  }

  async #has(size: number): Promise<boolean> {
    if (this.#file.size < size) await this.#file.passing?.reach(size);
    return this.#file.size >= size;
  }

  async #bytes(position: number, length: number): Promise<Buffer> {
    const inWindow = (): boolean =>
      position >= this.#windowStart && position + length <= this.#windowStart + this.#window.length;
    if (!inWindow()) {
      throwIfAborted(this.#signal);
      // A stream cannot be read again by who is given the bodies.
      const ahead = this.#file.passing ? 0 : WINDOW_BYTES;
      this.#window = await this.#file.read(position, Math.max(length, ahead));
      this.#windowStart = position;
    }
    const from = position - this.#windowStart;
    return this.#window.subarray(from, from + length);
  }

  #cutShort(where: string): RegopsError {
    return this.#broken(`${CUT_SHORT} ${where}`, [MAKE_AGAIN]);
  }

  #broken(why: string, hints: readonly string[] = []): RegopsError {
    const after = this.#lastName === undefined ? '' : ` (after ${quoted(this.#lastName)})`;
    return invalidArchive(this.#file.path, `${why}${after}`, hints);
  }
}

const CUT_SHORT = 'the tar is cut short: it ends';
const MAKE_AGAIN = 'Was the download or the docker save that made it interrupted? Make it again.';

/** The error for a tar that ends in the middle of a member. */
export function cutShortIn(path: string, member: string, missing: number): RegopsError {
  const where = `${missing} bytes before the end of ${quoted(member)}`;
  return invalidArchive(path, `${CUT_SHORT} ${where}`, [MAKE_AGAIN]);
}

/** The error for a file that is none of what we read. */
export function notATar(path: string): RegopsError {
  return invalidArchive(path, 'not a tar archive', [
    'An image archive is what docker save, podman save, skopeo copy or buildx build --output type=oci writes.',
  ]);
}

function memberOf(name: string, type: string, offset: number, size: number, target: string): TarMember {
  if (type === '1') return { kind: 'hardlink', target };
  if (type === '2') return { kind: 'symlink', target };
  // Archives older than ustar mark a directory by the slash alone.
  return isFileType(type) && !name.endsWith('/') ? { kind: 'file', offset, size } : { kind: 'other' };
}

function isFileType(type: string): boolean {
  return type === '0' || type === '7';
}

function padded(size: number): number {
  return Math.ceil(size / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
}
