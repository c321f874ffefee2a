/** Media types of the OCI image spec 1.1 (media-types.md) and of Docker's image manifest v2, schema 2. */
export const MEDIA_TYPES = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  /** Not in Docker's documents, but what containers/image and BuildKit write for zstd in a docker manifest. */
  dockerLayerZstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
  dockerForeignLayer: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
} as const;

/** Docker's old signed manifest: recognised only to be refused with a clear word. */
export const SCHEMA1_MEDIA_TYPES: readonly string[] = [
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
];

const IMAGE_TYPES: readonly string[] = [MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest];
const INDEX_TYPES: readonly string[] = [MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerManifestList];

/** What to send as Accept when any manifest will do. */
export const MANIFEST_ACCEPT: readonly string[] = [...IMAGE_TYPES, ...INDEX_TYPES];

export function isImageMediaType(mediaType: string): boolean {
  return IMAGE_TYPES.includes(mediaType);
}

export function isIndexMediaType(mediaType: string): boolean {
  return INDEX_TYPES.includes(mediaType);
}

/** True for what is stored under /manifests/ and not under /blobs/. */
export function isManifestMediaType(mediaType: string): boolean {
  return isImageMediaType(mediaType) || isIndexMediaType(mediaType);
}

/** True for layers that registries do not hold (Windows base layers; image spec "non-distributable"). */
export function isForeignLayer(mediaType: string): boolean {
  return (
    mediaType === MEDIA_TYPES.dockerForeignLayer ||
    mediaType.startsWith('application/vnd.oci.image.layer.nondistributable.')
  );
}

/** A media type header without its parameters, lower-cased: `Application/JSON; charset=utf-8` → `application/json`. */
export function bareMediaType(header: string): string {
  return (header.split(';', 1)[0] ?? '').trim().toLowerCase();
}

/** How a layer's bytes are packed. */
export type LayerCompression = 'none' | 'gzip' | 'zstd';

/** Whose media types an image's manifest, configuration and layers have. */
export type ImageFamily = 'docker' | 'oci';

/** Docker's schema 2 for an image with these layers, or OCI when one is packed with zstd, which schema 2 does not know. */
export function imageFamily(packings: readonly LayerCompression[]): ImageFamily {
  return packings.includes('zstd') ? 'oci' : 'docker';
}

/** The media type of a configuration in a manifest of that family. */
export function configMediaType(family: ImageFamily): string {
  return family === 'oci' ? MEDIA_TYPES.ociConfig : MEDIA_TYPES.dockerConfig;
}

/** The media type of a layer of that packing in a manifest of that family. */
export function layerMediaType(family: ImageFamily, compression: LayerCompression): string {
  const types = {
    oci: {
      none: MEDIA_TYPES.ociLayer,
      gzip: MEDIA_TYPES.ociLayerGzip,
      zstd: MEDIA_TYPES.ociLayerZstd,
    },
    docker: {
      none: MEDIA_TYPES.dockerLayer,
      gzip: MEDIA_TYPES.dockerLayerGzip,
      zstd: MEDIA_TYPES.dockerLayerZstd,
    },
  };
  return types[family][compression];
}
