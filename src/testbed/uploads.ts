import { randomUUID } from 'node:crypto';
import { type Clock, RegopsError, systemClock } from '../base/index.ts';
import { type Digest, Digester, digestMismatch, digestParts } from '../oci/index.ts';
import type { Spool } from './storage.ts';
import { refusal } from './wire-errors.ts';

/** Clients leave sessions behind (after a mount that was not possible, after a crash), and each may hold an open file. */
const MOST_SESSIONS = 2000;

/** A blob on its way in: the bytes so far, and their digest as they come. */
export class Upload {
  readonly id = randomUUID();
  readonly repository: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly #spool: Spool;
  readonly #clock: Clock;
  #lastActivityAt: number;
  #pieces = 0;
  #digester = new Digester();
  #state: 'idle' | 'receiving' | 'ended' = 'idle';

  constructor(repository: string, spool: Spool, clock: Clock = systemClock) {
    this.repository = repository;
    this.#spool = spool;
    this.#clock = clock;
    this.startedAt = clock.now();
    this.#lastActivityAt = this.startedAt;
  }

  /** When it last took bytes, in milliseconds since the epoch. */
  get lastActivityAt(): number {
    return this.#lastActivityAt;
  }

  /** How many requests have sent bytes. */
  get pieces(): number {
    return this.#pieces;
  }

  /** Bytes received so far: where the next chunk begins. */
  get size(): number {
    return this.#digester.size;
  }

  /** True while a request is sending bytes. */
  get isReceiving(): boolean {
    return this.#state === 'receiving';
  }

  /** True when nothing more can come of it. */
  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /**
   * Takes a body's bytes. When the client goes away in the middle, what has come stays, and the upload can be
   * continued there.
   *
   * @param expectedBytes what the body's Content-Range says; a body of another length spoils the upload (SIZE_MISMATCH)
   */
  async receive(body: AsyncIterable<Buffer>, expectedBytes?: number): Promise<void> {
    this.#refuseWhenEnded();
    const end = expectedBytes === undefined ? Number.POSITIVE_INFINITY : this.size + expectedBytes;
    this.#state = 'receiving';
    this.#pieces++;
    try {
      for await (const chunk of body) {
        this.#refuseWhenEnded();
        if (this.size + chunk.length > end) this.#spoil(wrongLength(expectedBytes));
        await this.#write(chunk);
      }
      this.#refuseWhenEnded();
      if (expectedBytes !== undefined && this.size < end) this.#spoil(wrongLength(expectedBytes));
    } finally {
      if (this.#state === 'receiving') this.#state = 'idle';
      else await this.#spool.discard();
    }
  }

  /**
   * Ends the upload when its bytes have this digest, and gives them to `keep`.
   * Throws DIGEST_MISMATCH; the upload is over then too.
   */
  async finish(digest: Digest, keep: (spool: Spool, size: number) => Promise<void>): Promise<void> {
    try {
      const actual = await this.#digest(digest);
      if (actual !== digest) throw digestMismatch('the upload', digest, actual);
      await keep(this.#spool, this.size);
    } finally {
      await this.discard();
    }
  }

  /** Throws everything away. A request that is sending bytes is refused at its next. */
  async discard(): Promise<void> {
    const wasReceiving = this.isReceiving;
    this.#state = 'ended';
    if (!wasReceiving) await this.#spool.discard();
  }

  async #write(chunk: Buffer): Promise<void> {
    try {
      await this.#spool.write(chunk);
    } catch (error) {
      // How much of it was written nobody knows.
      this.#spoil(error);
    }
    this.#digester.update(chunk);
    this.#lastActivityAt = this.#clock.now();
  }

  #spoil(error: unknown): never {
    this.#state = 'ended';
    throw error;
  }

  #refuseWhenEnded(): void {
    if (this.#state === 'ended') throw refusal('BLOB_UPLOAD_UNKNOWN', 'the upload was cancelled');
  }

  /** The running digest is sha256, as nearly every client's; another one takes a second look at the bytes. */
  async #digest(wanted: Digest): Promise<Digest> {
    const { algorithm } = digestParts(wanted);
    if (algorithm === 'sha256') return this.#digester.digest();
    const digester = new Digester(algorithm);
    for await (const chunk of await this.#spool.read()) digester.update(chunk as Uint8Array);
    return digester.digest();
  }
}

/** The uploads under way, the least recently used first; they end with the process. */
export class Uploads {
  readonly #open = new Map<string, Upload>();
  readonly #spool: () => Spool;
  readonly #clock: Clock;

  constructor(spool: () => Spool, clock: Clock = systemClock) {
    this.#spool = spool;
    this.#clock = clock;
  }

  /** Those that their ids find. */
  list(): readonly Upload[] {
    return Array.from(this.#open.values());
  }

  /** An upload of one request: nobody else can find it. */
  startUnlisted(repository: string): Upload {
    return new Upload(repository, this.#spool(), this.#clock);
  }

  /** An upload that its id finds again. When there are too many, the one that has been idle longest is dropped. */
  async start(repository: string): Promise<Upload> {
    if (this.#open.size >= MOST_SESSIONS) {
      const idlest = Array.from(this.#open.values()).find((upload) => !upload.isReceiving);
      if (!idlest) throw refusal('TOOMANYREQUESTS', 'too many uploads are under way');
      await this.drop(idlest);
    }
    const upload = this.startUnlisted(repository);
    this.#open.set(upload.id, upload);
    return upload;
  }

  /** As {@link find}, but undefined for what is not there. */
  get(repository: string, id: string): Upload | undefined {
    const upload = this.#open.get(id);
    return upload && !upload.hasEnded && upload.repository === repository ? upload : undefined;
  }

  /** Throws an upload away, in the middle of a request too. */
  async drop(upload: Upload): Promise<void> {
    this.remove(upload);
    await upload.discard();
  }

  /** Refuses with BLOB_UPLOAD_UNKNOWN what is not open, or is another repository's. */
  find(repository: string, id: string): Upload {
    const upload = this.#open.get(id);
    if (upload) this.remove(upload);
    if (!upload || upload.hasEnded) throw unknownUpload();
    this.#open.set(id, upload);
    if (upload.repository !== repository) throw unknownUpload();
    return upload;
  }

  /** Takes an upload off the list: whoever asks for it now finds nothing. */
  remove(upload: Upload): void {
    this.#open.delete(upload.id);
  }

  async close(): Promise<void> {
    for (const upload of this.#open.values()) await upload.discard();
    this.#open.clear();
  }
}

function unknownUpload(): RegopsError {
  return refusal('BLOB_UPLOAD_UNKNOWN', 'no such upload');
}

function wrongLength(expectedBytes: number | undefined): RegopsError {
  return new RegopsError(
    'SIZE_MISMATCH',
    `the body is not the ${expectedBytes} bytes its Content-Range names`,
  );
}
