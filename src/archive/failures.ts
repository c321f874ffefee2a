import { messageOf, RegopsError, systemCode } from '../base/index.ts';

const SHOWN_NAME = 200;

/** A name from an archive as a message quotes it: bounded, since a hostile one may be a megabyte long. */
export function quoted(name: string): string {
  return `'${name.length > SHOWN_NAME ? `${name.slice(0, SHOWN_NAME)}…` : name}'`;
}

/** The error for an archive that does not hold together. */
export function invalidArchive(path: string, why: string, hints: readonly string[] = []): RegopsError {
  return new RegopsError('ARCHIVE_INVALID', `${path}: ${why}`, { hints });
}

/** The error for a file or folder that could not be read: FILE_NOT_FOUND or IO_FAILED. */
export function readFailure(path: string, error: unknown): RegopsError {
  const code = systemCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new RegopsError('FILE_NOT_FOUND', `${path}: no such file or folder`, { cause: error });
  }
  const hints = code === 'EACCES' || code === 'EPERM' ? ['Check who may read it.'] : [];
  return new RegopsError('IO_FAILED', `cannot read ${path}: ${messageOf(error)}`, { cause: error, hints });
}
