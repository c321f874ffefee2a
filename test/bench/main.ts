/**
 * `npm run bench`: regops against skopeo, in turn and in the same run: pushes of one docker-archive to
 * docker-registry (first and again, time and peak memory), and starts. Prints ratios; nothing passes or fails
 * on a time. The layers hold real files: this machine's own programs, libraries and documents.
 *
 * REGOPS_BENCH_MIB (default 1024) is the size of the archive; REGOPS_BENCH_ROUNDS (default 3) how often;
 * REGOPS_BENCH_LARGE=1 also pushes an archive five times as large, for its peak memory.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeImage, writeDockerArchive } from '../support/image-archives.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';
import { addRun, endOf, median, say } from './figures.ts';
import { systemLayers } from './system-layers.ts';

const MIB = 1024 * 1024;
const LAYERS = 10;
const LARGE = 5;
/** Starts are short, and so judged by the best of many. */
const STARTS = 15;
const sizeMib = Number(process.env['REGOPS_BENCH_MIB'] ?? 1024);
const rounds = Number(process.env['REGOPS_BENCH_ROUNDS'] ?? 3);
const program = join(import.meta.dirname, '..', '..', 'bin', 'run.js');

interface Run {
  readonly seconds: number;
  readonly peakMib: number;
}

/** A program and its arguments. */
type CommandLine = readonly [string, ...string[]];

const regops = (...args: readonly string[]): CommandLine => [process.execPath, program, ...args];
const push = (archive: string, reference: string, compression: string): CommandLine =>
  regops(
    ...['push-tar', archive, '--to', reference, '--plain-http', '--quiet', '--compression', compression],
  );
const skopeoCopy = (archive: string, reference: string): CommandLine => [
  'skopeo',
  ...['copy', '--insecure-policy', '--quiet', '--dest-tls-verify=false'],
  ...[`docker-archive:${archive}`, `docker://${reference}`],
];

/** What pushes, by the name it is printed under; each is compared with the last. */
const PEER = 'skopeo gzip';
const contenders: Record<string, (archive: string, reference: string) => CommandLine> = {
  'regops gzip': (archive, reference) => push(archive, reference, 'gzip'),
  'regops zstd': (archive, reference) => push(archive, reference, 'zstd'),
  'regops none': (archive, reference) => push(archive, reference, 'none'),
  [PEER]: skopeoCopy,
};

const folder = await mkdtemp(join(tmpdir(), 'regops-bench-'));
try {
  const archive = await makeArchive('image.tar', sizeMib);
  const first = new Map<string, Run[]>();
  const again = new Map<string, Run[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of Object.entries(contenders)) {
      await withRegistry(async (host, home) => {
        const line = command(archive, `${host}/bench/app:1`);
        addRun(first, name, await measure(line, home));
        addRun(again, name, await measure(line, home));
      });
    }
  }
  reportPushes('first push', first);
  reportPushes('second push, nothing to send', again);
  await rm(archive);
  await measureStarts();
  if (process.env['REGOPS_BENCH_LARGE'] === '1') await measureLarge(first);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function makeArchive(name: string, mib: number): Promise<string> {
  const archive = join(folder, name);
  say(`making an archive of ${mib} MiB in ${LAYERS} layers`);
  const layers = await systemLayers(LAYERS, (mib * MIB) / LAYERS);
  const image = await makeImage({ seed: 'bench', names: ['bench/app:1'], layers });
  await writeDockerArchive(archive, [image], { layout: 'classic' });
  say(`${((await stat(archive)).size / MIB).toFixed(0)} MiB`);
  return archive;
}

/** A registry and a home folder of its own for what is measured. */
async function withRegistry(work: (host: string, home: string) => Promise<void>): Promise<void> {
  const registry = await startDockerRegistry();
  const home = await mkdtemp(join(folder, 'home-'));
  try {
    await work(registry.host, home);
  } finally {
    await registry.close();
    await rm(home, { recursive: true, force: true });
  }
}

/** Runs a command to its end; memory is the process's high-water mark, read while it runs. */
async function measure([command, ...args]: CommandLine, home: string): Promise<Run> {
  const begun = performance.now();
  const child = spawn(command, args, {
    env: {
      ...process.env,
      HOME: home,
      XDG_CACHE_HOME: join(home, 'cache'),
      XDG_DATA_HOME: home,
      // As root skopeo's blob-info cache would be the machine's.
      _CONTAINERS_ROOTLESS_UID: '1000',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { code, peakMib } = await endOf(child);
  if (code !== 0) throw new Error(`${command} ended with exit code ${code}`);
  return { seconds: (performance.now() - begun) / 1000, peakMib };
}

function reportPushes(title: string, runs: ReadonlyMap<string, readonly Run[]>): void {
  say(`\n${title}`);
  const peer = figures(runs.get(PEER));
  for (const [name, list] of runs) {
    const { seconds, peakMib } = figures(list);
    say(
      `  ${name.padEnd(12)} ${seconds.toFixed(2).padStart(7)} s  ${(seconds / peer.seconds).toFixed(2)} × skopeo` +
        `  ${peakMib.toFixed(0).padStart(5)} MiB  ${(peakMib / peer.peakMib).toFixed(2)} × skopeo`,
    );
  }
}

function figures(runs: readonly Run[] = []): Run {
  return {
    seconds: median(runs.map((run) => run.seconds)),
    peakMib: Math.max(...runs.map((run) => run.peakMib)),
  };
}

/** The start of the program alone, and of the shortest useful command, each beside its peer. */
async function measureStarts(): Promise<void> {
  const image = await makeImage({ seed: 'small', names: ['bench/small:1'] });
  const archive = join(folder, 'small.tar');
  await writeDockerArchive(archive, [image], { layout: 'classic' });
  await withRegistry(async (host, home) => {
    const reference = `${host}/bench/small:1`;
    await measure(push(archive, reference, 'gzip'), home);
    const pairs: [string, CommandLine, string, CommandLine][] = [
      ['regops --version', regops('--version'), 'node -e 0', [process.execPath, '-e', '0']],
      [
        'regops inspect',
        regops('inspect', reference, '--plain-http', '--quiet'),
        'skopeo inspect',
        ['skopeo', 'inspect', '--tls-verify=false', `docker://${reference}`],
      ],
    ];
    say('\nstart');
    for (const [name, line, peerName, peerLine] of pairs) {
      const own: number[] = [];
      const peers: number[] = [];
      for (let round = 0; round < STARTS; round++) {
        own.push((await measure(line, home)).seconds);
        peers.push((await measure(peerLine, home)).seconds);
      }
      const best = Math.min(...own);
      const peer = Math.min(...peers);
      say(
        `  ${name.padEnd(16)} ${(best * 1000).toFixed(0).padStart(5)} ms  ${(best / peer).toFixed(1)} × ${peerName} (${(peer * 1000).toFixed(0)} ms)`,
      );
    }
  });
}

/** Whether memory grows with the archive. */
async function measureLarge(small: ReadonlyMap<string, readonly Run[]>): Promise<void> {
  const archive = await makeArchive('large.tar', LARGE * sizeMib);
  say(`\npeak memory of an archive ${LARGE} times as large`);
  for (const [name, command] of Object.entries(contenders)) {
    await withRegistry(async (host, home) => {
      const { peakMib } = await measure(command(archive, `${host}/bench/app:1`), home);
      const before = figures(small.get(name)).peakMib;
      say(
        `  ${name.padEnd(12)} ${peakMib.toFixed(0).padStart(5)} MiB  ${(peakMib / before).toFixed(2)} × the small one's`,
      );
    });
  }
}
