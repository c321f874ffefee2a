import type { Readable } from 'node:stream';
import { RegopsError } from '../base/index.ts';
import {
  type Descriptor,
  type Digest,
  digestMismatch,
  digestOf,
  digestParts,
  isDigest,
  LIMITS,
  type Manifest,
  parseManifest,
} from '../oci/index.ts';
import { invalidArchive } from './failures.ts';
import type { Archive, BlobSource, LayerSource } from './model.ts';
import type { ArchiveFiles } from './stored-file.ts';

/** A blob of the layout, by its parsed digest: nothing else of a digest ever reaches a name. */
export function findBlob(files: ArchiveFiles, digest: Digest): BlobSource | undefined {
  const { algorithm, hex } = digestParts(digest);
  const file = files.find(`blobs/${algorithm}/${hex}`);
  return file && { digest, size: file.size, open: () => file.open() };
}

/**
 * The verified bytes of a small blob.
 *
 * @param wanted a digest, or a descriptor whose size is then checked too
 * @param limit bytes above which it is refused instead of read
 * @throws BLOB_NOT_FOUND, MANIFEST_TOO_LARGE, SIZE_MISMATCH, DIGEST_MISMATCH, ARCHIVE_INVALID, IO_FAILED
 */
export async function readBlob(
  archive: Pick<Archive, 'path' | 'blob'>,
  wanted: Digest | Pick<Descriptor, 'digest' | 'size'>,
  limit: number,
): Promise<Buffer> {
  const { digest, size } = isDigest(wanted) ? { digest: wanted, size: undefined } : wanted;
  const what = `${archive.path}: ${digest}`;
  const blob = archive.blob(digest);
  if (!blob) {
    throw new RegopsError('BLOB_NOT_FOUND', `${what} is not in the archive`, {
      hints: [
        'docker save leaves out platforms that were never pulled; choose one that is there with --platform.',
      ],
    });
  }
  if (size !== undefined && blob.size !== size) {
    throw new RegopsError('SIZE_MISMATCH', `${what}: expected ${size} bytes, the archive has ${blob.size}`, {
      details: { expected: size, actual: blob.size },
    });
  }
  return readSource(blob, limit, what);
}

/**
 * The verified bytes of a small blob that is at hand.
 *
 * @param what names it in errors
 * @throws MANIFEST_TOO_LARGE, DIGEST_MISMATCH, ARCHIVE_INVALID, IO_FAILED
 */
export async function readSource(blob: BlobSource, limit: number, what: string): Promise<Buffer> {
  if (blob.size > limit) {
    throw new RegopsError('MANIFEST_TOO_LARGE', `${what}: ${blob.size} bytes; more than ${limit} is refused`);
  }
  const bytes = await collect(blob.open());
  const actual = digestOf(bytes, digestParts(blob.digest).algorithm);
  if (actual !== blob.digest) throw digestMismatch(what, blob.digest, actual);
  return bytes;
}

/** What all manifests of an archive may cost: far more than any real one has. */
const MANIFEST_BUDGET_BYTES = 256 * 1024 ** 2;
/** What reading one costs beside its bytes. */
const MANIFEST_COST_BYTES = 16 * 1024;

/** What the manifests read from an archive have cost so far. */
const spentOnManifests = new WeakMap<object, number>();

/**
 * The manifest or index of a descriptor. Throws as {@link readBlob} does, and MANIFEST_INVALID.
 *
 * Indexes inside indexes make a tree out of a few blobs, each of which may name the next ten thousand times: an
 * archive whose manifests cost too much in all is ARCHIVE_INVALID.
 */
export async function readManifest(
  archive: Pick<Archive, 'path' | 'blob'>,
  descriptor: Pick<Descriptor, 'digest' | 'size' | 'mediaType'>,
): Promise<Manifest> {
  const spent = (spentOnManifests.get(archive) ?? 0) + MANIFEST_COST_BYTES + descriptor.size;
  if (spent > MANIFEST_BUDGET_BYTES) {
    throw invalidArchive(archive.path, 'its indexes name more manifests than can be looked through');
  }
  spentOnManifests.set(archive, spent);
  const bytes = await readBlob(archive, descriptor, LIMITS.manifestBytes);
  return parseManifest(bytes, {
    contentType: descriptor.mediaType,
    digest: descriptor.digest,
    what: `${archive.path}: ${descriptor.digest}`,
  });
}

/**
 * An uncompressed layer blob of an OCI image as a layer that may still be packed: its digest is its
 * diffID. Docker from 25 on, without the containerd store, saves all layers so.
 */
export function plainLayer(blob: BlobSource): LayerSource {
  return { diffId: blob.digest, compression: 'none', size: blob.size, open: () => blob.open() };
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
