import type { Digest } from '../../../../oci/index.ts';
import { visitLatest } from './latest.ts';
import { eachOnItsOwn, isOk, type Scene, type Workload } from './workload.ts';

/** How often a client looks for its own tag before it goes on. */
const LOOKS = 3;
const PAUSE_MS = 20;

/** How soon lists show what was pushed and deleted: tags of a repository, and the repositories of the registry. */
export const listLag: Workload = {
  operationsPerSite: 600,
  listsCatalog: true,
  async play(scene: Scene) {
    const pushed: Digest[] = [];
    await eachOnItsOwn(scene, async (client) => {
      // Tags in no order, so that lists have something to sort.
      const tag = `${client.below(36).toString(36)}-${client.freshName()}`;
      const manifest = client.freshManifest();
      if (!isOk(await client.putManifest(tag, manifest))) return;
      pushed.push(manifest.digest);
      for (let look = 0; look < LOOKS; look++) {
        const list = await client.listTags();
        if (!isOk(list) || list.names?.includes(tag)) break;
        await client.pause(PAUSE_MS);
      }
      await visitLatest(client);
      if (client.random() < 0.2) await client.listRepositories();
      if (client.random() < 0.2) {
        const [old] = pushed.splice(client.below(pushed.length), 1);
        if (old !== undefined && pushed.length > 0) await client.deleteManifest(old);
      }
    });
  },
};
