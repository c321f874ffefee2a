import { createReadStream } from 'node:fs';
import { messageOf, RegopsError, systemCode } from './errors.ts';

export interface NamedFileOptions {
  readonly maxBytes: number;
  /** Made for a file that is longer than that. */
  readonly tooLarge: () => RegopsError;
  /** What a file that is there but cannot be read counts as; default: IO_FAILED. */
  readonly unreadable?: 'CONFIG_INVALID' | 'IO_FAILED';
}

/** What a failed try to open or read a file the user named means: FILE_NOT_FOUND, else `code`. */
export function unreadable(
  path: string,
  error: unknown,
  code: NonNullable<NamedFileOptions['unreadable']> = 'IO_FAILED',
): RegopsError {
  if (systemCode(error) === 'ENOENT') {
    return new RegopsError('FILE_NOT_FOUND', `no such file: ${path}`, { cause: error });
  }
  return new RegopsError(code, `cannot read ${path}: ${messageOf(error)}`, { cause: error });
}

/**
 * All bytes of a file the user named, which may also be a pipe (`<(…)`): no more than a byte beyond `maxBytes` is
 * read, whatever size it says it has.
 *
 * @throws FILE_NOT_FOUND, IO_FAILED (or `unreadable`), and `tooLarge`
 */
export async function readNamedFile(path: string, options: NamedFileOptions): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of createReadStream(path, { end: options.maxBytes })) {
      chunks.push(chunk);
      length += chunk.length;
    }
  } catch (error) {
    throw unreadable(path, error, options.unreadable);
  }
  if (length > options.maxBytes) throw options.tooLarge();
  return Buffer.concat(chunks, length);
}
