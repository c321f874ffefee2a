import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Outcome } from '../../../alts/index.ts';
import { type Log, messageOf, systemCode, writeFileAtomically } from '../../../base/index.ts';

/** Older ones are forgotten: a scheduler does so after an hour. */
const MOST_ENTRIES = 5000;
const MOST_BYTES = 16 * 1024;
const FILE_NAME = /^([a-z0-9][a-z0-9_-]{0,127})\.json$/i;

/** A test that was submitted, as it is remembered. */
export interface LedgerEntry {
  readonly id: string;
  /** The scheduler's URL. */
  readonly scheduler: string;
  readonly package: string;
  readonly version?: string;
  /** `debian:12`. */
  readonly distribution: string;
  readonly architecture: string;
  /** ISO 8601. */
  readonly submittedAt: string;
  /** Celery's last word. */
  readonly state?: string;
  /** Set once it has come to an end, of whatever kind. */
  readonly outcome?: Outcome;
}

/**
 * The tests that were submitted from here, so that a wait can be taken up again. A file each (0600), replaced as a
 * whole: several processes may write at once. It only helps: what cannot be written or read is told to the log.
 */
export class TaskLedger {
  readonly folder: string;
  readonly #log: Log;
  #hasWarned = false;

  constructor(folder: string, log: Log) {
    this.folder = folder;
    this.#log = log;
  }

  /** Remembers a test, or what became of it. Never rejects. */
  async keep(entry: LedgerEntry): Promise<void> {
    try {
      await writeFileAtomically(this.#pathOf(entry.id), `${JSON.stringify(entry)}\n`, 0o600);
    } catch (error) {
      if (!this.#hasWarned) {
        this.#log.warn(`tests cannot be remembered in ${this.folder}: ${messageOf(error)}`);
      }
      this.#hasWarned = true;
    }
  }

  /** Undefined for a test that is not remembered. */
  async find(id: string): Promise<LedgerEntry | undefined> {
    const path = this.#pathOf(id);
    try {
      const file = await open(path, 'r');
      try {
        const { size } = await file.stat();
        const entry = size > MOST_BYTES ? undefined : readEntry(await file.readFile('utf8'));
        if (!entry) this.#log.trace(`${path} is damaged; it is passed over`);
        return entry?.id === id ? entry : undefined;
      } finally {
        await file.close();
      }
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') this.#log.trace(`cannot read ${path}: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** All that are remembered, the newest first; those that are one too many are forgotten. */
  async list(): Promise<LedgerEntry[]> {
    const entries: LedgerEntry[] = [];
    for (const id of await this.#ids()) {
      const entry = await this.find(id);
      if (entry) entries.push(entry);
    }
    entries.sort((one, other) => other.submittedAt.localeCompare(one.submittedAt));
    for (const { id } of entries.splice(MOST_ENTRIES)) await rm(this.#pathOf(id), { force: true });
    return entries;
  }

  /** Forgets the oldest when there are too many. Never rejects. */
  async trim(): Promise<void> {
    try {
      if ((await this.#ids()).length > MOST_ENTRIES) await this.list();
    } catch (error) {
      this.#log.trace(`cannot tidy ${this.folder}: ${messageOf(error)}`);
    }
  }

  async #ids(): Promise<string[]> {
    try {
      const names = await readdir(this.folder);
      return names.flatMap((name) => FILE_NAME.exec(name)?.[1] ?? []);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      return [];
    }
  }

  #pathOf(id: string): string {
    return join(this.folder, `${id}.json`);
  }
}

function readEntry(text: string): LedgerEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const entry = (value ?? {}) as Record<string, unknown>;
  const texts = ['id', 'scheduler', 'package', 'distribution', 'architecture', 'submittedAt'];
  const optional = ['version', 'state', 'outcome'];
  const isFit =
    texts.every((name) => typeof entry[name] === 'string') &&
    optional.every((name) => entry[name] === undefined || typeof entry[name] === 'string') &&
    !Number.isNaN(Date.parse(entry['submittedAt'] as string));
  return isFit ? (value as LedgerEntry) : undefined;
}
