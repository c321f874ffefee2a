import { describe } from 'vitest';
import { missing, type ServerName } from './packages.ts';

/**
 * Says at the top of a test file which servers it starts, and gives the `describe` to wrap it in:
 *
 *     const describeReal = requireServers('docker-registry', 'skopeo');
 *     describeReal('push', () => { … });
 *
 * Where one is missing the suites are skipped, with a line that says why. With CI=true the file fails.
 * Hooks belong inside the suite, so that they are skipped with it.
 */
export function requireServers(...servers: readonly ServerName[]): typeof describe.skip {
  const absent = missing(servers);
  if (absent.length === 0) return describe;
  const list = absent
    .map((it) => (it.package ? `${it.what} (Debian package ${it.package})` : it.what))
    .join(', ');
  if (process.env['CI'] === 'true') throw new Error(`this test needs ${list}`);
  process.stderr.write(`skipped, because it needs ${list}; \`npm run test:all\` as root installs it\n`);
  return describe.skip;
}
