import { expect, test } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import {
  type DockerRegistry,
  type DockerRegistryOptions,
  startDockerRegistry,
} from '../support/servers/docker-registry.ts';
import { requireServers } from '../support/servers/requirements.ts';

// What distribution 2.8 really keeps, proved from the history of what clients did to it.
const describeReal = requireServers('docker-registry');

/**
 * distribution 2.8 lists tags in the order of its folder, which the spec forbids, and answers 500 to who reads a tag while
 * the file that it is in is written.
 */
const KNOWN = ['tag-list-order', 'server-error'];

async function withRegistry<T>(
  work: (registry: DockerRegistry) => Promise<T>,
  options: DockerRegistryOptions = {},
): Promise<T> {
  const registry = await startDockerRegistry(options);
  try {
    return await work(registry);
  } finally {
    await registry.close();
  }
}

function stress(registry: DockerRegistry, workload: string, argv: readonly string[] = []) {
  return runCommand('torture stress', [
    ...['--registry-url', registry.url, '--workload', workload, '--require', 'linearizable', '--yes-write'],
    ...['--duration', '4s', '--settle', '1s', '-c', '16', '--json', ...argv],
  ]);
}

describeReal('distribution 2.8', () => {
  test.each([
    ['register', KNOWN],
    ['ledger', KNOWN],
    ['herd', KNOWN],
    ['list-lag', KNOWN],
    ['session-hop', KNOWN],
    // What is deleted by digest takes a tag along that is moved to another digest just then (distribution#3525).
    ['delete-retag', [...KNOWN, 'sibling-tag-removed']],
  ])('%s: keeps all but what it is known for', async (workload, known) => {
    await withRegistry(async (registry) => {
      const run = await stress(registry, workload, ['--allow', known.join(',')]);
      const { result } = run.json();
      const broken = result.invariants.filter(({ violations }: { violations: number }) => violations > 0);
      expect(known).toEqual(expect.arrayContaining(broken.map(({ name }: { name: string }) => name)));
      expect(run.exitCode).toBe(0);
      expect(result.operations).toBeGreaterThan(50);
      expect(result).toMatchObject({ late: 0, cleanup: { manifestsLeft: 0, left: [], complete: true } });
    });
  });

  test('with bearer tokens: every repository of the run gets its own', async () => {
    await withRegistry(
      async (registry) => {
        const realm = new URL(registry.tokenServer?.realm ?? '').host;
        const access = [
          '--username',
          registry.username,
          '--password',
          registry.password,
          '--allow-realm',
          realm,
        ];
        const { result } = (await stress(registry, 'list-lag', access)).json();
        expect(result.cleanup).toMatchObject({ manifestsLeft: 0, complete: true });
        expect(result.operations).toBeGreaterThan(50);
        expect(result.cleanup.manifestsPushed).toBeGreaterThan(10);
      },
      { auth: 'token' },
    );
  });

  test('has no referrers API to judge', async () => {
    await withRegistry(async (registry) => {
      const run = await stress(registry, 'referrers');
      expect(run.json()).toMatchObject({ exitCode: 76, error: { code: 'UNSUPPORTED_BY_SERVER' } });
    });
  });
});
