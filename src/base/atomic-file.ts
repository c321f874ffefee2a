import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolder } from './make-folder.ts';

/** What the shell has opened for us, by its names. */
const OPEN_ALREADY = /^\/(?:dev|dev\/fd|proc\/self\/fd)\/(\d{1,9}|stdout|stderr)$/;

/** Where what goes to a file is written before it is whole. */
export interface WritingPlace {
  /** The file, behind the links that lead to it. */
  readonly target: string;
  /** A new file beside it, to be renamed; undefined where the target is none (a pipe, `/dev/null`) and must stay what it is. */
  readonly temporary: string | undefined;
}

/** Finds that place; missing folders are made (0700). Throws what the system says. */
export async function writingPlace(path: string): Promise<WritingPlace> {
  const target = await realpath(path).catch(() => path);
  const present = await stat(target).catch(() => undefined);
  if (present && !present.isFile() && !present.isDirectory()) return { target, temporary: undefined };
  const folder = dirname(target);
  await makeFolder(folder);
  const temporary = join(folder, `.regops-${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
  return { target, temporary };
}

/**
 * Writes a file so that a reader sees the old content or the new, never a part: a temporary file of our
 * own name in the same folder, flushed, then renamed. Missing folders are made (0700). A link is followed,
 * so that a linked settings file stays one. What is no file (a pipe, a terminal), and what is open already
 * (`/dev/stdout`, also with a file behind it), is written to and not replaced.
 *
 * @param mode permission bits of the new file, set before the first byte is written
 */
export async function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  mode = 0o644,
): Promise<void> {
  const [, name] = OPEN_ALREADY.exec(path) ?? [];
  if (name !== undefined && (await stat(path).catch(() => undefined))?.isFile()) {
    writeFileSync(name === 'stdout' ? 1 : name === 'stderr' ? 2 : Number(name), content);
    return;
  }
  const { target, temporary } = await writingPlace(path);
  if (temporary === undefined) {
    await writeFile(target, content);
    return;
  }
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
