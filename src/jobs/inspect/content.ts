import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { type Archive, readBlob as readArchiveBlob, readManifest } from '../../archive/index.ts';
import { RegopsError } from '../../base/index.ts';
import { type Descriptor, type Manifest, parseManifest, verifyingStream } from '../../oci/index.ts';
import { getManifest, headBlob, openBlob, type RegistryClient, readBlob } from '../../registry/index.ts';

type BlobId = Pick<Descriptor, 'digest' | 'size'>;

/** Where manifests and blobs are read from: a repository or an archive look the same to what comes after. */
export interface Content {
  /** True when absent content is a fault; false for archives, which may lawfully be sparse. */
  readonly complete: boolean;
  manifest(descriptor: Descriptor, signal: AbortSignal): Promise<Manifest>;
  /**
   * What is there without reading it: a size, `unknown` when the other side does not tell, or nothing. Throws as
   * `open` does where it has to be asked in that way.
   */
  presence(blob: BlobId, signal: AbortSignal): Promise<{ size: number | 'unknown' } | undefined>;
  /** The bytes, verified against the digest as they pass. */
  open(blob: BlobId, signal: AbortSignal): Promise<Readable>;
  /** A small blob, verified. */
  read(blob: BlobId, maxBytes: number, signal: AbortSignal): Promise<Uint8Array>;
}

/** The content of a repository. */
export function repositoryContent(client: RegistryClient, repository: string): Content {
  return {
    complete: true,
    async manifest(descriptor, signal) {
      const manifest = await getManifest(client, repository, descriptor.digest, signal);
      // The parent's word on the type must hold too (CVE-2021-41190).
      return parseManifest(manifest.bytes, {
        contentType: descriptor.mediaType,
        digest: descriptor.digest,
        what: `manifest ${descriptor.digest}`,
      });
    },
    async presence(blob, signal) {
      const presence = await headBlob(client, repository, blob.digest, { signal });
      if (presence.state === 'absent') return undefined;
      if (presence.state === 'present') return { size: presence.size ?? 'unknown' };
      // A HEAD that was refused says nothing; what begins to come is there.
      (await openBlob(client, repository, blob, signal)).destroy();
      return { size: 'unknown' };
    },
    open: (blob, signal) => openBlob(client, repository, blob, signal),
    read: (blob, maxBytes, signal) => readBlob(client, repository, blob, maxBytes, signal),
  };
}

/** The content of an archive's OCI part. */
export function archiveContent(archive: Archive): Content {
  return {
    complete: false,
    manifest: (descriptor) => readManifest(archive, descriptor),
    async presence(blob) {
      const source = archive.blob(blob.digest);
      return source && { size: source.size };
    },
    async open(blob) {
      const source = archive.blob(blob.digest);
      if (!source) throw new RegopsError('BLOB_NOT_FOUND', `${archive.path} does not hold ${blob.digest}`);
      const verified = verifyingStream(blob, `blob ${blob.digest} of ${archive.path}`);
      pipeline(source.open(), verified, () => {});
      return verified;
    },
    async read(blob, maxBytes) {
      const source = archive.blob(blob.digest);
      if (!source) throw new RegopsError('BLOB_NOT_FOUND', `${archive.path} does not hold ${blob.digest}`);
      return readArchiveBlob(archive, source, maxBytes);
    },
  };
}
