import { expect, test } from 'vitest';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';
import { requireServers } from '../support/servers/requirements.ts';
import { openSkopeo, skopeoAccess } from '../support/servers/skopeo.ts';

// The promise of torture on a real registry: load leaves nothing behind.
const describeReal = requireServers('docker-registry', 'skopeo');

describeReal('stress --workload mixed', () => {
  test.each(['htpasswd', 'token'] as const)(
    'with %s: pulls and pushes without an error, and nothing is left',
    async (auth) => {
      const registry = await startDockerRegistry({ auth });
      const skopeo = await openSkopeo();
      try {
        const access = [
          ...['--registry-url', registry.url, '--username', registry.username, '--password-stdin'],
          ...(registry.tokenServer ? ['--allow-realm', new URL(registry.tokenServer.realm).host] : []),
        ];
        const run = (words: string, argv: readonly string[]): Promise<RunResult> =>
          runCommand(words, [...argv, ...access, '--json'], { stdin: `${registry.password}\n` });
        const mixed = await run('torture stress', [
          ...['--workload', 'mixed', '--yes-write', '--weights', 'pull:3,push:2'],
          ...['--blob-size', '1KiB:5,64KiB:2,1MiB:1', '--chunk-size', '256KiB'],
          ...['--count', '200', '--seed', '7', '--threads', '2', '--write-prefix', 'scratch/load'],
        ]);
        const { totals, operations, cleanup, dropped, unfinished } = mixed.json().result;
        expect({ ...totals.errors, dropped, unfinished }).toEqual({ dropped: 0, unfinished: 0 });
        expect(operations.map(({ kind }: { kind: string }) => kind)).toEqual(
          expect.arrayContaining(['pull', 'push', 'push_chunked']),
        );
        expect(cleanup).toMatchObject({ left: [], manifestsLeft: 0, complete: true });
        expect(cleanup.manifestsDeleted + cleanup.manifestsRemoved).toBe(cleanup.manifestsPushed);
        expect(cleanup.manifestsPushed).toBeGreaterThan(0);
        // One client at a time: deletes beside pushes to one repository meet distribution's own races (#3525).
        const deleted = await run('torture stress', [
          ...['--workload', 'delete', '--yes-write', '--blob-size', '1KiB', '--concurrent-requests', '1'],
          ...['--count', '10', '--duration', '30s', '--write-prefix', 'scratch/load'],
        ]);
        expect(deleted.json().result.totals.errors).toEqual({});
        expect(deleted.json().result.cleanup).toMatchObject({ left: [], manifestsLeft: 0 });
        // distribution keeps the names of repositories, but no tag of ours.
        for (const thread of [0, 1]) {
          const tags = await skopeo
            .listTags(`${registry.host}/scratch/load/w${thread}`, skopeoAccess(registry))
            .catch(() => []);
          expect(tags).toEqual([]);
        }
      } finally {
        await Promise.all([registry.close(), skopeo.close()]);
      }
    },
  );
});
