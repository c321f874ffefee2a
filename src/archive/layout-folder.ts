import { realpathSync, statSync } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { isRegopsError, systemCode } from '../base/index.ts';
import { invalidArchive, quoted, readFailure } from './failures.ts';
import { type FileLease, identityOf, RandomAccessFile } from './random-access-file.ts';
import { type ArchiveFiles, FileRange, normaliseName, type StoredFile } from './stored-file.ts';

const SHOWN_NAMES = 5;

/** The files of an OCI layout folder. A symlink is followed only to a place inside the folder. */
export class LayoutFolder implements ArchiveFiles {
  readonly path: string;
  readonly #root: string;
  readonly #foundNames: readonly string[];

  private constructor(path: string, root: string, foundNames: readonly string[]) {
    this.path = path;
    this.#root = root;
    this.#foundNames = foundNames;
  }

  /** Throws FILE_NOT_FOUND or IO_FAILED. */
  static async open(path: string): Promise<LayoutFolder> {
    try {
      const root = await realpath(path);
      const names = await readdir(root);
      return new LayoutFolder(path, root, names.sort().slice(0, SHOWN_NAMES));
    } catch (error) {
      throw readFailure(path, error);
    }
  }

  /** Synchronous, as the index of a tar is: two system calls, only for files that are asked for. */
  find(name: string): StoredFile | undefined {
    const normal = normaliseName(name);
    if (normal === undefined) return undefined;
    const shownAs = join(this.path, normal);
    try {
      const real = realpathSync.native(join(this.#root, normal));
      this.#refuseOutside(real, normal);
      const found = statSync(real, { bigint: true });
      if (!found.isFile()) return undefined;
      return new FileRange(normal, {
        acquire: () => lease(real, shownAs),
        offset: 0,
        size: Number(found.size),
        identity: identityOf(found),
      });
    } catch (error) {
      const code = systemCode(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      if (code === 'ELOOP') throw invalidArchive(this.path, `the links from ${quoted(name)} run in a circle`);
      throw isRegopsError(error) ? error : readFailure(shownAs, error);
    }
  }

  someNames(): readonly string[] {
    return this.#foundNames;
  }

  async close(): Promise<void> {}

  #refuseOutside(real: string, name: string): void {
    const inside = this.#root.endsWith(sep) ? this.#root : this.#root + sep;
    if (!real.startsWith(inside)) {
      throw invalidArchive(this.path, `the link ${quoted(name)} leads out of the folder`);
    }
  }
}

async function lease(realPath: string, shownAs: string): Promise<FileLease> {
  const file = await RandomAccessFile.open(realPath, shownAs);
  return { file, release: () => file.close() };
}
