import { visitLatest } from './latest.ts';
import { isOk, type Scene, together, type Workload } from './workload.ts';

/** All clients upload the very same blob at once, as when a hundred builds share a layer; then all need it. */
export const herd: Workload = {
  operationsPerSite: 4000,
  async play({ clients, isOver }: Scene) {
    const [first] = clients;
    while (first && !isOver()) {
      const blob = first.freshBlob();
      const { digest, size } = blob;
      const puts = await together(clients, (client) => client.putBlob(blob));
      blob.release();
      if (!puts.some(isOk)) continue;
      await together(clients, async (client) => {
        await client.headBlob(digest);
        await client.getBlob(digest);
        const tag = client.freshName();
        if (isOk(await client.putManifest(tag, client.freshManifest([{ digest, size }])))) {
          await client.getManifest(tag);
        }
        await client.getBlob(digest);
        await visitLatest(client, [{ digest, size }]);
      });
    }
  },
};
