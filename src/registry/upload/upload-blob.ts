import { backoffDelayMs, throwIfAborted, withHint } from '../../base/index.ts';
import { headBlob } from '../blobs.ts';
import { pushScope, type RegistryClient } from '../client.ts';
import { statusOf } from '../failure.ts';
import { SMALLEST_CHUNK } from './chunked.ts';
import type { JournalEntry, UploadJournal } from './journal.ts';
import { PassingPieces } from './pieces.ts';
import { UploadSession } from './session.ts';
import { afterPassing, isDigestRefusal, isDrop, isPassing } from './setbacks.ts';
import type { BlobFacts, LastingBlob, UploadSource } from './source.ts';
import {
  chooseWay,
  mayBeLarge,
  PASSING_CHUNK,
  passingWay,
  refusedWay,
  type Way,
  WORTH_RESUMING,
} from './ways.ts';
import type { TransferOptions } from './whole.ts';

const BACKOFF = { baseMs: 500, capMs: 30_000 } as const;

/** A blob that is in the registry now. */
export interface UploadedBlob extends BlobFacts {
  /** Bytes that an earlier run had sent: an upload that it left was gone on with. */
  readonly resumedBytes?: number;
}

export interface UploadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Send in chunks of this many bytes; default: in one request. */
  readonly chunkSize?: number | undefined;
  /** A session that is already open (a mount that the registry answered with 202). */
  readonly session?: UploadSession | undefined;
  /** Where uploads that a crash cuts off are looked for and noted. */
  readonly journal?: UploadJournal | undefined;
  /** Told of bytes as they go out; a negative number when a try is given up and its bytes count no more. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Sends a blob and makes sure it is stored. A try that fails for a passing reason is, after a pause, gone on with
 * where the registry says it is, when that is worth it; else it is given up (its session cancelled) and begun
 * anew, unless the registry turns out to have the blob: a commit often succeeds although its answer was lost.
 * Where one way of sending is refused, or breaks off again and again, the next one is taken.
 *
 * With a journal, an upload that a dead process or a lost network has left is gone on with by the next run. The
 * bytes before that point were checked by nobody but the registry, when it compares the digest: if it does
 * not agree, the blob is sent from its first byte. An abort leaves nothing behind.
 *
 * Of a blob that passes only the chunk under way can be sent again: what needs more ends it with an error that
 * `hasPassed` knows.
 *
 * @throws UPLOAD_REJECTED and `failure`'s errors; DIGEST_MISMATCH and SIZE_MISMATCH when the source does not
 *   hold what it promises
 */
export async function uploadBlob(
  client: RegistryClient,
  repository: string,
  source: UploadSource,
  options: UploadOptions = {},
): Promise<UploadedBlob> {
  const passing = source.kind === 'passing' ? new PassingPieces(source) : undefined;
  try {
    return await new BlobUpload(client, repository, source, passing, options).run();
  } finally {
    passing?.close();
  }
}

/** The way of one blob into a repository, through all its tries. */
class BlobUpload {
  readonly #client: RegistryClient;
  readonly #repository: string;
  #source: UploadSource;
  /** What the source is read by while it passes. */
  #passing: PassingPieces | undefined;
  readonly #options: UploadOptions;
  #entry: JournalEntry | undefined;
  /** Bytes told to `onBytes` that still count. */
  #counted = 0;
  /** Bytes of this session that the registry has acknowledged. */
  #stored = 0;
  /** What the session had when it was taken over from an earlier run. */
  #resumed = 0;
  #drops = 0;
  #digestRefused = false;
  #blob: BlobFacts | undefined;
  /** The session that the journal knows of, and its first note while that is being written. */
  #noted: UploadSession | undefined;
  #noting: Promise<void> | undefined;

  constructor(
    client: RegistryClient,
    repository: string,
    source: UploadSource,
    passing: PassingPieces | undefined,
    options: UploadOptions,
  ) {
    this.#client = client;
    this.#repository = repository;
    this.#source = source;
    this.#passing = passing;
    this.#options = options;
    const content = source.kind === 'known' ? source.digest : source.contentName;
    this.#entry =
      content === undefined
        ? undefined
        : options.journal?.entry({ registry: client.origin, repository, content });
    this.#blob = source.kind === 'known' ? source : undefined;
  }

  async run(): Promise<UploadedBlob> {
    const { signal } = this.#options;
    let session = await this.#firstSession();
    for (let attempt = 1; ; ) {
      session ??= await UploadSession.start(this.#client, this.#repository, signal);
      const way = await this.#wayIn(session);
      const reached = this.#stored;
      try {
        const { digest, size } = await way.send(session, this.#transfer(session));
        await this.#forget();
        return { digest, size, ...(this.#resumed > 0 ? { resumedBytes: this.#resumed } : {}) };
      } catch (error) {
        const next = await this.#afterFailure(error, way.name, session, attempt);
        if (next === 'stored') {
          const { digest, size } = this.#blob as BlobFacts;
          return { digest, size };
        }
        if (next !== 'resume') session = undefined;
        // Who gets on may go on: only tries that move nothing are counted.
        if (next === 'resume' && this.#stored >= reached + SMALLEST_CHUNK) attempt = 1;
        else if (next !== 'otherwise') attempt++;
      }
    }
  }

  /** The upload that an earlier run has left, if it is still as it was noted; else what the options bring. */
  async #firstSession(): Promise<UploadSession | undefined> {
    const { session, signal } = this.#options;
    const noted = await this.#entry?.take();
    if (!noted) return session;
    const left = UploadSession.at(this.#client, this.#repository, noted);
    try {
      const reached = await left.reached(signal);
      if (reached === undefined) return session;
      const tooMuch = this.#source.kind === 'known' && reached > this.#source.size;
      const isEnough = reached >= Math.max(noted.stored, WORTH_RESUMING);
      if (isEnough && !tooMuch && !this.#client.traits.chunksRefused) {
        this.#client.log.trace(`upload to ${this.#where} goes on after ${reached} bytes of an earlier run`);
        this.#resumed = reached;
        this.#moveTo(reached);
        // Taking the note has removed it.
        await this.#note(left);
        await session?.cancel();
        return left;
      }
    } catch (error) {
      await left.cancel();
      await session?.cancel();
      throw error;
    }
    await left.cancel();
    return session;
  }

  /**
   * Decides how to go on after a failed try, and sees to the session it leaves.
   *
   * @returns `stored`: the registry has the blob; `resume`: the same session goes on; `anew` and `otherwise`: with a
   *   new session, the latter without counting as a try
   * @throws the error when there is no more to be done
   */
  async #afterFailure(
    error: unknown,
    way: Way['name'],
    session: UploadSession,
    attempt: number,
  ): Promise<'stored' | 'resume' | 'anew' | 'otherwise'> {
    const { clock, log, retries } = this.#client;
    const { signal } = this.#options;
    const isLast = attempt > retries;
    let isLeft = false;
    try {
      throwIfAborted(signal);
      const other = this.#otherWay(way, error);
      if (other !== undefined) {
        log.trace(`upload to ${this.#where}, sent ${way}: ${other}`);
        this.#beginAnew(error);
        return 'otherwise';
      }
      if (!isPassing(error) || (this.#digestRefused && isDigestRefusal(error))) throw error;
      this.#digestRefused ||= isDigestRefusal(error);
      if (isDrop(error)) this.#drops++;
      if (!isLast) await clock.sleep(backoffDelayMs(attempt, BACKOFF), signal);
      if (await this.#isStored()) {
        this.#count((this.#blob as BlobFacts).size - this.#counted);
        return 'stored';
      }
      if (isLast) {
        // Without a network nothing can be cancelled either; with the note the next run goes on.
        await this.#noting;
        isLeft = isDrop(error) && this.#noted === session;
        throw isLeft ? withHint(error, 'Run it again: it goes on where it was broken off.') : error;
      }
      const reached = isDrop(error) ? await this.#reached(session, way) : undefined;
      if (reached !== undefined) {
        isLeft = true;
        this.#moveTo(reached);
        await this.#note(session);
        log.trace(`upload to ${this.#where} goes on after ${reached} bytes`);
        return 'resume';
      }
      this.#beginAnew(error);
      log.trace(`upload to ${this.#where} starts again (try ${attempt + 1})`);
      return 'anew';
    } finally {
      if (!isLeft) {
        this.#resumed = 0;
        await session.cancel();
        await this.#forget();
      }
    }
  }

  /** Throws the error that would have it so when the first bytes have passed. */
  #beginAnew(error: unknown): void {
    if (this.#passing && !this.#passing.isWhole) throw afterPassing(error);
    this.#moveTo(0);
  }

  get #where(): string {
    return `${this.#client.domain}/${this.#repository}`;
  }

  /** How the blob goes next; a session that is left for an error is cancelled. */
  async #wayIn(session: UploadSession): Promise<Way> {
    const { traits } = this.#client;
    const { chunkSize } = this.#options;
    const state = { chunkSize, from: this.#stored, drops: this.#drops };
    try {
      if (this.#passing) {
        const small = this.#stored === 0 && (await this.#passing.small(PASSING_CHUNK));
        const way = small ? undefined : passingWay(this.#passing, traits, state, session.chunkMinimum);
        if (way) return way;
        this.#source = small || (await this.#passing.keep());
        this.#blob = this.#source;
        this.#passing = undefined;
      }
      return chooseWay(this.#source as LastingBlob, traits, state);
    } catch (error) {
      await session.cancel();
      await this.#forget();
      throwIfAborted(this.#options.signal);
      throw error;
    }
  }

  #transfer(session: UploadSession): TransferOptions {
    return {
      signal: this.#options.signal,
      onBytes: (bytes) => {
        this.#count(bytes);
        if (this.#counted >= WORTH_RESUMING && this.#noted !== session) this.#noting = this.#note(session);
      },
      onStored: async (offset) => {
        this.#stored = offset;
        await this.#noting;
        if (offset >= WORTH_RESUMING) await this.#note(session);
      },
      onKnown: (blob) => {
        this.#blob = blob;
      },
    };
  }

  /** How far the registry got, when a try broke off so late that it is worth going on with it. */
  async #reached(session: UploadSession, way: Way['name']): Promise<number | undefined> {
    if (this.#client.traits.chunksRefused) return undefined;
    const isLarge =
      way === 'in chunks'
        ? this.#passing || mayBeLarge(this.#source as LastingBlob)
        : this.#counted >= WORTH_RESUMING;
    const reached = isLarge ? await session.reached(this.#options.signal) : undefined;
    // What has passed can only be gone on with.
    const least = this.#passing ? 1 : WORTH_RESUMING;
    return reached !== undefined && reached >= Math.max(this.#stored, least) ? reached : undefined;
  }

  /** What is done instead of what was refused; undefined when a refusal says nothing about how the blob was sent. */
  #otherWay(way: Way['name'], error: unknown): string | undefined {
    const other = refusedWay(way, error, this.#source, this.#client, this.#options.chunkSize);
    if (other !== undefined) return other;
    // What the registry has against a session of an earlier run, it may not have against one of ours.
    const isAnswered = statusOf(error) !== undefined && !isDrop(error);
    return this.#resumed > 0 && isAnswered ? 'refused, it starts over' : undefined;
  }

  /** From now on so many bytes are there. */
  #moveTo(offset: number): void {
    this.#count(offset - this.#counted);
    this.#stored = offset;
  }

  #count(bytes: number): void {
    if (bytes === 0) return;
    this.#counted += bytes;
    this.#options.onBytes?.(bytes);
  }

  async #note(session: UploadSession): Promise<void> {
    const place = this.#entry && session.place;
    if (!place || this.#client.traits.chunksRefused) return;
    this.#noted = session;
    if (await this.#entry?.note({ ...place, stored: this.#stored })) return;
    // Nobody would come back to the session.
    this.#entry = undefined;
    this.#noted = undefined;
  }

  async #forget(): Promise<void> {
    await this.#noting;
    if (this.#noted) await this.#entry?.forget();
    this.#noted = undefined;
  }

  /** True when the registry says that it has the blob; what keeps it from saying so is not worth an error of its own. */
  async #isStored(): Promise<boolean> {
    if (this.#blob === undefined) return false;
    const { signal } = this.#options;
    const scopes = [pushScope(this.#repository)];
    try {
      const { state } = await headBlob(this.#client, this.#repository, this.#blob.digest, { signal, scopes });
      return state === 'present';
    } catch {
      throwIfAborted(signal);
      return false;
    }
  }
}
