import type { Client } from '../client.ts';
import { visitLatest } from './latest.ts';
import { pullImage, pushImage } from './ledger.ts';
import { eachOnItsOwn, isOk, type Scene, type Workload } from './workload.ts';

/** Time for a garbage collection to come between the upload of a blob and its use. */
const PAUSE_MS = 300;
const BETWEEN_COLLECTIONS_MS = 500;

/**
 * Garbage is collected while images are pushed: blobs that no manifest refers to yet, and blobs that lost their
 * manifest and are pushed again just then, must be there when the image is pulled.
 */
export const gcRace: Workload = {
  operationsPerSite: 2000,
  async play(scene: Scene) {
    const { collectGarbage, isOver, clients } = scene;
    const [collector, ...others] = clients as readonly [Client, ...Client[]];
    await Promise.all([
      eachOnItsOwn({ ...scene, clients: collectGarbage ? others : clients }, async (client) => {
        await pushAgain(client);
        await visitLatest(client);
      }),
      collectGarbage && collect(collector, collectGarbage, isOver),
    ]);
  },
};

async function collect(client: Client, run: () => Promise<boolean>, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await client.collectGarbage(run);
    await client.pause(BETWEEN_COLLECTIONS_MS);
  }
}

async function pushAgain(client: Client): Promise<void> {
  const blob = client.freshBlob();
  try {
    const image = await pushImage(client, blob, PAUSE_MS);
    if (!image) return;
    await pullImage(client, image);
    if (client.random() < 0.5 || !isOk(await client.deleteManifest(image.digest))) return;
    await client.pause(PAUSE_MS);
    const again = await pushImage(client, blob, 0);
    if (again) await pullImage(client, again);
  } finally {
    blob.release();
  }
}
