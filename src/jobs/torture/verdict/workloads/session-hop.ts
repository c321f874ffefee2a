import type { Client } from '../client.ts';
import { visitLatest } from './latest.ts';
import { eachOnItsOwn, isOk, type Workload } from './workload.ts';

const PAUSE_MS = 30;

/**
 * Each step of an upload goes over a connection of its own, with pauses: where uploads are kept by one replica, or swept
 * away too early, the next step does not find them.
 */
export const sessionHop: Workload = {
  operationsPerSite: 3000,
  play: (scene) =>
    eachOnItsOwn(scene, async (client) => {
      await upload(client);
      await visitLatest(client.by(0));
    }),
};

async function upload(client: Client): Promise<void> {
  const open = await client.by(0).openUpload();
  if (!open) return;
  const blob = client.freshBlob();
  const half = Math.max(1, Math.floor(blob.size / 2));
  try {
    await client.pause(PAUSE_MS);
    if (!isOk(await client.by(1).extendUpload(open, blob, half))) return;
    await client.pause(PAUSE_MS);
    if (client.random() < 0.1) {
      await client.by(2).cancelUpload(open);
      return;
    }
    if (client.random() < 0.5 && !isOk(await client.by(2).extendUpload(open, blob, blob.size))) return;
    if (!isOk(await client.by(0).endUpload(open, blob))) return;
  } finally {
    blob.release();
  }
  await client.by(1).headBlob(blob.digest);
  await client.by(2).getBlob(blob.digest);
}
