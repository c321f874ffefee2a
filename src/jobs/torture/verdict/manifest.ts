import { type Digest, digestOf, MEDIA_TYPES } from '../../../oci/index.ts';
import type { FreshBlob } from '../workloads/blobs.ts';
import { CONFIG } from '../workloads/push.ts';

/** A blob as a manifest names it. */
export interface BlobName {
  readonly digest: Digest;
  readonly size: number;
}

/** A manifest as it goes to the registry. */
export interface Manifest {
  readonly digest: Digest;
  readonly body: Buffer;
  readonly blobs: readonly Digest[];
  readonly subject?: BlobName;
}

const CONFIG_NAME: BlobName = { digest: digestOf(CONFIG), size: CONFIG.length };

/** The config that all manifests share, to be pushed again where a garbage collection took it. */
export const CONFIG_BLOB: FreshBlob = {
  ...CONFIG_NAME,
  range: (first, end) => CONFIG.subarray(first, end),
  release() {},
};

/**
 * A manifest on top of the config that all share. Its name is an annotation, so that no two manifests have one digest
 * and what a tag gives says who wrote it; it stands at the
 * beginning and at the end, so that a mixture of two manifests is neither of them. Without blobs of its own it has the config as its only layer, for some
 * registries refuse an image without layers.
 *
 * @param name the same for no two manifests, ever
 */
export function manifestOf(name: string, blobs: readonly BlobName[] = [], subject?: BlobName): Manifest {
  const layers = blobs.length > 0 ? blobs : [CONFIG_NAME];
  const annotations = { 'regops.torture': name };
  const body = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      annotations,
      ...(subject ? { artifactType: 'application/vnd.regops.torture' } : {}),
      config: { mediaType: MEDIA_TYPES.ociConfig, ...CONFIG_NAME },
      ...(subject ? { subject: { mediaType: MEDIA_TYPES.ociManifest, ...subject } } : {}),
      layers: layers.map((blob) => ({ mediaType: MEDIA_TYPES.ociLayer, ...blob, annotations })),
    }),
  );
  return {
    digest: digestOf(body),
    body,
    blobs: blobs.map(({ digest }) => digest),
    ...(subject ? { subject } : {}),
  };
}
