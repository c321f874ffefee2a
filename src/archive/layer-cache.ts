import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  type Clock,
  type Log,
  messageOf,
  silentLog,
  systemClock,
  systemCode,
  writeFileAtomically,
} from '../base/index.ts';
import { type Digest, digestSchema } from '../oci/index.ts';
import type { BlobFacts, Compressor } from './compress.ts';

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

/** The key of bytes that lie packed in a file on this machine; see LayerSource.identity. */
export function storedKey(identity: string): CacheKey {
  return `stored ${identity}` as CacheKey;
}

const FILE_NAME = 'layers.json';
const SCHEMA = 'regops.layers/1';
const MAX_ENTRIES = 10_000;
const MAX_KEY = 512;
/** More than all entries can need; a larger file is not ours. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;

const entrySchema = z.object({
  key: z.string().min(1).max(MAX_KEY),
  digest: digestSchema,
  size: z.int().min(0),
  usedMs: z.int().min(0),
});
const fileSchema = z.object({
  schema: z.literal(SCHEMA),
  entries: z.array(entrySchema).max(MAX_ENTRIES),
});

type Entry = Readonly<z.infer<typeof entrySchema>>;

/**
 * Remembers across runs which digest a layer has once it is packed, so that a second push of the same
 * archive neither compresses nor sends. An entry is a hint and never proof: whoever uses it must still
 * ask the registry whether it has that digest.
 *
 * One JSON file, replaced whole (0600). Processes that save at the same time do no harm: the last one
 * wins for what both wrote, and what gets lost is only computed again.
 */
export class LayerCache {
  readonly #folder: string | undefined;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #maxEntries: number;
  readonly #entries: Map<string, Entry>;
  /** Used or added since the last save. */
  readonly #touched = new Map<string, Entry>();
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    folder: string | undefined,
    entries: Map<string, Entry>,
    options: { log: Log; clock: Clock; maxEntries: number },
  ) {
    this.#folder = folder;
    this.#entries = entries;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#maxEntries = options.maxEntries;
  }

  /**
   * Reads the cache of a folder; without a folder nothing is remembered beyond this object. A file that
   * is broken or not ours counts as empty, with a warning, and is replaced by the next save. Never throws.
   */
  static async open(
    folder: string | undefined,
    options: { log?: Log; clock?: Clock; maxEntries?: number } = {},
  ): Promise<LayerCache> {
    const { log = silentLog, clock = systemClock, maxEntries = MAX_ENTRIES } = options;
    const entries = folder === undefined ? new Map() : await readEntries(folder, log);
    return new LayerCache(folder, entries, { log, clock, maxEntries });
  }

  /** What is remembered under the key. */
  get(key: CacheKey | undefined): BlobFacts | undefined {
    const entry = key === undefined ? undefined : this.#entries.get(key);
    if (!entry) return undefined;
    this.#put({ ...entry, usedMs: this.#clock.now() });
    return { digest: entry.digest, size: entry.size };
  }

  /** Remembers; written to the file by `save`. */
  set(key: CacheKey, facts: BlobFacts): void {
    this.#put({ key, digest: facts.digest, size: facts.size, usedMs: this.#clock.now() });
  }

  /**
   * Writes what is new, merged with what other processes wrote meanwhile; the longest unused entries are
   * dropped beyond 10,000. A cache that cannot be written is a warning, never a failure.
   */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write());
    return this.#saving;
  }

  async #write(): Promise<void> {
    if (this.#folder === undefined || this.#touched.size === 0) return;
    const saved = new Map(this.#touched);
    this.#touched.clear();
    const merged = new Map([...(await readEntries(this.#folder, silentLog)), ...saved]);
    const kept = [...merged.values()].sort((a, b) => b.usedMs - a.usedMs).slice(0, this.#maxEntries);
    try {
      const content = JSON.stringify({ schema: SCHEMA, entries: kept });
      await writeFileAtomically(join(this.#folder, FILE_NAME), content, 0o600);
    } catch (error) {
      this.#log.warn(`cannot write the layer cache in ${this.#folder}: ${messageOf(error)}`);
    }
  }

  #put(entry: Entry): void {
    if (entry.key.length > MAX_KEY) return;
    this.#entries.set(entry.key, entry);
    this.#touched.set(entry.key, entry);
  }
}

async function readEntries(folder: string, log: Log): Promise<Map<string, Entry>> {
  const path = join(folder, FILE_NAME);
  try {
    const found = await stat(path);
    if (!found.isFile() || found.size > MAX_FILE_BYTES) throw new Error('not a file of ours');
    const { entries } = fileSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    return new Map(entries.map((entry) => [entry.key, entry]));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') {
      log.warn(`ignoring the layer cache ${path}, which cannot be used: ${messageOf(error).slice(0, 200)}`);
    }
    return new Map();
  }
}
