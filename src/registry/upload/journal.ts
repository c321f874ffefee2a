import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, rm, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  type Clock,
  type Log,
  makeFolder,
  messageOf,
  silentLog,
  systemClock,
  systemCode,
  writeFileAtomically,
} from '../../base/index.ts';
import type { SessionPlace } from './session.ts';

const SCHEMA = 'regops.upload/1';
/** distribution drops uploads that are older, and hardly any registry keeps them longer. */
const LIFETIME_MS = 7 * 24 * 3600 * 1000;
/** Where nobody can tell whether the process that noted an upload still lives, it is given so long to note more. */
const QUIET_MS = 15 * 60 * 1000;
const MAX_FILE_BYTES = 16 * 1024;
const MAX_FILES = 1000;
const FILE_NAME = /^[0-9a-f]{64}\.json$/;

interface Note extends NotedUpload {
  readonly schema: typeof SCHEMA;
  readonly registry: string;
  readonly repository: string;
  readonly content: string;
  readonly updatedMs: number;
  /** Who noted it. */
  readonly host: string;
  readonly pid: number;
}

/** Which upload: the bytes are named by their digest, or by what they are made from. */
export interface UploadName {
  /** The registry's origin: a Location of any other is not believed. */
  readonly registry: URL;
  readonly repository: string;
  readonly content: string;
}

/** How far an upload was when it was noted. */
export interface NotedUpload extends SessionPlace {
  /** Bytes that the registry had acknowledged. */
  readonly stored: number;
}

/**
 * Remembers uploads under way, so that the next run can go on with those that a crash has cut off: a file for
 * each (0600, in a folder 0700), gone when the upload has ended. A note is a hint and never proof. What
 * is odd about it (who wrote it, for which registry, when) means that the blob is sent from its first byte.
 *
 * It holds the session's Location, which the registry wants back as it is. That one is no credential: the
 * registry asks for one with every request. Locations elsewhere, which are signed, are not noted at all.
 */
export class UploadJournal {
  readonly #folder: string;
  readonly #log: Log;
  readonly #clock: Clock;
  #ready: Promise<void> | undefined;
  #broken = false;

  /** Throws nothing: a folder that cannot be used is a warning when something is to be noted. */
  constructor(folder: string, { log = silentLog, clock = systemClock }: { log?: Log; clock?: Clock } = {}) {
    this.#folder = folder;
    this.#log = log;
    this.#clock = clock;
  }

  /** The place of one upload in the journal. */
  entry(name: UploadName): JournalEntry {
    return {
      take: () => this.#take(name),
      note: (noted) => this.#note(name, noted),
      forget: () => this.#forget(name),
    };
  }

  async #take(name: UploadName): Promise<NotedUpload | undefined> {
    const path = this.#path(name);
    try {
      const note = await this.#read(path);
      if (!note || this.#ownerLives(note)) return undefined;
      // Of two processes that want it, the one that removes it gets it.
      await unlink(path);
      const odd = oddity(note, name, this.#clock.now());
      if (odd === undefined) return note;
      this.#log.trace(`the upload noted in ${path} is not taken up: ${odd}`);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') {
        this.#log.trace(`the upload noted in ${path} cannot be used: ${messageOf(error).slice(0, 200)}`);
        await rm(path, { force: true }).catch(() => {});
      }
    }
    return undefined;
  }

  async #read(path: string): Promise<Note | undefined> {
    const found = await stat(path);
    if (!found.isFile() || found.size > MAX_FILE_BYTES || (found.mode & 0o077) !== 0) {
      throw new Error('it is no private file of ours');
    }
    const note: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (!isNote(note)) throw new Error('it has another shape');
    return note;
  }

  /** True when another process may still be at it. */
  #ownerLives({ host, pid, updatedMs }: Note): boolean {
    if (host !== hostname()) return this.#clock.now() - updatedMs < QUIET_MS;
    if (pid === process.pid) return false;
    try {
      process.kill(pid, 0);
      return true;
    } catch (error) {
      // EPERM: it lives, and is another user's.
      return systemCode(error) === 'EPERM';
    }
  }

  async #note(name: UploadName, noted: NotedUpload): Promise<boolean> {
    if (this.#broken) return false;
    const note: Note = {
      schema: SCHEMA,
      registry: name.registry.origin,
      repository: name.repository,
      content: name.content,
      location: noted.location,
      chunkMinimum: noted.chunkMinimum,
      stored: noted.stored,
      updatedMs: this.#clock.now(),
      host: hostname(),
      pid: process.pid,
    };
    try {
      this.#ready ??= this.#prepare();
      await this.#ready;
      await writeFileAtomically(this.#path(name), JSON.stringify(note), 0o600);
      return true;
    } catch (error) {
      this.#broken = true;
      this.#log.warn(`cannot note uploads in ${this.#folder}, a later run starts over: ${messageOf(error)}`);
      return false;
    }
  }

  async #forget(name: UploadName): Promise<void> {
    await rm(this.#path(name), { force: true }).catch(() => {});
  }

  /** Makes the folder ours alone, and drops what nobody came back for. */
  async #prepare(): Promise<void> {
    await makeFolder(this.#folder);
    await chmod(this.#folder, 0o700);
    const names = (await readdir(this.#folder)).filter((name) => FILE_NAME.test(name));
    for (const [at, name] of names.entries()) {
      const path = join(this.#folder, name);
      const written = (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
      if (at >= MAX_FILES || this.#clock.now() - written > LIFETIME_MS) await rm(path, { force: true });
    }
  }

  #path({ registry, repository, content }: UploadName): string {
    const hash = createHash('sha256').update([registry.origin, repository, content].join('\n'));
    return join(this.#folder, `${hash.digest('hex')}.json`);
  }
}

/** One upload's place in a journal. Nothing here ever throws. */
export interface JournalEntry {
  /** What a run that is no more has left, once: undefined when there is nothing, or anything is odd about it. */
  take(): Promise<NotedUpload | undefined>;
  /** False when it could not be written. */
  note(noted: NotedUpload): Promise<boolean>;
  forget(): Promise<void>;
}

/** What keeps a note from being believed; undefined when nothing does. Pure. */
function oddity(note: Note, name: UploadName, now: number): string | undefined {
  const { origin } = name.registry;
  if (note.registry !== origin || note.repository !== name.repository || note.content !== name.content) {
    return 'it is about another upload';
  }
  if (note.updatedMs > now || now - note.updatedMs > LIFETIME_MS) return 'it is too old';
  const location = URL.parse(note.location);
  if (location?.origin !== origin || location.username !== '' || location.password !== '') {
    return 'its Location is not at the registry';
  }
  return undefined;
}

/** Checked by hand: a schema library takes longer to load than a small push. */
function isNote(value: unknown): value is Note {
  if (typeof value !== 'object' || value === null) return false;
  const note = value as Record<string, unknown>;
  return (
    note['schema'] === SCHEMA &&
    ['registry', 'repository', 'content', 'location', 'host'].every((key) => typeof note[key] === 'string') &&
    ['chunkMinimum', 'stored', 'updatedMs', 'pid'].every((key) => Number.isSafeInteger(note[key])) &&
    Number(note['stored']) >= 0 &&
    Number(note['chunkMinimum']) >= 0 &&
    Number(note['pid']) > 0
  );
}
