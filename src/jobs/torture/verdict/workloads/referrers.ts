import type { Client } from '../client.ts';
import type { Manifest } from '../manifest.ts';
import { visitLatest } from './latest.ts';
import { isOk, type Scene, together, type Workload } from './workload.ts';

/** All clients attach something to one manifest at once, as signers do; every attachment has to be listed. */
export const referrers: Workload = {
  operationsPerSite: 1500,
  async play({ clients, isOver }: Scene) {
    const [first] = clients;
    while (first && !isOver()) {
      const subject = first.freshManifest();
      if (!isOk(await first.putManifest(first.freshName(), subject))) continue;
      await together(clients, async (client) => {
        await attach(client, subject);
        await client.listReferrers(subject.digest);
        await visitLatest(client);
      });
      await together(clients, (client) => client.listReferrers(subject.digest));
    }
  },
};

async function attach(client: Client, { digest, body }: Manifest): Promise<void> {
  const referrer = client.freshManifest([], { digest, size: body.length });
  if (!isOk(await client.putManifest(referrer.digest, referrer))) return;
  if (client.random() < 0.3) await client.getManifest(referrer.digest);
}
