import { backoffDelayMs, isRegopsError, throwIfAborted } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import { headBlob } from '../blobs.ts';
import { pushScope, type RegistryClient } from '../client.ts';
import { registryCodeOf, statusOf } from '../failure.ts';
import { SMALLEST_CHUNK, uploadChunked } from './chunked.ts';
import { UploadSession } from './session.ts';
import type { BlobFacts, UploadSource } from './source.ts';
import { type TransferOptions, uploadStreamed, uploadWhole } from './whole.ts';

const BACKOFF = { baseMs: 500, capMs: 30_000 } as const;
/** Chunks to begin with where a whole blob is too large: below Cloudflare's lowest limit of 100 MB. */
const FIRST_CHUNK = 64 * 1024 * 1024;

/** A blob that is in the registry now. */
export type UploadedBlob = BlobFacts;

export interface UploadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Send in chunks of this many bytes; default: in one request. */
  readonly chunkSize?: number | undefined;
  /** A session that is already open (a mount that the registry answered with 202). */
  readonly session?: UploadSession | undefined;
  /** Told of bytes as they go out; a negative number when a try is given up and its bytes count no more. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Sends a blob and makes sure it is stored. A try that fails for a passing reason is given up (its session
 * cancelled) and begun anew after a pause, unless the registry turns out to have the blob: a commit often
 * succeeds although its answer was lost. Where one way of sending is refused, the next one is taken.
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
  const { signal } = options;
  let { session } = options;
  let digestRefused = false;
  for (let attempt = 1; ; session = undefined) {
    session ??= await UploadSession.start(client, repository, signal);
    const way = wayOf(client, source, options.chunkSize);
    let blob: BlobFacts | undefined = source.kind === 'known' ? source : undefined;
    let sent = 0;
    try {
      const { digest, size } = await way.send(session, {
        signal,
        onBytes(bytes) {
          sent += bytes;
          options.onBytes?.(bytes);
        },
        onKnown(facts) {
          blob = facts;
        },
      });
      return { digest, size };
    } catch (error) {
      await session.cancel();
      throwIfAborted(signal);
      const other = learnOtherWay(client, source, way.name, error);
      if (!other && (!isPassing(error) || (digestRefused && isDigestRefusal(error)))) throw error;
      options.onBytes?.(-sent);
      if (other) {
        client.log.trace(`${client.domain} refused a blob sent ${way.name}; ${other}`);
        continue;
      }
      digestRefused ||= isDigestRefusal(error);
      const last = attempt > client.retries;
      if (!last) await client.clock.sleep(backoffDelayMs(attempt, BACKOFF), signal);
      if (blob && (await isStored(client, repository, blob.digest, signal))) {
        options.onBytes?.(blob.size);
        return { digest: blob.digest, size: blob.size };
      }
      if (last) throw error;
      attempt++;
      client.log.trace(`upload to ${client.domain}/${repository} starts again (try ${attempt})`);
    }
  }
}

/** One of the three ways to send a blob. */
interface Way {
  readonly name: 'whole' | 'as a stream' | 'in chunks';
  send(session: UploadSession, transfer: TransferOptions): Promise<BlobFacts>;
}

function wayOf({ traits }: RegistryClient, source: UploadSource, asked: number | undefined): Way {
  const streamed: Way = {
    name: 'as a stream',
    send: (session, transfer) => uploadStreamed(session, source, transfer),
  };
  if (source.kind === 'streamed') return streamed;
  const chunkSize = Math.min(asked ?? Number.POSITIVE_INFINITY, traits.bodyLimit ?? Number.POSITIVE_INFINITY);
  if (source.size > chunkSize) {
    return {
      name: 'in chunks',
      async send(session, transfer) {
        await uploadChunked(session, source, chunkSize, transfer);
        return source;
      },
    };
  }
  if (traits.wholePutRefused) return streamed;
  return {
    name: 'whole',
    async send(session, transfer) {
      await uploadWhole(session, source, transfer);
      return source;
    },
  };
}

/** Remembers what a refusal says about the way a blob was sent: what to do instead, or undefined when it says nothing. */
function learnOtherWay(
  { traits }: RegistryClient,
  source: UploadSource,
  way: Way['name'],
  error: unknown,
): string | undefined {
  if (source.kind !== 'known') return undefined;
  const status = statusOf(error);
  // A 404 with a code is about the session or the repository, not about the PUT.
  const wholePutRefused =
    isRegopsError(error, 'UNSUPPORTED_BY_SERVER') || (status === 404 && registryCodeOf(error) === undefined);
  if (way === 'whole' && wholePutRefused) {
    traits.wholePutRefused = true;
    return 'blobs are streamed';
  }
  if (way !== 'in chunks' && status === 413 && source.size > SMALLEST_CHUNK) {
    const half = Math.max(SMALLEST_CHUNK, Math.floor(source.size / 2));
    traits.bodyLimit = Math.min(traits.bodyLimit ?? FIRST_CHUNK, half);
    return 'it is sent in chunks';
  }
  return undefined;
}

/** Failures that a new try may get past. A 429 is none: all its repeats have been made, or it wants too long a wait. */
function isPassing(error: unknown): boolean {
  if (!isRegopsError(error)) return false;
  if (['CONNECTION_FAILED', 'TIMED_OUT', 'SERVER_ERROR'].includes(error.code)) return true;
  // The session is gone, or not where we are.
  const sessionLost =
    ['BLOB_UPLOAD_UNKNOWN', 'BLOB_UPLOAD_INVALID'].includes(registryCodeOf(error) ?? '') ||
    (error.code === 'UPLOAD_REJECTED' && [404, 416].includes(statusOf(error) ?? 0));
  return sessionLost || isDigestRefusal(error);
}

/** The registry got other bytes than we sent (ours were checked on the way): worth one new try. */
function isDigestRefusal(error: unknown): boolean {
  return ['DIGEST_INVALID', 'SIZE_INVALID'].includes(registryCodeOf(error) ?? '');
}

/** True when the registry says that it has the blob; what keeps it from saying so is not worth an error of its own. */
async function isStored(
  client: RegistryClient,
  repository: string,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    const scopes = [pushScope(repository)];
    return (await headBlob(client, repository, digest, { signal, scopes })).state === 'present';
  } catch {
    throwIfAborted(signal);
    return false;
  }
}
