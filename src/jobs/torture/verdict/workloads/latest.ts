import type { Client } from '../client.ts';
import type { BlobName } from '../manifest.ts';

/** The tag that everybody moves, beside what a workload is about. */
const TAG = 'latest';

/** Now and then a client moves the tag that all share, as builds do, or looks where it is: there they race. */
export async function visitLatest(client: Client, blobs: readonly BlobName[] = []): Promise<void> {
  const choice = client.random();
  if (choice < 0.3) await client.putManifest(TAG, client.freshManifest(blobs));
  else if (choice < 0.6) await client.getManifest(TAG);
}
