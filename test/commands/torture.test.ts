import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { parseFaults, type Testbed } from '../../src/testbed/index.ts';
import { type RunOptions, type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call, pushImage } from '../support/testbed-client.ts';
import { parseXml } from '../support/xml.ts';
import { Screen } from '../unit/progress/streams.ts';
import { ended, openRegistry, type Registry } from './support.ts';

const folder = useTempFolder();
const SUMMARY = '=== Torture Test Summary ===';

/** A registry with two images that misbehaves as the specification says, once they are there. */
async function withImages(faults = ''): Promise<Registry> {
  const registry = await openRegistry();
  for (const repository of ['team/app', 'team/tool']) await pushImage(registry, repository, '1');
  for (const fault of faults === '' ? [] : parseFaults(faults)) registry.faults.add(fault);
  return registry;
}

function torture(
  type: 'monitor' | 'consistency' | 'stress' | 'all',
  registry: Pick<Testbed, 'url'>,
  argv: readonly string[],
  options?: RunOptions,
): Promise<RunResult> {
  return runCommand(`torture ${type}`, ['--registry-url', registry.url, ...argv], options);
}

/** Waits until something is so; the test's own time limit ends a wait in vain. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}

/** Everything that the registry still names. */
async function namesIn(registry: Registry): Promise<string[]> {
  const catalog = JSON.parse((await call(registry, 'GET', '/v2/_catalog')).body.toString());
  const names: string[] = [];
  for (const repository of catalog.repositories) {
    const list = JSON.parse((await call(registry, 'GET', `/v2/${repository}/tags/list`)).body.toString());
    for (const tag of list.tags ?? []) names.push(`${repository}:${tag}`);
  }
  return names;
}

const IMAGES = ['team/app:1', 'team/tool:1'];
const STATE = /State: repos=2, manifests=\d+, blobs=\d+, sessions=0, health=healthy$/m;
const port9 = { url: 'http://127.0.0.1:9' };

describe('monitor', () => {
  test('of an honest registry tells its state in the seed’s lines, and ends with the summary', async () => {
    const registry = await withImages();
    const run = ended(
      0,
      await torture('monitor', registry, ['--duration', '1s', '--state-interval', '300ms']),
    );
    expect(run.stderr).toContain('Starting monitor torture test for 1 seconds');
    expect(run.stderr).toMatch(STATE);
    expect(run.stderr).toContain('Registry health: healthy');
    expect(run.stderr).toContain('Active sessions: 0');
    expect(run.stdout).toContain(`${SUMMARY}\nTotal operations: `);
    expect(run.stdout).toMatch(/^Errors: 0\nSuccess rate: 100\.00%\nState snapshots collected: [2-5]$/m);
    expect(run.stdout).toMatch(/^Final state: repos=2, /m);
    expect(run.stdout).not.toContain('State: repos=2, manifests=2, blobs=4, sessions');
  });

  test('--once looks once', async () => {
    const registry = await withImages();
    const { result } = ended(0, await torture('monitor', registry, ['--once', '--json'])).json();
    expect(result).toMatchObject({
      registry: registry.name,
      api: 'nscr',
      snapshots: 1,
      interrupted: false,
      health: 'healthy',
      initial: { repositories: 2 },
      alerts: [],
    });
    const oci = ended(0, await torture('monitor', registry, ['--once', '--json', '--api', 'oci'])).json();
    expect(oci.result).toMatchObject({ api: 'oci', sessions: null, initial: { repositories: 2 } });
  });

  test('names what got worse while it watched, tells --on-alert, and is exit 1', async () => {
    const registry = await withImages();
    const told = folder('told');
    const run = await torture(
      'monitor',
      registry,
      ['--duration', '3s', '--state-interval', '200ms', '--health-interval', '200ms', '--json'].concat(
        '--on-alert',
        `cat >> ${told}`,
      ),
      {
        whileRunning: async (_signal, _stdout, stderr) => {
          await until(() => STATE.test(stderr()));
          for (const fault of parseFaults('drift=repositories-1,manifests-1; degraded')) {
            registry.faults.add(fault);
          }
        },
      },
    );
    const { result } = ended(1, run).json();
    const kinds = ['health-changed', 'manifests-dropped', 'repositories-dropped'];
    expect(Object.keys(result.alertCounts).toSorted()).toEqual(kinds);
    expect(run.stderr).toContain('WARNING Repository count decreased: 2 -> 1');
    expect(run.stderr).toContain('WARNING Registry health degraded: healthy -> degraded');
    const lines = (await readFile(told, 'utf8')).trimEnd().split('\n');
    const alerts = lines.map((line) => JSON.parse(line));
    expect(alerts).toEqual(result.alerts.map((alert: object) => ({ type: 'alert', alert })));
  });

  test('warns of a session that is too long', async () => {
    const registry = await withImages('session=10m');
    const run = ended(1, await torture('monitor', registry, ['--once']));
    expect(run.stderr).toContain('Starting monitor torture test once\n');
    expect(run.stderr).toMatch(/WARNING Long-running session detected: \S+ \(\d+ms\)/);
    ended(0, await torture('monitor', registry, ['--once', '--long-session', '20m']));
  });

  test('--format ndjson tells what happens when it happens, and what there is at an interrupt', async () => {
    const registry = await withImages('degraded');
    const argv = ['--duration', '10m', '--state-interval', '100ms', '--format', 'ndjson'];
    const run = await torture('monitor', registry, argv, {
      whileRunning: async (signal, stdout) => {
        await until(() => stdout().split('"type":"state"').length > 3);
        expect(stdout()).not.toContain('"type":"result"');
        signal('SIGINT');
      },
    });
    const events = ended(130, run).events('torture.events');
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['sample', 'alert', 'result']));
    expect(events.at(-1)).toMatchObject({
      type: 'result',
      exitCode: 130,
      interrupted: true,
      result: { interrupted: true, health: 'degraded' },
    });
    expect(events.at(-1).result.snapshots).toBeGreaterThan(2);
  });

  test('--format prometheus --output FILE replaces the file at every sample', async () => {
    const registry = await withImages();
    const file = folder('registry.prom');
    const snapshots = async (): Promise<number> => {
      const text = await readFile(file, 'utf8').catch(() => '');
      return Number(/^regops_\w*snapshots_total(?:\{.*\})? (\d+)/m.exec(text)?.[1] ?? 0);
    };
    const argv = ['--duration', '10m', '--state-interval', '100ms', '--format', 'prometheus', '-o', file];
    const seen: number[] = [];
    const run = await torture('monitor', registry, argv, {
      whileRunning: async (signal) => {
        for (const least of [1, 3]) {
          await until(async () => (await snapshots()) >= least);
          seen.push(await snapshots());
        }
        signal('SIGTERM');
      },
    });
    ended(143, run);
    expect(seen[1]).toBeGreaterThan(seen[0] as number);
    expect(await snapshots()).toBeGreaterThanOrEqual(seen[1] as number);
    expect(await readFile(file, 'utf8')).toMatch(/^regops_\w*repositories(\{.*\})? 2$/m);
    expect(run.stdout).toContain('(interrupted)');
  });

  test.each([
    ['', 0, /^TORTURE MONITOR OK - .*repos=2.* \| .*'repositories'=2;;;0/],
    ['degraded', 1, /^TORTURE MONITOR WARNING - health: Registry health degraded/],
    ['unhealthy', 2, /^TORTURE MONITOR CRITICAL - health: Registry health degraded/],
  ])('--format nagios of a registry that is [%s] is %i', async (faults, code, line) => {
    const registry = await withImages(faults);
    const run = ended(code, await torture('monitor', registry, ['--once', '--format', 'nagios']));
    expect(run.stdout).toMatch(line);
    expect(run.stdout.split('\n')).toHaveLength(2);
  });

  test('--format nagios: nobody there is CRITICAL, a bad call UNKNOWN', async () => {
    const nobody = await torture('monitor', port9, ['--once', '--format', 'nagios']);
    expect(ended(2, nobody).stdout).toMatch(/^TORTURE MONITOR CRITICAL - /);
    const bad = await torture('monitor', port9, ['--state-interval', 'x', '--format', 'nagios']);
    expect(ended(3, bad).stdout).toMatch(/^TORTURE MONITOR UNKNOWN - /);
  });

  test('on a terminal the figures are live, and gone when the answer comes', async () => {
    const registry = await withImages();
    const argv = ['--duration', '1s', '--state-interval', '200ms'];
    const run = ended(0, await torture('monitor', registry, argv, { tty: 100 }));
    expect(run.stderr).toMatch(/repositories +2 {2}▁/);
    expect(run.stderr).toContain('health healthy');
    const screen = new Screen(100);
    screen.write(run.stderr);
    expect(screen.shown().join('\n')).toBe('Starting monitor torture test for 1 seconds');
    expect(run.stdout).toContain(SUMMARY);
  });
});

describe('consistency', () => {
  test('of an honest registry finds nothing', async () => {
    const registry = await withImages();
    const run = ended(0, await torture('consistency', registry, ['--once', '--deep']));
    expect(run.stdout).toContain(`${SUMMARY}\nTotal operations: 4\nErrors: 0\nSuccess rate: 100.00%`);
    const { result } = ended(
      0,
      await torture('consistency', registry, ['--duration', '1s', '--json']),
    ).json();
    expect(result).toMatchObject({ passes: 1, findings: [], checked: { repositories: 2, tags: 2 } });
  });

  test('names what is wrong, with the requests that show it, in every format', async () => {
    const registry = await withImages('missing repository=team/app');
    const told = folder('told');
    const run = await torture('consistency', registry, ['--once']);
    expect(ended(1, run).stderr).toMatch(/ERROR missing-blob: /);
    expect(run.stdout).toMatch(/(GET|HEAD) \/v2\/team\/app\/blobs\/sha256:\w+ -> 404/);
    const { result } = ended(1, await torture('consistency', registry, ['--once', '--json'])).json();
    expect(new Set(result.findings.map(({ kind }: { kind: string }) => kind))).toEqual(
      new Set(['missing-blob']),
    );
    expect(result.findings[0]).toMatchObject({
      repository: 'team/app',
      evidence: expect.arrayContaining([expect.objectContaining({ status: 404 })]),
    });

    const lines = ended(1, await torture('consistency', registry, ['--once', '--format', 'ndjson']));
    const findings = lines.events('torture.events').filter(({ type }) => type === 'finding');
    expect(findings).toHaveLength(result.findings.length);

    const junit = ended(
      1,
      await torture('consistency', registry, ['--once', '--format', 'junit', '-o', told]),
    );
    expect(parseXml(await readFile(told, 'utf8')).attributes).toMatchObject({ failures: '1', tests: '10' });
    expect(junit.stdout).toContain('errors');
    const nagios = ended(2, await torture('consistency', registry, ['--once', '--format', 'nagios']));
    expect(nagios.stdout).toMatch(/^TORTURE CONSISTENCY CRITICAL - references: /);
  });

  test('--seed draws the order in which repositories are looked at', async () => {
    const registry = await openRegistry();
    for (let n = 0; n < 20; n++) await pushImage(registry, `app-${n}`, '1');
    const order = async (seed: string): Promise<string[]> => {
      const begun = registry.requests.length;
      ended(0, await torture('consistency', registry, ['--once', '--seed', seed]));
      return registry.requests
        .slice(begun)
        .flatMap(({ path }) => /^\/v2\/(.+)\/tags\/list$/.exec(path)?.[1] ?? []);
    };
    // Four are looked at at once, so those at the beginning are the first four in any order.
    const first = new Set((await order('1')).slice(0, 4));
    expect(new Set((await order('1')).slice(0, 4))).toEqual(first);
    expect(new Set((await order('2')).slice(0, 4))).not.toEqual(first);
  });

  test('an interrupt gives what was found', async () => {
    const registry = await withImages();
    const run = await torture(
      'consistency',
      registry,
      ['--duration', '10m', '--interval', '200ms', '--json'],
      {
        whileRunning: async (signal) => {
          await until(() => registry.requests.length > 30);
          signal('SIGINT');
        },
      },
    );
    const answer = ended(130, run).json();
    expect(answer).toMatchObject({ interrupted: true, result: { interrupted: true, findings: [] } });
    expect(answer.result.passes).toBeGreaterThan(0);
  });
});

describe('stress', () => {
  test('admin, the seed’s load: operations, latencies and the summary', async () => {
    const registry = await withImages();
    const run = ended(0, await torture('stress', registry, ['--duration', '2s', '-c', '3', '--seed', '7']));
    expect(run.stderr).toContain('Starting stress test for 2 seconds with 3 concurrent requests');
    expect(run.stdout).toMatch(new RegExp(`^${SUMMARY}\nTotal operations: [1-9]\\d*\nErrors: 0\n`));
    expect(run.stdout).toMatch(/^MS .* P99 +P99\.9 +MAX/m);
    expect(run.stdout).toContain('admin (nscr API)');
    expect(run.stdout).toMatch(/^seed +7$/m);
  });

  test('thresholds decide: one that is missed is exit 1, in JUnit too', async () => {
    const registry = await withImages();
    const argv = ['--workload', 'pull', '--rate', '50/s', '--count', '20', '--threshold', 'errors<1%'];
    const good = ended(0, await torture('stress', registry, [...argv, '--json'])).json().result;
    expect(good).toMatchObject({
      workload: 'pull',
      totals: { count: 20, failed: 0 },
      thresholds: [{ text: 'errors<1%', value: 0, ok: true }],
    });
    const missed = [...argv, '--threshold', 'rate>9000/s', '--format', 'junit'];
    const suite = parseXml(ended(1, await torture('stress', registry, missed)).stdout);
    expect(suite.attributes).toMatchObject({ failures: '1' });
  });

  test('errors are exit 1, unless a threshold says how many are none', async () => {
    const registry = await withImages('GET manifests status=500 every=2');
    const argv = ['--workload', 'pull', '--count', '10', '-c', '1', '--json'];
    const { result } = ended(1, await torture('stress', registry, argv)).json();
    expect(result.totals.failed).toBeGreaterThan(0);
    expect(result.totals.errors).toHaveProperty('status-500', result.totals.failed);
    ended(0, await torture('stress', registry, [...argv, '--threshold', 'errors<=100%']));
  });

  test('what it writes is gone afterwards', async () => {
    const registry = await withImages();
    const argv = ['--workload', 'push', '--yes-write', '--count', '5', '--blob-size', '2KiB', '--json'];
    const { result } = ended(0, await torture('stress', registry, argv)).json();
    expect(result.cleanup).toMatchObject({
      manifestsPushed: 5,
      manifestsRemoved: 5,
      manifestsLeft: 0,
      left: [],
    });
    expect(result.cleanup.writePrefix).toMatch(/^regops-torture\/\w+$/);
    expect(await namesIn(registry)).toEqual(IMAGES);
  });

  test('what it writes is gone after an interrupt too', async () => {
    const registry = await withImages();
    const argv = ['--workload', 'push', '--yes-write', '--duration', '10m', '--blob-size', '2KiB'].concat(
      '--write-prefix',
      'torture/here',
    );
    const pushed = () =>
      registry.requests.filter(
        ({ method, path }) => method === 'PUT' && /^\/v2\/torture\/here.*\/manifests\//.test(path),
      ).length;
    const run = await torture('stress', registry, [...argv, '--format', 'ndjson'], {
      whileRunning: async (signal) => {
        await until(() => pushed() > 5);
        signal('SIGINT');
      },
    });
    const events = ended(130, run).events('torture.events');
    expect(events.at(-1)).toMatchObject({
      interrupted: true,
      result: { interrupted: true, cleanup: { writePrefix: 'torture/here', manifestsLeft: 0 } },
    });
    expect(events.at(-1).result.totals.count).toBeGreaterThan(0);
    expect(await namesIn(registry)).toEqual(IMAGES);
  });

  test('--format ndjson has a line for each second, html is a page with plots', async () => {
    const registry = await withImages();
    const argv = ['--workload', 'pull', '--rate', '20/s', '--duration', '2s'];
    const events = ended(0, await torture('stress', registry, [...argv, '--format', 'ndjson'])).events(
      'torture.events',
    );
    const loads = events.filter(({ type }) => type === 'load').map(({ sample }) => sample);
    expect(loads).toEqual(events.at(-1).result.series);
    expect(loads.length).toBeGreaterThan(0);

    const page = ended(
      0,
      await torture('stress', registry, [...argv, '--format', 'html', '-o', folder('page')]),
    );
    const html = await readFile(folder('page'), 'utf8');
    expect(html).toMatch(/^<!doctype html>[\s\S]*<svg/);
    expect(html).toContain(SUMMARY);
    expect(html).not.toMatch(/(src|href)="https?:/);
    expect(page.stdout).toMatch(/^\d+ operations in /);
  });

  test('on a terminal the load is live', async () => {
    const registry = await withImages();
    const argv = ['--workload', 'pull', '--duration', '2s', '-c', '1'];
    const run = ended(0, await torture('stress', registry, argv, { tty: 120 }));
    expect(run.stderr).toMatch(/operations\/s +[\d.]+ {2}[▁-█]/);
    expect(run.stderr).toMatch(/after \d.*, \d+ under way/);
    const screen = new Screen(120);
    screen.write(run.stderr);
    expect(screen.shown().join('\n')).not.toContain('operations/s');
  });
});

describe('all', () => {
  const quick = ['--duration', '1s', '--state-interval', '300ms', '-c', '2'];

  test('the three at once, in one report', async () => {
    const registry = await withImages();
    const run = ended(0, await torture('all', registry, quick));
    expect(run.stderr).toContain('Starting all torture test for 1 seconds');
    expect(run.stderr).toMatch(STATE);
    expect(run.stdout.split(SUMMARY)).toHaveLength(2);
    expect(run.stdout).toMatch(/^State snapshots collected: [2-9]$/m);
    for (const part of ['probe', 'checked', 'admin (nscr API)']) expect(run.stdout).toContain(part);
    const { result } = ended(0, await torture('all', registry, [...quick, '--json'])).json();
    expect(result).toMatchObject({
      phases: 'concurrent',
      interrupted: false,
      monitor: { alerts: [] },
      consistency: { findings: [] },
      stress: { workload: 'admin', totals: { failed: 0 } },
    });
  });

  test('one after the other', async () => {
    const registry = await withImages();
    const argv = [...quick, '--phases', 'sequential', '--json'];
    const { result } = ended(0, await torture('all', registry, argv)).json();
    const began = ['monitor', 'consistency', 'stress'].map((phase) => Date.parse(result[phase].startedAt));
    expect(began).toEqual(began.toSorted((a, b) => a - b));
    expect(result.durationMs).toBeGreaterThan(result.monitor.durationMs);
  });

  test.each([
    ['degraded', 'WARNING', 'health'],
    ['missing repository=team/app', 'CRITICAL', 'references'],
    ['/api/registry/sessions status=500', 'CRITICAL', 'probes'],
  ])('%s is exit 1, whichever part finds it; nagios says %s', async (faults, state, check) => {
    const registry = await withImages(faults);
    ended(1, await torture('all', registry, quick));
    const line = await torture('all', registry, [...quick, '--format', 'nagios']);
    expect(line.stdout).toMatch(new RegExp(`^TORTURE ALL ${state} - ${check}: `));
    expect(line.exitCode).toBe(state === 'WARNING' ? 1 : 2);
  });

  test.each([
    ['degraded', 'torture.all.monitor', 'health', 'warn'],
    ['missing repository=team/app', 'torture.all.consistency', 'references', 'fail'],
    ['GET manifests status=500 every=2', 'torture.all.stress', 'errors', 'fail'],
  ])('--format junit: %s is a failure of %s', async (faults, suite, name, type) => {
    const registry = await withImages(faults);
    const argv = [...quick, '--workload', 'pull', '--format', 'junit'];
    const { children, attributes } = parseXml(ended(1, await torture('all', registry, argv)).stdout);
    expect(Number(attributes['failures'])).toBeGreaterThan(0);
    const cases = children.find((one) => one.attributes['name'] === suite)?.children ?? [];
    const judged = cases.find((one) => one.attributes['name'] === name);
    expect(judged?.children).toMatchObject([{ name: 'failure', attributes: { type } }]);
  });

  test('--format junit of an honest registry has a suite for each part, and nothing is red', async () => {
    const registry = await withImages();
    const { children, attributes } = parseXml(
      ended(0, await torture('all', registry, [...quick, '--format', 'junit'])).stdout,
    );
    expect(attributes).toMatchObject({ failures: '0', errors: '0' });
    expect(children.map((one) => one.attributes['name'])).toEqual(
      ['monitor', 'consistency', 'stress'].map((part) => `torture.all.${part}`),
    );
  });

  test.each([
    ['deletes', ['--workload', 'delete']],
    ['cleans up while the others go on', ['--workload', 'mixed', '--count', '30']],
    ['cleans up below a prefix', ['--workload', 'push', '--count', '30', '--write-prefix', 'torture/here']],
  ])('is not alarmed when it %s itself, nor by what that leaves', async (_what, load) => {
    const registry = await withImages();
    const argv = ['--duration', '2s', '--state-interval', '50ms', '--interval', '300ms', '-c', '2', '--json'];
    for (const api of ['nscr', 'oci']) {
      const run = await torture('all', registry, [
        ...[...argv, ...load, '--api', api, '--yes-write', '--blob-size', '2KiB'],
      ]);
      const { result } = ended(0, run).json();
      expect(result.stress.cleanup).toMatchObject({ manifestsLeft: 0 });
      expect(result.consistency.findings).toEqual([]);
      const severities = result.monitor.alerts.map(({ severity }: { severity: string }) => severity);
      expect(new Set(severities)).toEqual(new Set(severities.length > 0 ? ['note'] : []));
    }
  });

  test('an interrupt gives what all of them had', async () => {
    const registry = await withImages();
    const argv = ['--duration', '10m', '--state-interval', '100ms', '--workload', 'mixed', '--yes-write'];
    const run = await torture('all', registry, [...argv, '--blob-size', '2KiB', '--json'], {
      whileRunning: async (signal, _stdout, stderr) => {
        await until(() => /State: repos=/.test(stderr()));
        await until(() => registry.requests.filter(({ method }) => method === 'PUT').length > 20);
        signal('SIGINT');
      },
    });
    const answer = ended(130, run).json();
    expect(answer).toMatchObject({
      interrupted: true,
      result: {
        interrupted: true,
        monitor: { interrupted: true },
        consistency: { interrupted: true },
        stress: { interrupted: true, cleanup: { manifestsLeft: 0 } },
      },
    });
    expect(await namesIn(registry)).toEqual(IMAGES);
  });

  test('one part that cannot run does not keep the others from telling', async () => {
    const registry = await openRegistry();
    const argv = [...quick, '--workload', 'pull', '--json'];
    const answer = ended(66, await torture('all', registry, argv)).json();
    expect(answer).toMatchObject({
      error: { code: 'IMAGE_NOT_FOUND' },
      result: { stress: null, monitor: { health: 'healthy' } },
    });
  });
});

test.each(['monitor', 'consistency', 'stress', 'all'] as const)(
  'torture --test-type %s is that test, and an empty registry is no problem',
  async (type) => {
    const registry = await openRegistry();
    const argv = ['--registry-url', registry.url, '--test-type', type, '--duration', '1', '--json'];
    const answer = ended(0, await runCommand('torture', argv)).json();
    const sign = { monitor: 'probes', consistency: 'findings', stress: 'workload', all: 'phases' }[type];
    expect(answer).toMatchObject({ schema: 'regops.torture/1', result: { [sign]: expect.anything() } });
  },
);

describe('refuses', () => {
  test.each([
    ['stress', ['--threshold', 'p42<1s']],
    ['stress', ['--threshold', 'errors']],
    ['stress', ['--stages', '10/s']],
    ['stress', ['--stages', '10/s:1s', '--rate', '5/s']],
    ['stress', ['--rate', 'fast']],
    ['stress', ['--weights', 'sing:1']],
    ['stress', ['--workload', 'mixed', '--weights', 'pull:0,push:0']],
    ['stress', ['--blob-size', '0']],
    ['stress', ['--write-prefix', 'UPPER']],
    ['stress', ['--abort-on-fail']],
    ['stress', ['--workload', 'push']],
    ['stress', ['--workload', 'delete']],
    ['all', ['--workload', 'mixed']],
    ['all', ['--write-prefix', 'a'.repeat(201)]],
    ['all', ['--warmup', '1h']],
    ['stress', ['--warmup', '60s']],
    ['consistency', ['--repository', '(']],
    ['monitor', ['--state-interval', 'often']],
    ['monitor', ['--duration', '0']],
    ['monitor', ['--duration', '1000d']],
    ['monitor', ['--health-interval', '0']],
    ['consistency', ['--interval', '0s']],
    ['all', ['--once']],
  ] as const)('torture %s %o, and asks nobody', async (type, argv) => {
    const registry = await openRegistry();
    const run = ended(64, await torture(type, registry, [...argv, '--json']));
    expect(run.json().error.code).toMatch(/^(USAGE|REFERENCE_INVALID)$/);
    expect(registry.requests).toEqual([]);
  });

  test.each(['monitor', 'consistency', 'stress', 'all'] as const)(
    'torture %s of a port where nobody listens is 69',
    async (type) => {
      const run = ended(69, await torture(type, port9, ['--duration', '1s', '--json']));
      expect(run.json().error.code).toBe('CONNECTION_FAILED');
    },
  );

  test('an --on-alert that fails is a warning, and no more', async () => {
    const registry = await withImages('degraded');
    const run = await torture('monitor', registry, ['--once', '--json', '--on-alert', 'exit 3']);
    expect(ended(1, run).json().warnings).toEqual(['--on-alert: the command ended with exit code 3']);
  });
});
