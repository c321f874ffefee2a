/**
 * Decoding of single tar headers: ustar and PAX (IEEE Std 1003.1 "pax", ustar and extended headers), GNU
 * tar (its manual, "Basic Tar Format"), and what came before both. Strict where the position of the next
 * header depends on it; tar-stream's own decoder is not exported and lets broken numbers pass as NaN.
 */

export const TAR_BLOCK_BYTES = 512;

/** What a header says of the member that follows it; nothing that only extraction would need. */
export interface TarHeader {
  readonly name: string;
  /** The type flag as a character; `0` for the NUL of old archives. */
  readonly type: string;
  /** Bytes of content that follow, padded to whole blocks. */
  readonly size: number;
  readonly linkName: string;
}

/** What extended headers say that matters here. An empty value takes an earlier one back. */
export interface PaxRecords {
  readonly path?: string;
  readonly linkpath?: string;
  readonly size?: string;
  /** Any of GNU's keywords for sparse files was there. */
  readonly sparse?: boolean;
}

/**
 * False for links, devices, directories and FIFOs: nothing follows their header, whatever the size field
 * claims (hard links of old tars repeat their target's size).
 */
export function hasContent(type: string): boolean {
  return !/^[1-6]$/.test(type);
}

/**
 * Reads one block. Gives undefined for a block of zeros (the end of the archive).
 * Throws a plain Error that says what is broken; the caller knows where.
 */
export function decodeTarHeader(block: Buffer): TarHeader | undefined {
  const { unsigned, signed } = checksums(block);
  if (unsigned === CHECKSUM_OF_ZEROS) return undefined;
  const stored = decodeNumber(block, 148, 8, 'checksum');
  if (stored !== unsigned && stored !== signed) throw new Error('wrong checksum');
  const type = block[156] === 0 ? '0' : String.fromCharCode(block[156] ?? 0);
  const size = decodeNumber(block, 124, 12, 'size');
  const name = decodeText(block, 0, 100);
  const posix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = posix ? decodeText(block, 345, 155) : '';
  return {
    name: prefix ? `${prefix}/${name}` : name,
    type,
    size: hasContent(type) ? size : 0,
    linkName: decodeText(block, 157, 100),
  };
}

/** True for a block that is a sound header, or the zeros an empty archive begins with. */
export function isTarBlock(block: Buffer): boolean {
  try {
    decodeTarHeader(block);
    return true;
  } catch {
    return false;
  }
}

/**
 * Reads the records `LENGTH KEY=VALUE\n` of an extended header; keeps none that it does not know, so that
 * a thousand headers are no more than one. Throws a plain Error when one is malformed.
 */
export function decodePax(content: Buffer): PaxRecords {
  let records: PaxRecords = {};
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const digits = space === -1 ? '' : content.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = content.indexOf(0x3d, at);
    const wellFormed =
      /^[1-9]\d{0,6}$/.test(digits) &&
      end <= content.length &&
      content[end - 1] === 0x0a &&
      equals > space &&
      equals < end;
    if (!wellFormed) throw new Error('malformed extended header');
    const key = content.toString('utf8', space + 1, equals);
    const value = (): string => content.toString('utf8', equals + 1, end - 1);
    if (key === 'path' || key === 'linkpath' || key === 'size') records = { ...records, [key]: value() };
    else if (key.startsWith('GNU.sparse.')) records = { ...records, sparse: true };
    at = end;
  }
  return records;
}

/** A size as an extended header writes it: decimal. Throws a plain Error. */
export function decodePaxSize(text: string): number {
  const size = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw new Error('malformed size in an extended header');
  return size;
}

/** The text up to the first NUL. */
export function decodeText(bytes: Buffer, start = 0, length = bytes.length): string {
  const end = Math.min(start + length, bytes.length);
  const nul = bytes.subarray(start, end).indexOf(0);
  return bytes.toString('utf8', start, nul === -1 ? end : start + nul);
}

/** The checksum field itself counts as eight spaces. */
const CHECKSUM_OF_ZEROS = 8 * 0x20;

/** Early tars summed signed bytes; readers accept both. */
function checksums(block: Buffer): { unsigned: number; signed: number } {
  let unsigned = CHECKSUM_OF_ZEROS;
  let high = 0;
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) {
    if (at >= 148 && at < 156) continue;
    const byte = block[at] ?? 0;
    unsigned += byte;
    if (byte > 0x7f) high++;
  }
  return { unsigned, signed: unsigned - 256 * high };
}

/** Octal digits padded with spaces and NULs, or GNU's base-256 (first bit set) for what octal cannot hold. */
function decodeNumber(block: Buffer, start: number, length: number, what: string): number {
  const field = block.subarray(start, start + length);
  if ((field[0] ?? 0) & 0x80) return decodeBase256(field, what);
  // What stands behind the first blank after the digits is rubbish that some writers left there.
  const digits = /^[ \0]*([0-7]*)(?:[ \0]|$)/.exec(field.toString('latin1'))?.[1];
  if (digits === undefined) throw new Error(`malformed ${what}`);
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function decodeBase256(field: Buffer, what: string): number {
  // 0xff begins a negative number, which neither a size nor a checksum can be.
  let value = (field[0] ?? 0) & 0x7f;
  for (const byte of field.subarray(1)) {
    value = value * 256 + byte;
    if (!Number.isSafeInteger(value)) throw new Error(`${what} out of range`);
  }
  return value;
}
