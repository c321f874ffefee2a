/** An inclusive range of bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads a `Range` header (RFC 9110 section 14.2) against a representation's size.
 *
 * @returns undefined when the whole is to be sent: no header, another unit, bad syntax, or several ranges
 * (which a server may ignore); `unsatisfiable` for a 416
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(header ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return undefined;
  if (start >= size) return 'unsatisfiable';
  return { start, end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
}

/**
 * Reads the `Content-Range` of a chunk: `a-b`, inclusive, and nothing else (spec, "Pushing a blob in chunks").
 * Gives undefined for anything else.
 */
export function parseContentRange(header: string): ByteRange | undefined {
  const match = /^(\d+)-(\d+)$/.exec(header);
  const range = { start: Number(match?.[1]), end: Number(match?.[2]) };
  return Number.isSafeInteger(range.end) && range.start <= range.end ? range : undefined;
}

/** The part of a list of blocks that a range names, without copying. */
export function sliceOf<T extends Uint8Array>(blocks: readonly T[], { start, end }: ByteRange): readonly T[] {
  const parts: T[] = [];
  let offset = 0;
  for (const block of blocks) {
    const part = block.subarray(Math.max(0, start - offset), Math.max(0, end + 1 - offset)) as T;
    if (part.length > 0) parts.push(part);
    offset += block.length;
  }
  return parts;
}
