/**
 * `npm run bench`: pushes one docker-archive to docker-registry with regops and with skopeo, in turn and in
 * the same run, and prints times, peak memory and the ratio. Nothing passes or fails on a time.
 * The layers hold real files: this machine's own programs, libraries and documents.
 *
 * REGOPS_BENCH_MIB (default 1024) is the size of the archive; REGOPS_BENCH_ROUNDS (default 3) how often.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeImage, writeDockerArchive } from '../support/image-archives.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';
import { addRun, highWaterMib, median, say } from './figures.ts';
import { systemLayers } from './system-layers.ts';

const MIB = 1024 * 1024;
const LAYERS = 10;
const sizeMib = Number(process.env['REGOPS_BENCH_MIB'] ?? 1024);
const rounds = Number(process.env['REGOPS_BENCH_ROUNDS'] ?? 3);
const program = join(import.meta.dirname, '..', '..', 'bin', 'run.js');

interface Run {
  readonly seconds: number;
  readonly peakMib: number;
}

const folder = await mkdtemp(join(tmpdir(), 'regops-bench-'));
try {
  const archive = join(folder, 'image.tar');
  say(`making an archive of ${sizeMib} MiB in ${LAYERS} layers`);
  const image = await makeImage({
    seed: 'bench',
    names: ['bench/app:1'],
    layers: await systemLayers(LAYERS, (sizeMib * MIB) / LAYERS),
  });
  await writeDockerArchive(archive, [image], { layout: 'classic' });
  say(`${((await stat(archive)).size / MIB).toFixed(0)} MiB`);

  const contenders: Record<string, (host: string) => [string, string[]]> = {
    'regops gzip': (host) => [
      process.execPath,
      [program, 'push-tar', archive, '--to', `${host}/bench/app:1`, '--plain-http', '--quiet'],
    ],
    'regops zstd': (host) => [
      process.execPath,
      [
        program,
        'push-tar',
        archive,
        '--to',
        `${host}/bench/app:1`,
        '--plain-http',
        '--quiet',
        '--compression',
        'zstd',
      ],
    ],
    'regops none': (host) => [
      process.execPath,
      [
        program,
        'push-tar',
        archive,
        '--to',
        `${host}/bench/app:1`,
        '--plain-http',
        '--quiet',
        '--compression',
        'none',
      ],
    ],
    'skopeo gzip': (host) => [
      'skopeo',
      [
        'copy',
        '--insecure-policy',
        '--quiet',
        '--dest-tls-verify=false',
        `docker-archive:${archive}`,
        `docker://${host}/bench/app:1`,
      ],
    ],
  };
  const first = new Map<string, Run[]>();
  const again = new Map<string, Run[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, command] of Object.entries(contenders)) {
      const registry = await startDockerRegistry();
      const home = await mkdtemp(join(folder, 'home-'));
      try {
        const [program, args] = command(registry.host);
        addRun(first, name, await measure(program, args, home));
        addRun(again, name, await measure(program, args, home));
      } finally {
        await registry.close();
        await rm(home, { recursive: true, force: true });
      }
    }
  }
  report('first push', first);
  report('second push, nothing to send', again);
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Runs a command to its end in a home of its own; memory is the process's high-water mark, read while it runs. */
async function measure(command: string, args: readonly string[], home: string): Promise<Run> {
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
  let peakMib = 0;
  const watch = setInterval(() => {
    peakMib = Math.max(peakMib, highWaterMib(child.pid));
  }, 20);
  const [code] = await once(child, 'close');
  clearInterval(watch);
  if (code !== 0) throw new Error(`${command} ended with exit code ${code}`);
  return { seconds: (performance.now() - begun) / 1000, peakMib };
}

function report(title: string, runs: ReadonlyMap<string, readonly Run[]>): void {
  say(`\n${title}`);
  const peer = median((runs.get('skopeo gzip') ?? []).map((run) => run.seconds));
  for (const [name, list] of runs) {
    const seconds = median(list.map((run) => run.seconds));
    const peak = Math.max(...list.map((run) => run.peakMib));
    say(
      `  ${name.padEnd(12)} ${seconds.toFixed(2).padStart(7)} s  ${peak.toFixed(0).padStart(5)} MiB  ${(seconds / peer).toFixed(2)} × skopeo`,
    );
  }
}
