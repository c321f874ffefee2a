import type { Digest } from '../../../../oci/index.ts';
import type { FreshBlob } from '../../workloads/blobs.ts';
import type { Client } from '../client.ts';
import { CONFIG_BLOB } from '../manifest.ts';
import { visitLatest } from './latest.ts';
import { eachOnItsOwn, isOk, type Scene, type Workload } from './workload.ts';

/** Between the upload of a blob and its use. */
const PAUSE_MS = 50;
const MAX_IMAGES = 500;

/** An image that got 201. */
export interface Image {
  readonly tag: string;
  readonly digest: Digest;
  readonly blob: Digest;
}

/** What got 201 must be there: blobs, then images of them, are pushed, and pulled whole again and again. */
export const ledger: Workload = {
  operationsPerSite: 4000,
  async play(scene: Scene) {
    const images: Image[] = [];
    await eachOnItsOwn(scene, async (client) => {
      const blob = client.freshBlob();
      const image = await pushImage(client, blob, PAUSE_MS);
      blob.release();
      if (image) {
        await pullImage(client, image);
        images[images.length < MAX_IMAGES ? images.length : client.below(MAX_IMAGES)] = image;
      }
      const other = images[client.below(images.length)];
      if (other) await pullImage(client, other);
      await visitLatest(client);
    });
  },
};

/**
 * A blob, after up to `pauseMs` the look whether it is there, and an image of it; undefined when something was refused.
 * Without a pause nobody looks.
 */
export async function pushImage(
  client: Client,
  blob: FreshBlob,
  pauseMs: number,
): Promise<Image | undefined> {
  const { digest, size } = blob;
  if (!isOk(await client.putBlob(blob))) return undefined;
  if (pauseMs > 0) {
    await client.pause(pauseMs);
    const look = await (client.random() < 0.5 ? client.headBlob(digest) : client.getBlob(digest));
    if (isOk(look) && look.value === null) return undefined;
  }
  const manifest = client.freshManifest([{ digest, size }]);
  const tag = client.freshName();
  let pushed = await client.putManifest(tag, manifest);
  // A garbage collection may have taken the config that no manifest referred to yet.
  if (pushed.outcome === 'fail' && isOk(await client.putBlob(CONFIG_BLOB))) {
    pushed = await client.putManifest(tag, manifest);
  }
  return isOk(pushed) ? { tag, digest: manifest.digest, blob: digest } : undefined;
}

/** Everything of an image, from a tag or a digest on. */
export async function pullImage(client: Client, { tag, digest, blob }: Image): Promise<void> {
  await client.getManifest(client.random() < 0.5 ? tag : digest);
  await client.headManifest(digest);
  await client.getBlob(blob);
}
