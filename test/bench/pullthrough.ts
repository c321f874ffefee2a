/**
 * `npm run bench:pullthrough`: what pullthrough-bench costs, beside others and in the same run. The registry is
 * `regops testbed --synthetic` in a process of its own: no cache, so that nothing but the puller is measured.
 *
 * 1. Images per second of one puller, and of `skopeo copy docker://… dir:…` one after the other.
 * 2. CPU per request of one puller, and of undici's bare `dispatch` for the same bytes, which it neither hashes nor
 *    reads. It is the difference of a long and a short run, so that nobody's start is in it.
 * 3. Peak memory, for few images and for many, each listed and pulled once.
 *
 * Nothing passes or fails on a time. REGOPS_BENCH_SECONDS (default 5) is how long a puller pulls,
 * REGOPS_BENCH_ROUNDS (default 3) how often, REGOPS_BENCH_IMAGES (default 100000) how many the third part has.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'undici';
import { silentLog, systemClock } from '../../src/base/index.ts';
import { PULLTHROUGH_BENCH_DEFAULTS, pullthroughBench } from '../../src/jobs/pullthrough-bench/index.ts';
import { MANIFEST_ACCEPT } from '../../src/oci/index.ts';
import { silentProgress } from '../../src/progress/events.ts';
import type { RegistryClient } from '../../src/registry/index.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { openSkopeo } from '../support/servers/skopeo.ts';
import { connect, endOf, highWaterMib, median, say, sum } from './figures.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'run.js');
/** As the published figures of the seed: five small layers. */
const SPEC = 'images=200,layers=5,sizes=4KiB,batches=1';
const SHORT_SECONDS = 2;
const SKOPEO_IMAGES = 20;
const seconds = Number(process.env['REGOPS_BENCH_SECONDS'] ?? 5);
const rounds = Number(process.env['REGOPS_BENCH_ROUNDS'] ?? 3);
const images = Number(process.env['REGOPS_BENCH_IMAGES'] ?? 100_000);

interface Server {
  readonly url: string;
  /** Its peak memory so far. */
  peakMib(): number;
  stop(): void;
}

/** What requests cost. */
interface Cost {
  readonly count: number;
  readonly cpuMs: number;
}

interface Pulled extends Cost {
  readonly imagesPerSecond: number;
}

const server = await startUpstream(SPEC);
try {
  const client = await connect(server.url);
  const names = repositories(200);
  await compareWithSkopeo(client, names);
  await compareWithDispatch(client, names);
  await client.close();
} finally {
  server.stop();
}
for (const count of [images / 10, images]) await measureMemory(count);

async function compareWithSkopeo(client: RegistryClient, names: readonly string[]): Promise<void> {
  const skopeo = await openSkopeo();
  const folder = await temporaryFolder('bench-pullthrough');
  const ours: number[] = [];
  const theirs: number[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      ours.push((await pull(client, seconds)).imagesPerSecond);
      const begun = performance.now();
      for (const name of names.slice(0, SKOPEO_IMAGES)) {
        const to = join(folder.path, 'image');
        await skopeo.copy(`docker://${client.domain}/${name}:latest`, `dir:${to}`, {
          source: { verifyTls: false },
        });
        await rm(to, { recursive: true });
      }
      theirs.push((SKOPEO_IMAGES * 1000) / (performance.now() - begun));
    }
  } finally {
    await Promise.all([skopeo.close(), folder.remove()]);
  }
  const [puller, peer] = [median(ours), median(theirs)];
  say('images per second, one puller, five layers of 4 KiB');
  say(`  regops ${puller.toFixed(1).padStart(8)}`);
  say(`  skopeo ${peer.toFixed(1).padStart(8)}   regops is ${(puller / peer).toFixed(1)} × as fast`);
}

async function compareWithDispatch(client: RegistryClient, names: readonly string[]): Promise<void> {
  const paths = await pathsOf(client, names);
  const ours: Cost[] = [];
  const floor: Cost[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await steady((time) => pull(client, time)));
    floor.push(await steady((time) => dispatch(client.origin.href, paths, time)));
  }
  const [puller, bare] = [cpuUs(ours), cpuUs(floor)];
  say('CPU per request');
  say(`  regops   ${puller.toFixed(1).padStart(7)} µs`);
  say(`  dispatch ${bare.toFixed(1).padStart(7)} µs   regops costs ${(puller / bare).toFixed(2)} × as much`);
}

/** Lists and pulls so many images once. */
async function measureMemory(count: number): Promise<void> {
  const upstream = await startUpstream(`images=${count},layers=2,sizes=2KiB,batches=4`);
  try {
    const begun = performance.now();
    const child = spawn(
      process.execPath,
      [
        ...[PROGRAM, 'pullthrough-bench', '--pullthrough-url', upstream.url, '--registry-url', upstream.url],
        ...['--path-style=mirror', '--patterns=.*', '--pullers-per-pattern=4', '--json', '--quiet'],
        ...['--iteration-seconds=3600', '--max-pulls', String(count)],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let answer = '';
    child.stdout.on('data', (chunk: Buffer) => {
      answer += chunk;
    });
    const { peakMib } = await endOf(child);
    const { totals, durationMs, requests } = JSON.parse(answer).result;
    const listed = (performance.now() - begun - durationMs) / 1000;
    say(`${count} images, listed in ${listed.toFixed(1)} s, pulled in ${(durationMs / 1000).toFixed(1)} s`);
    say(
      `  ${totals.images} pulls, ${totals.failed} errors, ${requests.distinctBlobs} distinct blobs: ` +
        `peak ${peakMib.toFixed(0)} MiB (the upstream: ${upstream.peakMib().toFixed(0)} MiB)`,
    );
  } finally {
    upstream.stop();
  }
}

async function startUpstream(spec: string): Promise<Server> {
  const child = spawn(process.execPath, [PROGRAM, 'testbed', '--synthetic', spec], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return {
    url: line.toString().trim(),
    peakMib: () => highWaterMib(child.pid),
    stop: () => void child.kill(),
  };
}

/** The synthetic repositories of one batch. */
function repositories(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `synthetic/image${String(at + 1).padStart(6, '0')}-0001`);
}

/** What one puller gets done, and what it costs this process. */
async function pull(client: RegistryClient, time: number): Promise<Pulled> {
  const before = process.cpuUsage();
  const result = await pullthroughBench(
    {
      ...PULLTHROUGH_BENCH_DEFAULTS,
      cache: client.domain,
      upstream: client.domain,
      patterns: ['.*'],
      pathStyle: 'mirror',
      iterationMs: time * 1000,
      tallyMs: time * 1000,
      seed: 1,
      shuffle: false,
      platform: { os: 'linux', architecture: 'amd64' },
      thresholds: [],
      dryRun: false,
    },
    {
      signal: new AbortController().signal,
      clock: systemClock,
      progress: silentProgress,
      log: silentLog,
      registry: async () => client,
    },
  );
  const { user, system } = process.cpuUsage(before);
  const { totals, requests } = result;
  if (totals?.failed) say(`  (regops: ${JSON.stringify(totals.errors)})`);
  return {
    count: requests.manifests + requests.blobs,
    cpuMs: (user + system) / 1000,
    imagesPerSecond: totals?.imagesPerSecond ?? 0,
  };
}

/** The paths a puller asks for, image by image. */
async function pathsOf(client: RegistryClient, names: readonly string[]): Promise<string[]> {
  const paths: string[] = [];
  for (const name of names) {
    const path = `/v2/${name}/manifests/latest`;
    const reply = await fetch(new URL(path, client.origin), {
      headers: { accept: MANIFEST_ACCEPT.join(', ') },
    });
    const { config, layers } = (await reply.json()) as { config: Blob; layers: readonly Blob[] };
    paths.push(path, ...[config, ...layers].map(({ digest }) => `/v2/${name}/blobs/${digest}`));
  }
  return paths;
}

interface Blob {
  readonly digest: string;
}

/** GETs over three connections, as many as a puller has, each with one handler that drops all it is given. */
async function dispatch(origin: string, paths: readonly string[], time: number): Promise<Cost> {
  const clients = Array.from({ length: 3 }, () => new Client(origin, { pipelining: 1, allowH2: false }));
  const headers = ['accept', MANIFEST_ACCEPT.join(', ')];
  const before = process.cpuUsage();
  const until = performance.now() + time * 1000;
  let count = 0;
  const slot = (client: Client): Promise<void> =>
    new Promise((resolve, reject) => {
      const next = (): void => {
        if (performance.now() >= until) {
          resolve();
          return;
        }
        const path = paths[count++ % paths.length] as string;
        client.dispatch({ path, method: 'GET', headers }, handler);
      };
      const handler = {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData() {},
        onResponseEnd: next,
        onResponseError: (_controller: unknown, error: Error) => reject(error),
      };
      next();
    });
  await Promise.all(clients.map(slot));
  const { user, system } = process.cpuUsage(before);
  await Promise.all(clients.map((client) => client.close()));
  return { count, cpuMs: (user + system) / 1000 };
}

/** What the part of a long run beyond a short one did and cost. */
async function steady(contender: (time: number) => Promise<Cost>): Promise<Cost> {
  const short = await contender(SHORT_SECONDS);
  const long = await contender(SHORT_SECONDS + seconds);
  return { count: long.count - short.count, cpuMs: long.cpuMs - short.cpuMs };
}

function cpuUs(costs: readonly Cost[]): number {
  return (sum(costs.map(({ cpuMs }) => cpuMs)) * 1000) / sum(costs.map(({ count }) => count));
}
