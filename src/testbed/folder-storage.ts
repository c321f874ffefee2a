import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isRegopsError, messageOf, RegopsError, systemCode } from '../base/index.ts';
import { FolderContent } from './folder-content.ts';
import { IndexedStorage } from './indexed-storage.ts';
import { Journal } from './journal.ts';
import { type Change, changeSchema, RepositoryIndex } from './repository-index.ts';
import type { Storage } from './storage.ts';

const JOURNAL = 'testbed.ndjson';
const LOCK = 'testbed.lock';

/**
 * A storage that outlives the process: contents under `blobs/`, all else in a journal. Writes are atomic
 * but not flushed: after a power cut the last ones may be gone, as befits a throw-away registry.
 *
 * @throws CONFIG_INVALID when the folder holds something else or another process uses it, INPUT_INVALID when
 * its journal is damaged, IO_FAILED when it cannot be used
 */
export async function folderStorage(dir: string): Promise<Storage> {
  const folder = resolve(dir);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await refuseForeignFolder(folder);
    await lock(folder);
    try {
      return await openLocked(folder);
    } catch (error) {
      await unlock(folder);
      throw error;
    }
  } catch (error) {
    if (isRegopsError(error)) throw error;
    throw new RegopsError('IO_FAILED', `cannot use the folder ${folder}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function openLocked(folder: string): Promise<Storage> {
  const path = join(folder, JOURNAL);
  const contents = await FolderContent.open(folder);
  const index = await replay(path, await contents.digests());
  // Written anew without what was deleted since, and without a last line that a crash cut.
  await Journal.replace(path, index.snapshot());
  const journal = await Journal.open<Change>(path);
  return new IndexedStorage(index, contents, {
    append: (change) => journal.append(change),
    async close() {
      await journal.close();
      await unlock(folder);
    },
  });
}

/** Builds the index anew. Contents that somebody took away are left out, with the tags that led to them. */
async function replay(path: string, present: ReadonlySet<string>): Promise<RepositoryIndex> {
  const index = new RepositoryIndex();
  for await (const change of Journal.read(path, changeSchema)) {
    const isContent = change.op === 'blob' || change.op === 'manifest';
    if (!isContent || present.has(change.digest)) index.apply(change);
  }
  return index;
}

/**
 * An image layout or another registry's folder has a `blobs/` too: ours would overwrite and delete in it.
 * The journal is the mark of a folder of ours; an empty one gets it here.
 */
async function refuseForeignFolder(folder: string): Promise<void> {
  const entries = await readdir(folder);
  if (entries.includes(JOURNAL)) return;
  if (entries.length > 0) {
    throw new RegopsError('CONFIG_INVALID', `the folder ${folder} holds something else`, {
      hints: ['Name an empty folder, or one that a testbed has used before.'],
    });
  }
  await writeFile(join(folder, JOURNAL), '', { mode: 0o600, flag: 'a' });
}

/** One process at a time: two would each overwrite what the other does not know of. */
async function lock(folder: string): Promise<void> {
  const path = join(folder, LOCK);
  for (;;) {
    try {
      await writeFile(path, String(process.pid), { mode: 0o600, flag: 'wx' });
      return;
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''));
    // In a container every process may be number 1: a lock of our own number is an earlier run's.
    if (owner !== process.pid && isAlive(owner)) {
      throw new RegopsError('CONFIG_INVALID', `the folder ${folder} is in use by process ${owner}`, {
        hints: [`Stop that testbed, or remove ${path} if it is none.`],
      });
    }
    await rm(path, { force: true });
  }
}

async function unlock(folder: string): Promise<void> {
  await rm(join(folder, LOCK), { force: true });
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}
