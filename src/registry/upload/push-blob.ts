import { isRegopsError, RegopsError, throwIfAborted } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import { headBlob } from '../blobs.ts';
import { pushScope, type RegistryClient } from '../client.ts';
import { UploadSession } from './session.ts';
import type { UploadSource } from './source.ts';
import { uploadBlob } from './upload-blob.ts';

/** How a blob came to be in the repository. */
export type BlobStatus = 'exists' | 'mounted' | 'uploaded';

export interface PushedBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly status: BlobStatus;
}

export interface PushBlobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Repositories of this registry that hold the blob already; tried in order. */
  readonly mountFrom?: readonly string[];
  readonly chunkSize?: number | undefined;
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
  const presence = await headBlob(client, repository, digest, { signal: options.signal, scopes });
  if (presence.state === 'present') {
    if (presence.size !== undefined && presence.size !== size) {
      throw new RegopsError(
        'PROTOCOL_VIOLATION',
        `${client.domain}/${repository} says blob ${digest} has ${presence.size} bytes; it has ${size}`,
      );
    }
    return { digest, size, status: 'exists' };
  }
  const mounted = await mountFromAny(client, repository, digest, options);
  if (mounted === 'mounted') return { digest, size, status: 'mounted' };
  if (source === undefined) {
    await mounted?.cancel();
    return undefined;
  }
  const uploaded = await uploadBlob(client, repository, source, { ...options, session: mounted });
  return { ...uploaded, status: 'uploaded' };
}

async function mountFromAny(
  client: RegistryClient,
  repository: string,
  digest: Digest,
  options: PushBlobOptions,
): Promise<'mounted' | UploadSession | undefined> {
  let session: UploadSession | undefined;
  for (const from of options.mountFrom ?? []) {
    if (client.traits.mountRefused || from === repository) continue;
    // A registry that does not mount opened a session instead: one is enough.
    await session?.cancel();
    try {
      const outcome = await UploadSession.mount(client, repository, digest, from, options.signal);
      if (outcome === 'mounted') return outcome;
      session = outcome;
    } catch (error) {
      throwIfAborted(options.signal);
      if (!isRegopsError(error)) throw error;
      client.traits.mountRefused = true;
      client.log.trace(`mount from ${from} failed (${error.message}); blobs are uploaded`);
      session = undefined;
    }
  }
  return session;
}
