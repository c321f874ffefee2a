import { mapConcurrently } from '../../base/index.ts';
import type { Engine } from '../../engine/index.ts';
import type { Digest } from '../../oci/index.ts';

/** Images that are looked at: beyond, asking takes longer than it may save. */
const IMAGES_MAX = 500;
const AT_ONCE = 8;

/**
 * How many of an image's layers, from the lowest on, the engine has in one of its images: it takes these from there and
 * does not look for them in an archive that it loads (moby: image/tarexport/load.go). None for containerd's image
 * store, which would end up with an image without content, and for podman, which reads every layer.
 *
 * @param diffIds digests of the plain layers, the lowest first
 */
export async function heldLayers(
  engine: Engine,
  diffIds: readonly Digest[],
  signal: AbortSignal,
): Promise<number> {
  if (engine.version.product !== 'docker' || (await engine.info()).containerdStore) return 0;
  const images = (await engine.images.list([])).slice(0, IMAGES_MAX);
  const shared = await mapConcurrently(images, AT_ONCE, signal, async ({ id }, either) => {
    // An image may go while we look.
    const image = await engine.images.find(id as Digest, { signal: either });
    const differs = diffIds.findIndex((diffId, at) => image?.layers[at] !== diffId);
    return differs === -1 ? diffIds.length : differs;
  });
  return Math.max(0, ...shared);
}
