import { describe, expect, test } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import {
  call,
  type Image,
  indexOf,
  OCI_INDEX,
  prepareImage,
  pushImage,
  putManifest,
} from '../support/testbed-client.ts';
import { ended, openRegistry, type Registry } from './support.ts';

// What issue 3 promises of the commands: a fault of the registry is found and named, and nothing else is.

interface Sample {
  readonly registry: Registry;
  readonly app: Image;
  readonly other: Image;
}

/** Two repositories: two images under three tags, and an index with one child. */
async function sample(): Promise<Sample> {
  const registry = await openRegistry();
  const app = await pushImage(registry, 'team/app', 'v1');
  await putManifest(registry, 'team/app', 'v1-again', app.text);
  const other = await pushImage(registry, 'team/app', 'v2');
  const child = await prepareImage(registry, 'team/multi');
  await putManifest(registry, 'team/multi', child.digest, child.text);
  await putManifest(registry, 'team/multi', 'latest', indexOf([child], { mediaType: OCI_INDEX }));
  return { registry, app, other };
}

interface Verdict {
  readonly exitCode: number;
  readonly found: readonly string[];
}

/** Runs a command with `--json` and gives its exit code and what it found. */
type Ask = (registry: Registry, argv?: readonly string[]) => Promise<Verdict>;

const consistency: Ask = async ({ url }, argv = []) => {
  const run = await runCommand('torture consistency', ['--registry-url', url, '--once', '--json', ...argv]);
  const { findings } = run.json().result;
  return {
    exitCode: run.exitCode,
    found: findings.map((finding: Record<string, string | null>) =>
      [finding['severity'], finding['kind'], finding['repository'], finding['reference']]
        .filter((part) => part !== null)
        .join(' '),
    ),
  };
};

const monitor: Ask = async ({ url }, argv = []) => {
  const run = await runCommand('torture monitor', ['--registry-url', url, '--once', '--json', ...argv]);
  const { alerts } = run.json().result;
  return {
    exitCode: run.exitCode,
    found: alerts.map(({ severity, kind, subject }: Record<string, string | null>) =>
      [severity, kind, subject].filter((part) => part !== null).join(' '),
    ),
  };
};

const stress: Ask = async ({ url }, argv = []) => {
  const base = ['--workload', 'pull', '--repository', '^team/app$', '--count', '40', '--json'];
  const run = await runCommand('torture stress', ['--registry-url', url, ...base, ...argv]);
  const { totals, thresholds, generator } = run.json().result;
  expect(totals.count).toBe(40);
  const found = [
    ...Object.entries(totals.errors).map(([kind, count]) => `${count} ${kind}`),
    ...thresholds.filter(({ ok }: { ok: boolean }) => !ok).map(({ text }: { text: string }) => text),
  ];
  // It shares the machine with its registry, and a generator that was bound says so by its exit code too.
  const exitCode = generator.bound && found.length === 0 ? 0 : run.exitCode;
  return { exitCode, found };
};

const COMMANDS: readonly (readonly [command: string, ask: Ask, argv: readonly string[]])[] = [
  ['consistency', consistency, ['--deep']],
  ['consistency', consistency, ['--deep', '--api', 'oci']],
  ['monitor', monitor, []],
  ['monitor', monitor, ['--api', 'oci']],
  ['stress', stress, ['--threshold', 'errors<1%']],
];

test.each(COMMANDS)('a registry without faults: torture %s (%#) finds nothing', async (_, ask, argv) => {
  const { registry } = await sample();
  expect(await ask(registry, argv)).toEqual({ exitCode: 0, found: [] });
});

interface Seeded {
  readonly fault: (sample: Sample) => string;
  readonly ask: Ask;
  readonly argv?: readonly string[];
  readonly finds: (sample: Sample) => readonly string[];
  /** Default 1, problems found; a state that was never read is no answer at all. */
  readonly exitCode?: number;
}

const SEEDED: Readonly<Record<string, Seeded>> = {
  'a missing blob': {
    fault: ({ other }) => `missing blobs reference=${other.layer}`,
    ask: consistency,
    finds: ({ other }) => [`error missing-blob team/app ${other.layer}`],
  },
  'a wrong digest of a manifest': {
    fault: () => 'GET manifests reference=v2 digest=wrong',
    ask: consistency,
    finds: () => ['error wrong-digest team/app v2'],
  },
  'a wrong digest of a blob': {
    fault: ({ other }) => `GET blobs reference=${other.layer} corrupt`,
    ask: consistency,
    argv: ['--deep'],
    finds: ({ other }) => [`error wrong-digest team/app ${other.layer}`],
  },
  'a wrong size': {
    fault: ({ other }) => `GET,HEAD blobs reference=${other.layer} shorten=50%`,
    ask: consistency,
    finds: ({ other }) => [`error wrong-size team/app ${other.layer}`],
  },
  'a ghost repository': {
    fault: () => 'ghost=gone/away',
    ask: consistency,
    finds: () => ['warning ghost-repository gone/away'],
  },
  'a count that drifts': {
    fault: () => 'drift=tags+1 repository=team/app',
    ask: consistency,
    finds: () => ['error count-drift team/app'],
  },
  'a lost tag': {
    fault: () => 'lost=v2',
    ask: consistency,
    argv: ['--api', 'oci'],
    finds: () => ['error lost-tag team/app v2'],
  },
  'a burst of 5xx, as consistency sees it': {
    fault: () => 'GET manifests reference=v2 status=503 first=1',
    ask: consistency,
    finds: () => ['warning server-error team/app v2'],
  },
  'a burst of 5xx, as stress sees it': {
    fault: () => 'GET blobs status=503 nth=7,20,40',
    ask: stress,
    finds: () => ['3 status-503'],
  },
  'a burst of 5xx, as monitor sees it': {
    fault: () => '/api/registry/state status=502 first=1',
    ask: monitor,
    argv: ['--api', 'nscr'],
    finds: () => ['critical probe-failed state'],
    exitCode: 69,
  },
  'slow replies, as consistency sees them': {
    fault: () => 'GET manifests reference=v2 delay=3s',
    ask: consistency,
    argv: ['--slow-reply', '2900ms'],
    finds: () => ['warning slow manifests'],
  },
  'slow replies, as stress sees them': {
    fault: () => 'GET manifests delay=3s first=2',
    ask: stress,
    argv: ['--threshold', 'p99<2900ms', '--threshold', 'p50<2900ms'],
    finds: () => ['p99<2900ms'],
  },
  'slow replies, as monitor sees them': {
    fault: () => '/api/registry/sessions delay=3s',
    ask: monitor,
    argv: ['--slow-probe', '2900ms'],
    finds: () => ['warning probe-slow sessions'],
  },
  'degraded health': {
    fault: () => 'degraded',
    ask: monitor,
    finds: () => ['warning health-changed'],
  },
  'a registry that is unhealthy': {
    fault: () => 'unhealthy',
    ask: monitor,
    finds: () => ['critical health-changed'],
  },
  'a long session': {
    fault: () => 'session=10m',
    ask: monitor,
    finds: () => [expect.stringMatching(/^warning long-session \S+$/)],
  },
};

describe('a seeded fault is found and named, and nothing else is', () => {
  test.each(Object.entries(SEEDED))('%s', async (_, { fault, ask, argv, finds, exitCode = 1 }) => {
    const all = await sample();
    all.registry.faults.add(fault(all));
    expect(await ask(all.registry, argv)).toEqual({ exitCode, found: finds(all) });
    expect(all.registry.faults.counts()[0]?.fired).toBeGreaterThan(0);
  });

  test.each(['nscr', 'oci'])('a manifest that goes away under the monitor (%s)', async (api) => {
    const { registry, other } = await sample();
    const argv = ['--registry-url', registry.url, '--api', api, '--json', '--duration', '1500ms'];
    const run = await runCommand('torture monitor', [...argv, '--state-interval', '1s'], {
      whileRunning: async () => {
        const seen = (): boolean => registry.requests.some(({ path }) => /state$|\/v2\/_catalog$/.test(path));
        while (!seen()) await new Promise((resolve) => setTimeout(resolve, 10));
        await new Promise((resolve) => setTimeout(resolve, 400));
        await call(registry, 'DELETE', `/v2/team/app/manifests/${other.digest}`);
      },
    });
    const { alerts, changes } = ended(1, run).json().result;
    expect(alerts.map(({ kind }: { kind: string }) => kind)).toContain('manifests-dropped');
    expect(
      alerts.every(({ kind }: { kind: string }) => ['manifests-dropped', 'blobs-dropped'].includes(kind)),
    ).toBe(true);
    expect(changes).toMatchObject({ repositories: 0, manifests: -1, retaggedCount: 1, vanished: [] });
  });
});
