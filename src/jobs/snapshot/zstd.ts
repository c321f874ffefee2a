import { RegopsError } from '../../base/index.ts';
import type { Engine } from '../../engine/index.ts';
import { type Digest, formatReference, MEDIA_TYPES, type Platform, type Reference } from '../../oci/index.ts';
import type { RegistryClient } from '../../registry/index.ts';
import { heldLayers } from './held-layers.ts';
import type { SnapshotContext } from './options.ts';
import { configOf, registryImage } from './registry-side.ts';

const READS_ZSTD_SINCE = 23;
const ZSTD: readonly string[] = [MEDIA_TYPES.ociLayerZstd, MEDIA_TYPES.dockerLayerZstd];

/** Docker reads layers that are packed with zstd since 23; an older one fails with "invalid tar header". */
export function readsZstd({ version }: Pick<Engine, 'version'>): boolean {
  return version.product !== 'docker' || !(Number.parseInt(version.version, 10) < READS_ZSTD_SINCE);
}

/** Says before the push that the engine of the snapshot could not take it back. */
export function warnOfZstd(engine: Engine, { log, packing }: SnapshotContext): void {
  if (packing.compression !== 'zstd' || readsZstd(engine)) return;
  log.warn(
    `layers that are packed with zstd can be restored by Docker ${READS_ZSTD_SINCE} and newer only; this engine is ${engine.version.version}`,
  );
}

/**
 * Refuses, before anything is fetched, what the engine could not read.
 *
 * @throws UNSUPPORTED_BY_SERVER for an image with layers in zstd which an old engine does not hold already
 */
export async function refuseZstd(
  reference: Reference,
  digest: Digest,
  client: RegistryClient,
  engine: Engine,
  { signal }: SnapshotContext,
  platform?: Platform,
): Promise<void> {
  if (readsZstd(engine)) return;
  const image = await registryImage(client, reference.repository, digest, signal, platform);
  const { layers } = image.manifest.document;
  const highest = layers.findLastIndex(({ mediaType }) => ZSTD.includes(mediaType));
  if (highest === -1) return;
  const config = await configOf(client, reference.repository, image, signal);
  if ((await heldLayers(engine, config?.rootfs.diff_ids ?? [], signal)) > highest) return;
  throw new RegopsError(
    'UNSUPPORTED_BY_SERVER',
    `${formatReference(reference)} has layers that are packed with zstd, which this engine, Docker ${engine.version.version}, cannot read`,
    {
      hints: [
        `Pull it with Docker ${READS_ZSTD_SINCE} or newer, or podman.`,
        'Or push it anew from where it was made: --from-image REF --compression gzip.',
      ],
    },
  );
}
