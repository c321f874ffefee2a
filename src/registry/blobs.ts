import { pipeline, type Readable } from 'node:stream';
import { escapeText, RegopsError } from '../base/index.ts';
import { discardBody, headerOf } from '../http/index.ts';
import { type Digest, verifyingStream } from '../oci/index.ts';
import { deleteScope, pullScope, type RegistryClient } from './client.ts';
import { failure } from './failure.ts';

/** What a HEAD says about a blob. */
export type BlobPresence =
  | { readonly state: 'present'; readonly size?: number }
  | { readonly state: 'absent' }
  /** The registry did not say (Artifactory answers 403 for what is missing, others 405). */
  | { readonly state: 'unknown' };

/**
 * Asks for a blob without its bytes (distribution spec, end-2).
 * Throws only for what no retry or upload could get past: 401, 429, 5xx and the network.
 */
export async function headBlob(
  client: RegistryClient,
  repository: string,
  digest: Digest,
  options: { signal?: AbortSignal | undefined; scopes?: readonly string[] } = {},
): Promise<BlobPresence> {
  const response = await client.request({
    method: 'HEAD',
    to: `${repository}/blobs/${digest}`,
    scopes: options.scopes ?? [pullScope(repository)],
    signal: options.signal,
  });
  const { status } = response;
  if (status === 200) {
    await discardBody(response);
    const length = headerOf(response, 'content-length');
    return length !== undefined && /^\d+$/.test(length)
      ? { state: 'present', size: Number(length) }
      : { state: 'present' };
  }
  if (status === 404) {
    await discardBody(response);
    return { state: 'absent' };
  }
  if (status === 401 || status === 429 || status >= 500) {
    throw await failure(client, response, `check of blob ${digest} in ${repository}`, 'BLOB_NOT_FOUND');
  }
  await discardBody(response);
  return { state: 'unknown' };
}

/**
 * Opens a blob for reading (end-2). The stream fails with DIGEST_MISMATCH or SIZE_MISMATCH unless it
 * delivers exactly what the digest promises; destroying it closes the connection.
 *
 * @throws BLOB_NOT_FOUND and what {@link failure} maps
 */
export async function openBlob(
  client: RegistryClient,
  repository: string,
  blob: { readonly digest: Digest; readonly size?: number },
  signal?: AbortSignal,
): Promise<Readable> {
  const what = `blob ${blob.digest} in ${repository}`;
  const response = await client.request({
    method: 'GET',
    to: `${repository}/blobs/${blob.digest}`,
    // A proxy that packs the bytes on the way would change what the digest is of.
    headers: { accept: '*/*', 'accept-encoding': 'identity' },
    scopes: [pullScope(repository)],
    signal,
  });
  if (response.status !== 200) throw await failure(client, response, `pull of ${what}`, 'BLOB_NOT_FOUND');
  const encoding = headerOf(response, 'content-encoding')?.trim().toLowerCase() || 'identity';
  if (encoding !== 'identity') {
    response.body.destroy();
    throw new RegopsError(
      'PROTOCOL_VIOLATION',
      `${what}: served with Content-Encoding ${escapeText(encoding.slice(0, 40))}`,
    );
  }
  const verified = verifyingStream(blob, what);
  // Errors of either side reach whoever reads the result; the callback has nothing to add.
  pipeline(response.body, verified, () => {});
  return verified;
}

/** Reads a small blob whole, verified. Throws RESPONSE_TOO_LARGE beyond `maxBytes`. */
export async function readBlob(
  client: RegistryClient,
  repository: string,
  blob: { readonly digest: Digest; readonly size?: number },
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  const tooLarge = new RegopsError(
    'RESPONSE_TOO_LARGE',
    `blob ${blob.digest} in ${repository}: larger than ${maxBytes} bytes`,
  );
  if (blob.size !== undefined && blob.size > maxBytes) throw tooLarge;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of await openBlob(client, repository, blob, signal)) {
    size += (chunk as Buffer).length;
    if (size > maxBytes) throw tooLarge;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks, size);
}

/** Deletes a blob (end-10). Throws BLOB_NOT_FOUND, UNSUPPORTED_BY_SERVER and what {@link failure} maps. */
export async function deleteBlob(
  client: RegistryClient,
  repository: string,
  digest: Digest,
  signal?: AbortSignal,
): Promise<void> {
  const response = await client.request({
    method: 'DELETE',
    to: `${repository}/blobs/${digest}`,
    scopes: [deleteScope(repository)],
    signal,
  });
  if (response.status >= 300) {
    throw await failure(client, response, `delete of blob ${digest} in ${repository}`, 'BLOB_NOT_FOUND');
  }
  await discardBody(response);
}
