/**
 * `npm run bench:snapshot`: snapshots of one running container, pushed to docker-registry by the engine and by regops
 * itself (`--transport direct`, with each compression), in turn and in the same run. A first snapshot goes to an empty
 * registry; then a little more is written in the container, and a second one is pushed there. The times are of the
 * whole command: commit, push and proof. Nothing passes or fails on a time.
 *
 * The container's files are real ones, of this machine. REGOPS_BENCH_MIB (default 1024) is the size of all, a tenth of
 * which was written in the container; REGOPS_BENCH_ROUNDS (default 3) how often. Needs root, for dockerd.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { type Engine, openEngine } from '../../src/engine/index.ts';
import { parseReference } from '../../src/oci/index.ts';
import type { TestLayer } from '../support/image-archives.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';
import { startDockerd } from '../support/servers/dockerd.ts';
import { addRun, endOf, median, say, sum } from './figures.ts';
import { systemLayers } from './system-layers.ts';

const MIB = 1024 * 1024;
const LAYERS = 10;
/** Written between the two snapshots. */
const MORE_MIB = 8;
const FOLDER = '/data';
const ENGINE = 'engine';
const CONTENDERS: Readonly<Record<string, readonly string[]>> = {
  [ENGINE]: ['--transport', 'daemon'],
  'direct gzip': ['--transport', 'direct', '--compression', 'gzip'],
  'direct zstd': ['--transport', 'direct', '--compression', 'zstd'],
  'direct none': ['--transport', 'direct', '--compression', 'none'],
};
const sizeMib = Number(process.env['REGOPS_BENCH_MIB'] ?? 1024);
const rounds = Number(process.env['REGOPS_BENCH_ROUNDS'] ?? 3);
const program = join(import.meta.dirname, '..', '..', 'bin', 'run.js');

/** One push as it was told in its answer, and what it cost. */
interface Run {
  readonly seconds: number;
  readonly peakMib: number;
  readonly sizeMib: number;
  readonly layers: { readonly moved: number; readonly existing: number };
}

await using cleanup = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), 'regops-bench-'));
cleanup.defer(() => rm(folder, { recursive: true, force: true }));
const dockerd = await startDockerd();
cleanup.defer(() => dockerd.close());
const engine = await openEngine({ host: `unix://${dockerd.socket}` });
cleanup.defer(() => engine.close());
// What runs keeps the engine's folder mounted.
cleanup.defer(() => engine.containers.remove('bench', { force: true }).catch(() => {}));

const layers = await systemLayers(LAYERS, (sizeMib * MIB) / LAYERS);
const sizes = layers.map(({ size }) => size / MIB);
say(
  `making a container of ${sum(sizes).toFixed(0)} MiB: layers of ${sizes.map((mib) => mib.toFixed(0)).join(', ')}; the last is what it wrote itself`,
);
await makeContainer(engine, layers);
const first = new Map<string, Run[]>();
const second = new Map<string, Run[]>();
for (let round = 0; round < rounds; round++) {
  for (const [name, flags] of Object.entries(CONTENDERS)) {
    const registry = await startDockerRegistry();
    const home = await mkdtemp(join(folder, 'home-'));
    const place = ['--registry-url', registry.url, '--repository', 'bench/snapshots'];
    try {
      // Not known to the engine from a push before: what it has pushed elsewhere it tries to mount.
      await write(engine, 'fresh', randomBytes(1000));
      addRun(first, name, await push([...place, ...flags], home));
      await write(engine, 'more', randomBytes(MORE_MIB * MIB));
      addRun(second, name, await push([...place, ...flags], home));
    } finally {
      await registry.close();
      await rm(home, { recursive: true, force: true });
    }
  }
}
report('first snapshot', first);
report(`second snapshot, ${MORE_MIB} MiB more in the container`, second);

/** A container that runs, over an image of layers that were committed one by one; the last was only written. */
async function makeContainer(engine: Engine, layers: readonly TestLayer[]): Promise<void> {
  await dockerd.importShellImage('base:0');
  await dockerd.buildImage('base:1', `FROM base:0\nADD keep ${FOLDER}/keep\n`, { keep: 'a folder' });
  let image = 'base:1';
  for (const [at, layer] of layers.slice(0, -1).entries()) {
    const container = await engine.containers.create({ image: parseReference(image) });
    await engine.containers.copyIn(container, FOLDER, layer.open());
    image = `base:${at + 2}`;
    await engine.containers.commit(container, { name: parseReference(image), pause: false });
    await engine.containers.remove(container);
  }
  await dockerd.run(['run', '-d', '--name', 'bench', '--network', 'none', image, 'sleep', '100000']);
  const last = layers.at(-1);
  if (last) await engine.containers.copyIn('bench', FOLDER, last.open());
}

async function write(engine: Engine, name: string, content: Buffer): Promise<void> {
  const tar = pack();
  tar.entry({ name, mtime: new Date(0) }, content);
  tar.finalize();
  await engine.containers.copyIn('bench', FOLDER, Readable.from(tar as AsyncIterable<Buffer>));
}

/** Runs `regops snapshot push` to its end in a home of its own; memory is that of the regops process alone. */
async function push(flags: readonly string[], home: string): Promise<Run> {
  await mkdir(home, { recursive: true });
  const begun = performance.now();
  const child = spawn(
    process.execPath,
    [program, 'snapshot', 'push', 'bench', ...flags, '--quiet', '--json'],
    {
      env: {
        ...process.env,
        DOCKER_HOST: `unix://${dockerd.socket}`,
        HOME: home,
        XDG_CACHE_HOME: join(home, 'cache'),
        XDG_CONFIG_HOME: join(home, 'config'),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const { code, peakMib } = await endOf(child);
  const seconds = (performance.now() - begun) / 1000;
  if (code !== 0) throw new Error(`snapshot push ended with exit code ${code}: ${output}`);
  const { local, destinations } = JSON.parse(output).result;
  await dockerd.run(['rmi', local.reference]);
  const [{ sizeBytes, layers }] = destinations;
  return { seconds, peakMib, sizeMib: sizeBytes / MIB, layers };
}

function report(title: string, runs: ReadonlyMap<string, readonly Run[]>): void {
  say(`\n${title}`);
  const peer = median((runs.get(ENGINE) ?? []).map((run) => run.seconds));
  for (const [name, list] of runs) {
    const seconds = median(list.map((run) => run.seconds));
    const peak = Math.max(...list.map((run) => run.peakMib));
    const [{ sizeMib, layers } = { sizeMib: 0, layers: { moved: 0, existing: 0 } }] = list;
    say(
      `  ${name.padEnd(12)} ${seconds.toFixed(2).padStart(7)} s  ${peak.toFixed(0).padStart(5)} MiB  ${(seconds / peer).toFixed(2)} × ${ENGINE}  ` +
        `(${layers.moved} layers sent, ${layers.existing} there; ${sizeMib.toFixed(0)} MiB in the registry)`,
    );
  }
}
