import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  counted,
  type Log,
  makeFolder,
  messageOf,
  silentLog,
  systemClock,
  systemCode,
  writeFileAtomically,
} from '../base/index.ts';
import { type Digest, isDigest, isRepository } from '../oci/index.ts';
import type { BlobFacts } from './compress.ts';
import type { Compressor } from './packer.ts';

/** What a cache entry is filed under. */
export type CacheKey = string & { readonly __cacheKey: true };

/** The key of a layer that was packed here. */
export function packedKey(layer: {
  readonly diffId: Digest;
  readonly compression: Compressor;
  readonly level: number;
  /** {@link Packer.version} */
  readonly packer: string;
}): CacheKey {
  return `${layer.diffId} ${layer.compression}-${layer.level} ${layer.packer}` as CacheKey;
}

/**
 * The key of bytes that lie packed in a file on this machine (see LayerSource.identity) and were found to be the
 * layer of that diffID.
 */
export function storedKey(identity: string, diffId: Digest): CacheKey {
  return `verified ${identity} ${diffId}` as CacheKey;
}

const FILE_NAME = 'layers.jsonl';
const MAX_RECORDS = 20_000;
/** Longest key and registry that are remembered. */
const MAX_TEXT = 512;
/** A file that has grown beyond is rewritten without what is outdated. */
const REWRITE_BYTES = 8 * 1024 * 1024;
/** A larger file is not ours: all records and as many outdated lines do not need it. */
const MAX_FILE_BYTES = 4 * REWRITE_BYTES;
/** A use is noted when the last one lies so far back: a push that finds everything writes nothing. */
const USE_STEP_MS = 60 * 60 * 1000;

/** What a layer became when it was packed. */
interface Packing {
  readonly key: string;
  readonly digest: Digest;
  readonly size: number;
}

/** Where a blob was seen. */
interface Place {
  readonly registry: string;
  readonly repository: string;
  readonly digest: Digest;
}

/** A line of the file. The last line about a thing counts; `gone` takes it back. */
type CacheRecord = (Packing | Place) & { readonly usedMs: number; readonly gone?: true };

/**
 * Remembers across runs which digest a layer has once it is packed, and which repositories of a registry
 * hold a blob, so that a second push of the same archive compresses and sends nothing, also to another
 * repository. An entry is a hint and never proof: whoever uses it must still ask the registry, and takes
 * back what turns out wrong (`forget`, `removeHolder`).
 *
 * One file of JSON lines (0600), to which processes append whole lines at the same time. A line that was
 * torn, or is not ours, is skipped, and is gone after the next save. The file is rewritten whole when it
 * has grown too large: what another process appends in that moment gets lost, and is only computed again.
 */
export class LayerCache {
  readonly #folder: string | undefined;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #maxRecords: number;
  readonly #records = new Map<string, CacheRecord>();
  /** Repositories by registry and digest, in the order they were seen. */
  readonly #holders = new Map<string, Set<string>>();
  /** Changed since the last save. */
  readonly #changed = new Map<string, CacheRecord>();
  #rewrite: boolean;
  #bytes: number;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    folder: string | undefined,
    found: FoundRecords,
    options: { log: Log; clock: Clock; maxRecords: number },
  ) {
    this.#folder = folder;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#maxRecords = options.maxRecords;
    this.#rewrite = found.damaged;
    this.#bytes = found.bytes;
    for (const record of found.records.values()) this.#take(record);
  }

  /**
   * Reads the cache of a folder; without a folder nothing is remembered beyond this object. Lines that are
   * broken or not ours are left out, with a warning, and dropped by the next save. Never throws.
   */
  static async open(
    folder: string | undefined,
    options: { log?: Log; clock?: Clock; maxRecords?: number } = {},
  ): Promise<LayerCache> {
    const { log = silentLog, clock = systemClock, maxRecords = MAX_RECORDS } = options;
    const found = folder === undefined ? NOTHING_FOUND : await readRecords(folder, log);
    return new LayerCache(folder, found, { log, clock, maxRecords });
  }

  /** What is remembered under the key. */
  get(key: CacheKey | undefined): BlobFacts | undefined {
    const record = key === undefined ? undefined : this.#records.get(key);
    if (!record || !('key' in record)) return undefined;
    this.#used(record);
    return { digest: record.digest, size: record.size };
  }

  /** Remembers what a layer became. Written to the file by `save`, like every change. */
  set(key: CacheKey, facts: BlobFacts): void {
    this.#put({ key, digest: facts.digest, size: facts.size, usedMs: this.#clock.now() });
  }

  /** Takes back what `get` gave: the registry has other bytes under that digest, or it never was one. */
  forget(key: CacheKey): void {
    const record = this.#records.get(key);
    if (record) this.#put({ ...record, usedMs: this.#clock.now(), gone: true });
  }

  /**
   * Repositories of a registry where the blob was seen: candidates to mount it from, the one seen last first.
   *
   * @param registry its `host[:port]`, as in references
   */
  holders(registry: string, digest: Digest): readonly string[] {
    return [...(this.#holders.get(holdersKey(registry, digest)) ?? [])].reverse();
  }

  /** Remembers that the repository holds the blob: it was found, mounted or sent there. */
  addHolder(registry: string, repository: string, digest: Digest): void {
    const known = this.#records.get(placeKey({ registry, repository, digest }));
    if (known) this.#used(known);
    else this.#put({ registry, repository, digest, usedMs: this.#clock.now() });
  }

  /** Takes back that the repository holds the blob: it was not there any more, or could not be mounted. */
  removeHolder(registry: string, repository: string, digest: Digest): void {
    const known = this.#records.get(placeKey({ registry, repository, digest }));
    if (known) this.#put({ ...known, usedMs: this.#clock.now(), gone: true });
  }

  /** Appends what is new to the file. A cache that cannot be written is a warning, never a failure. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write());
    return this.#saving;
  }

  async #write(): Promise<void> {
    if (this.#folder === undefined || (this.#changed.size === 0 && !this.#rewrite)) return;
    const changed = [...this.#changed.values()];
    this.#changed.clear();
    try {
      const lines = linesOf(changed);
      const grownTooLarge = this.#bytes + lines.length > REWRITE_BYTES;
      if (this.#rewrite || grownTooLarge || this.#records.size > this.#maxRecords) {
        await this.#replace(this.#folder, changed);
      } else {
        await append(this.#folder, lines);
        this.#bytes += lines.length;
      }
    } catch (error) {
      this.#log.warn(`cannot write the layer cache in ${this.#folder}: ${messageOf(error)}`);
    }
  }

  /** Writes the file anew, with what other processes appended meanwhile and without the records unused for longest. */
  async #replace(folder: string, changed: readonly CacheRecord[]): Promise<void> {
    const { records } = await readRecords(folder, silentLog);
    for (const record of changed) records.set(recordKey(record), record);
    const kept = [...records.values()]
      .filter((record) => !record.gone)
      .sort((a, b) => b.usedMs - a.usedMs)
      .slice(0, this.#maxRecords)
      .reverse();
    const lines = linesOf(kept);
    await writeFileAtomically(join(folder, FILE_NAME), lines, 0o600);
    this.#rewrite = false;
    this.#bytes = lines.length;
    this.#records.clear();
    this.#holders.clear();
    for (const record of [...kept, ...this.#changed.values()]) this.#take(record);
  }

  #used(record: CacheRecord): void {
    const now = this.#clock.now();
    if (now - record.usedMs >= USE_STEP_MS) this.#put({ ...record, usedMs: now });
  }

  #put(record: CacheRecord): void {
    if (!isOurs(record)) return;
    this.#take(record);
    this.#changed.set(recordKey(record), record);
  }

  #take(record: CacheRecord): void {
    const key = recordKey(record);
    if (record.gone) this.#records.delete(key);
    else this.#records.set(key, record);
    if ('key' in record) return;
    const at = holdersKey(record.registry, record.digest);
    const repositories = this.#holders.get(at) ?? new Set();
    repositories.delete(record.repository);
    if (!record.gone) repositories.add(record.repository);
    this.#holders.set(at, repositories);
  }
}

function recordKey(record: CacheRecord): string {
  return 'key' in record ? record.key : placeKey(record);
}

/** No key of a packing has a line break in it. */
function placeKey({ registry, repository, digest }: Place): string {
  return `${registry}\n${repository}\n${digest}`;
}

function holdersKey(registry: string, digest: Digest): string {
  return `${registry}\n${digest}`;
}

/** Each batch begins on a line of its own, whatever a process that was killed has left behind. */
function linesOf(records: readonly CacheRecord[]): string {
  return records.map((record) => `\n${JSON.stringify(record)}`).join('');
}

async function append(folder: string, lines: string): Promise<void> {
  await makeFolder(folder);
  const file = await open(join(folder, FILE_NAME), 'a', 0o600);
  try {
    await file.writeFile(lines);
  } finally {
    await file.close();
  }
}

interface FoundRecords {
  readonly records: Map<string, CacheRecord>;
  readonly bytes: number;
  /** There is something in the file that does not belong there. */
  readonly damaged: boolean;
}

const NOTHING_FOUND: FoundRecords = { records: new Map(), bytes: 0, damaged: false };

async function readRecords(folder: string, log: Log): Promise<FoundRecords> {
  const path = join(folder, FILE_NAME);
  const records = new Map<string, CacheRecord>();
  const ignoring = (why: string): void =>
    log.warn(`${path}: ${why} cannot be used and will be replaced; what it said is computed again`);
  try {
    const found = await stat(path);
    if (!found.isFile() || found.size > MAX_FILE_BYTES) {
      ignoring('a file that is not ours');
      return { records, bytes: 0, damaged: true };
    }
    const text = await readFile(path, 'utf8');
    let broken = 0;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const record = parseRecord(line);
      if (record) records.set(recordKey(record), record);
      else broken++;
    }
    if (broken > 0) ignoring(counted(broken, 'line'));
    return { records, bytes: text.length, damaged: broken > 0 };
  } catch (error) {
    const absent = systemCode(error) === 'ENOENT';
    if (!absent) ignoring(messageOf(error).slice(0, 200));
    return { records, bytes: 0, damaged: !absent };
  }
}

function parseRecord(line: string): CacheRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isOurs(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Checked by hand: this file is read at every push, and a schema library takes longer to load than the file. */
function isOurs(value: unknown): value is CacheRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { key, registry, repository, digest, size, usedMs, gone } = value as Record<string, unknown>;
  if (!isDigest(digest) || !isCount(usedMs) || (gone !== undefined && gone !== true)) return false;
  if (key !== undefined) return isText(key) && isCount(size);
  return isText(registry) && typeof repository === 'string' && isRepository(repository);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_TEXT && !value.includes('\n');
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
