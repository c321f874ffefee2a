import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestbed } from '../../src/testbed/index.ts';
import { anyDamage } from '../support/archive-damage.ts';
import { makeImage, writeOciLayout } from '../support/image-archives.ts';
import { runCommand } from '../support/run-command.ts';
import { startDockerd } from '../support/servers/dockerd.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { openSkopeo } from '../support/servers/skopeo.ts';
import { expectWhole } from '../support/whole-image.ts';

// What commands/hostile-archives does to archives of the tests' own is done here to those that skopeo and docker wrote.

const RUNS = Number(process.env['HOSTILE_RUNS'] ?? 60);
const SEED = Number(process.env['HOSTILE_SEED'] ?? 7);

requireServers('skopeo', 'dockerd')('damage to archives of others', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  beforeAll(async () => {
    folder = await temporaryFolder('hostile-archives');
    const image = await makeImage({
      seed: 'real',
      names: ['app:1'],
      layers: [{ size: 3000 }, { size: 700 }],
    });
    await writeOciLayout(join(folder.path, 'layout'), [image]);
    const [skopeo, dockerd] = await Promise.all([openSkopeo(), startDockerd()]);
    try {
      const source = `oci:${join(folder.path, 'layout')}`;
      await skopeo.copy(source, `docker-archive:${join(folder.path, 'skopeo docker-archive')}:app:1`);
      await skopeo.copy(source, `oci-archive:${join(folder.path, 'skopeo oci-archive')}:app:1`);
      await dockerd.importBaseImage('base:1', { 'etc/os-release': 'ID=test\n' });
      await dockerd.commitImage('app:1', 'base:1', { 'srv/data': 'second layer' });
      await dockerd.save(['app:1', 'base:1'], join(folder.path, 'docker save'));
    } finally {
      await Promise.all([skopeo.close(), dockerd.close()]);
    }
  });
  afterAll(() => folder?.remove());

  test.each(['skopeo docker-archive', 'skopeo oci-archive', 'docker save'])('%s', async (name) => {
    const whole = await readFile(join(folder.path, name));
    const path = join(folder.path, 'damaged.tar');
    const tmp = join(folder.path, 'tmp');
    await mkdir(tmp, { recursive: true });
    await fc.assert(
      fc.asyncProperty(anyDamage(), async (damage) => {
        await writeFile(path, damage(whole));
        let manifests = 0;
        const registry = await startTestbed({
          onRequest: ({ method, path: asked }) => {
            if (method === 'PUT' && asked.includes('/manifests/')) manifests++;
          },
        });
        try {
          const argv = [path, '--registry-url', registry.url, '--retries', '0'];
          const run = await runCommand('push-tar', argv, { env: { TMPDIR: tmp } });
          // 64 is for images that lost the names they would be pushed by.
          expect([0, 64, 65, 66], run.stderr + run.stdout).toContain(run.exitCode);
          if (run.exitCode !== 0) expect(manifests).toBe(0);
          else
            for (const line of run.stdout.trim().split('\n'))
              await expectWhole(registry, line.replace(/@.*/, ''));
          expect(await readdir(tmp)).toEqual([]);
        } finally {
          await registry.close();
        }
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });
});
