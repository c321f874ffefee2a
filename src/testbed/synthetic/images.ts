import { type Digest, digestOf, hostPlatform, MEDIA_TYPES, type Platform } from '../../oci/index.ts';
import type { Layer, LayerMaker } from './layers.ts';
import type { SyntheticSpec } from './spec.ts';

/** A manifest or an index. */
export interface SyntheticManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** A configuration or a layer. */
export interface SyntheticBlob {
  readonly size: number;
  /** Its number among all blobs of the registry, from 0. */
  readonly ordinal: number;
  parts(): readonly Uint8Array[];
}

/** All that hangs on one tag. */
export interface SyntheticImage {
  readonly number: number;
  /** What the tag names: an image's manifest, or the index. */
  readonly top: SyntheticManifest;
  readonly manifests: ReadonlyMap<Digest, SyntheticManifest>;
  readonly blobs: ReadonlyMap<Digest, SyntheticBlob>;
}

/** Makes images from their numbers. They are for the platform of this machine's containers, and with an index for one more. */
export class ImageMaker {
  readonly #layers: LayerMaker;
  readonly #layerCount: number;
  readonly #platforms: readonly Platform[];

  constructor({ layers, index }: SyntheticSpec, layerMaker: LayerMaker) {
    const host = hostPlatform();
    const other = { os: 'linux', architecture: host.architecture === 'amd64' ? 'arm64' : 'amd64' };
    this.#layers = layerMaker;
    this.#layerCount = layers;
    this.#platforms = index ? [host, other] : [host];
  }

  /** @param number from 0 */
  image(number: number): SyntheticImage {
    const blobs = new Map<Digest, SyntheticBlob>();
    const images = this.#platforms.map((platform, at) =>
      this.#platformImage(platform, number * this.#platforms.length + at, blobs),
    );
    const [only] = images as [SyntheticManifest];
    const top = images.length === 1 ? only : this.#index(images);
    const manifests = new Map([top, ...images].map((manifest) => [manifest.digest, manifest]));
    return { number, top, manifests, blobs };
  }

  #platformImage(platform: Platform, number: number, blobs: Map<Digest, SyntheticBlob>): SyntheticManifest {
    let ordinal = number * (this.#layerCount + 1);
    const layers = Array.from({ length: this.#layerCount }, (_, at) => this.#layers.layer(`${number}/${at}`));
    const configBytes = configOf(platform, number, layers);
    const config = digestOf(configBytes);
    blobs.set(config, { size: configBytes.length, ordinal: ordinal++, parts: () => [configBytes] });
    for (const layer of layers) {
      blobs.set(layer.digest, {
        size: layer.size,
        ordinal: ordinal++,
        parts: () => this.#layers.bytes(layer),
      });
    }
    return manifestOf(MEDIA_TYPES.ociManifest, {
      config: { mediaType: MEDIA_TYPES.ociConfig, digest: config, size: configBytes.length },
      layers: layers.map(({ digest, size }) => ({ mediaType: MEDIA_TYPES.ociLayer, digest, size })),
    });
  }

  #index(images: readonly SyntheticManifest[]): SyntheticManifest {
    return manifestOf(MEDIA_TYPES.ociIndex, {
      manifests: images.map(({ mediaType, digest, bytes }, at) => ({
        mediaType,
        digest,
        size: bytes.length,
        platform: this.#platforms[at],
      })),
    });
  }
}

/** The configuration of an image; an uncompressed layer's diffID is its digest. */
function configOf(platform: Platform, number: number, layers: readonly Layer[]): Buffer {
  const created = '1970-01-01T00:00:00Z';
  return Buffer.from(
    JSON.stringify({
      created,
      ...platform,
      config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] },
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      history: layers.map((_, at) => ({ created, created_by: `regops synthetic ${number}/${at}` })),
    }),
  );
}

function manifestOf(mediaType: string, fields: object): SyntheticManifest {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...fields }));
  return { digest: digestOf(bytes), mediaType, bytes };
}
