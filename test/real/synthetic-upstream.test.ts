import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseSynthetic, startTestbed } from '../../src/testbed/index.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { openSkopeo } from '../support/servers/skopeo.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call } from '../support/testbed-client.ts';

// What the synthetic upstream is for: a real cache pulls it through, a real client accepts it, and the counts are true.
const describeReal = requireServers('docker-registry', 'skopeo');
const folder = useTempFolder();
const ACCESS = { source: { verifyTls: false } };

/** What skopeo wrote: every file is named by the digest of its bytes. Gives their sizes by name. */
async function checkedBlobs(dir: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of (await readdir(dir)).filter((file) => /^[0-9a-f]{64}$/.test(file))) {
    const bytes = await readFile(join(dir, name));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(name);
    sizes.set(name, bytes.length);
  }
  return sizes;
}

describeReal('the synthetic upstream', () => {
  test.each([
    ['images', ''],
    ['indexes of images', ',index'],
  ])('gives %s through docker-registry as a cache to skopeo', async (_what, more) => {
    const testbed = await startTestbed({
      synthetic: parseSynthetic(`images=100000,layers=5,sizes=50KiB:3,1MiB:1,seed=7${more}`),
    });
    const skopeo = await openSkopeo();
    const cache = await startDockerRegistry({ proxyUpstream: testbed.url });
    try {
      const repositories = ['synthetic/image000042-0002', 'synthetic/image100000-0010'];
      let bytes = 0;
      for (const [at, repository] of repositories.entries()) {
        const pulled = folder(`pulled${more}${at}`);
        const direct = folder(`direct${more}${at}`);
        await skopeo.copy(`docker://${cache.host}/${repository}:latest`, `dir:${pulled}`, ACCESS);
        const blobs = await checkedBlobs(pulled);
        expect(blobs.size).toBe(6);
        for (const size of blobs.values()) bytes += size;
        const { distinctBlobs } = testbed.traffic();
        await skopeo.copy(`docker://127.0.0.1:${testbed.port}/${repository}:latest`, `dir:${direct}`, ACCESS);
        expect(await checkedBlobs(direct)).toEqual(blobs);
        // skopeo fetched just what the cache had fetched for it.
        expect(testbed.traffic().distinctBlobs).toBe(distinctBlobs);
      }
      const traffic = testbed.traffic();
      expect(traffic.distinctBlobs).toBe(12);
      // skopeo fetches a blob once, the cache also twice: for its client and for its own storage (distribution 2.8).
      expect(traffic.blobGets).toBeGreaterThanOrEqual(24);
      expect(traffic.blobGets).toBeLessThanOrEqual(36);
      expect(traffic.maxGetsOfOneBlob).toBeLessThanOrEqual(3);
      expect(traffic.blobBytes).toBeGreaterThanOrEqual(2 * bytes);
      expect((await call(testbed, 'GET', '/api/regops/traffic')).json).toEqual(traffic);

      testbed.resetTraffic();
      await skopeo.copy(
        `docker://${cache.host}/${repositories[0]}:latest`,
        `dir:${folder(`again${more}`)}`,
        ACCESS,
      );
      expect(testbed.traffic().blobGets).toBe(0);
    } finally {
      await Promise.all([cache.close(), skopeo.close(), testbed.close()]);
    }
  });
});
