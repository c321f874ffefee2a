import type { Client } from '../client.ts';
import { eachOnItsOwn, type Workload } from './workload.ts';

const TAGS = 64;
/** The higher, the fewer tags get most of the operations. */
const SKEW = 4;

/**
 * Tags as registers: everybody pushes to and reads the same tags, as fast as they can. On a few all clients meet; the
 * rarer a tag is written, the longer there is time to see that a push has gone lost.
 */
export const register: Workload = {
  operationsPerSite: 4000,
  play: (scene) =>
    eachOnItsOwn(scene, async (client) => {
      const tag = `t${Math.floor(TAGS * client.random() ** SKEW)}`;
      if (client.random() < 0.4) await write(client, tag);
      else if (client.random() < 0.75) await client.getManifest(tag);
      else await client.headManifest(tag);
    }),
};

/** Every other writer looks at what he has done. */
async function write(client: Client, tag: string): Promise<void> {
  await client.putManifest(tag, client.freshManifest());
  if (client.random() < 0.5) await client.getManifest(tag);
}
