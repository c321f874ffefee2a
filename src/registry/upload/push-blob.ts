import { isRegopsError, RegopsError, throwIfAborted } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import { type BlobPresence, headBlob } from '../blobs.ts';
import { pushScope, type RegistryClient } from '../client.ts';
import type { UploadJournal } from './journal.ts';
import { UploadSession } from './session.ts';
import type { BlobFacts, UploadSource } from './source.ts';
import { uploadBlob } from './upload-blob.ts';

/** Each costs a request before the blob is sent after all. */
const MOST_CANDIDATES = 3;

/** How a blob came to be in the repository. */
export type BlobStatus = 'exists' | 'mounted' | 'uploaded';

export interface PushedBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly status: BlobStatus;
  /** Of what was uploaded, the bytes that an earlier run had sent. */
  readonly resumedBytes?: number;
}

export interface PushBlobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Repositories of this registry that hold the blob already; tried in order. */
  readonly mountFrom?: readonly string[];
  /** Repositories that held it some time ago: they are asked first. */
  readonly mountCandidates?: readonly string[];
  /** Told of a candidate that does not hold it any more, or keeps it from us. */
  readonly onCandidateGone?: (repository: string) => void;
  /** The registry has said that it lacks the blob: it is not asked for it. */
  readonly isAbsent?: boolean;
  readonly chunkSize?: number | undefined;
  readonly journal?: UploadJournal | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Sees to it that a repository has a blob of known digest: asks for it, mounts it from a repository that
 * has it, and only then sends it. A mount that fails in any way falls back to the upload.
 *
 * @returns undefined when the blob is absent and there is no source to send it from
 */
export async function pushBlob(
  client: RegistryClient,
  repository: string,
  blob: { readonly digest: Digest; readonly size: number },
  source: UploadSource | undefined,
  options: PushBlobOptions = {},
): Promise<PushedBlob | undefined> {
  const { digest, size } = blob;
  const scopes = [pushScope(repository)];
  const presence: BlobPresence = options.isAbsent
    ? { state: 'absent' }
    : await headBlob(client, repository, digest, { signal: options.signal, scopes });
  if (presence.state === 'present') {
    if (presence.size !== undefined && presence.size !== size) {
      throw new RegopsError(
        'PROTOCOL_VIOLATION',
        `${client.domain}/${repository} says blob ${digest} has ${presence.size} bytes; it has ${size}`,
      );
    }
    return { digest, size, status: 'exists' };
  }
  const mounted = await mountFromAny(client, repository, blob, options);
  if (mounted === 'mounted') return { digest, size, status: 'mounted' };
  if (source === undefined) {
    await mounted?.cancel();
    return undefined;
  }
  const uploaded = await uploadBlob(client, repository, source, { ...options, session: mounted });
  return { ...uploaded, status: 'uploaded' };
}

/** Mounts from the first repository that can be mounted from; else gives the session that the last try opened, if any. */
async function mountFromAny(
  client: RegistryClient,
  repository: string,
  blob: BlobFacts,
  options: PushBlobOptions,
): Promise<'mounted' | UploadSession | undefined> {
  let session: UploadSession | undefined;
  try {
    for await (const [from, refusal] of mountSources(client, repository, blob, options)) {
      // A registry that does not mount opened a session instead: one is enough.
      await session?.cancel();
      session = undefined;
      const outcome = await mountFrom(client, repository, blob.digest, from, options.signal);
      if (outcome === 'mounted') return outcome;
      if (outcome === undefined) client.traits[refusal] = true;
      session = outcome;
    }
    return session;
  } catch (error) {
    await session?.cancel();
    throw error;
  }
}

/** As {@link UploadSession.mount}; what goes wrong is a refusal. */
async function mountFrom(
  client: RegistryClient,
  repository: string,
  digest: Digest,
  from: string,
  signal: AbortSignal | undefined,
): ReturnType<typeof UploadSession.mount> {
  try {
    return await UploadSession.mount(client, repository, digest, from, signal);
  } catch (error) {
    throwIfAborted(signal);
    if (!isRegopsError(error)) throw error;
    client.log.trace(`mount from ${from} failed (${error.message}); blobs are uploaded`);
    return undefined;
  }
}

/** What remembers that a mount was refused. */
type MountRefusal = 'mountRefused' | 'candidateRefused';

/**
 * Where to mount from, for as long as the registry does not refuse it. A candidate that went stale, or that may not
 * be mounted from any more, must not look like a refusal of all mounts.
 */
async function* mountSources(
  client: RegistryClient,
  repository: string,
  blob: BlobFacts,
  { mountFrom = [], mountCandidates = [], onCandidateGone, signal }: PushBlobOptions,
): AsyncGenerator<readonly [from: string, refusal: MountRefusal]> {
  const certain = new Set(mountFrom);
  const candidates = mountCandidates.filter((from) => !certain.has(from) && from !== repository);
  for (const from of certain) {
    if (client.traits.mountRefused) return;
    if (from !== repository) yield [from, 'mountRefused'];
  }
  for (const from of candidates.slice(0, MOST_CANDIDATES)) {
    if (client.traits.mountRefused || client.traits.candidateRefused) return;
    if (await holds(client, from, blob, signal)) yield [from, 'candidateRefused'];
    else onCandidateGone?.(from);
  }
}

async function holds(
  client: RegistryClient,
  repository: string,
  { digest, size }: BlobFacts,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    const presence = await headBlob(client, repository, digest, { signal });
    return presence.state === 'present' && (presence.size ?? size) === size;
  } catch {
    throwIfAborted(signal);
    return false;
  }
}
