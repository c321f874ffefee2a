/**
 * `node test/bench/stress.ts`: requests per second and CPU per request of regops' load engine beside wrk's and
 * autocannon's, in turn and in the same run: closed, 32 connections, one thread each, `GET /v2/` and a manifest of
 * docker-registry, and 700 bytes of a bare server, which is fast enough to show the generators' own limits.
 * CPU is the difference of a long and a short run, so that nobody's start is in it. regops hashes every body, the
 * others do not. Nothing passes or fails on a time.
 *
 * REGOPS_BENCH_SECONDS (default 5) is how much longer the long run takes; REGOPS_BENCH_ROUNDS (default 3) how often.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { runLoad } from '../../src/load/index.ts';
import { buildManifest, digestOf } from '../../src/oci/index.ts';
import { bytesSource, putManifest, type RegistryClient, uploadBlob } from '../../src/registry/index.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';
import { connect, median, say, sum } from './figures.ts';
import { autocannon, type Cost, type Job, wrk } from './peers.ts';

const CONNECTIONS = 32;
/** docker-registry has no OCI manifest for those who do not name the type. */
const ACCEPT = 'application/vnd.oci.image.manifest.v1+json';
const BARE_SERVER = `
  import { createServer } from 'node:net';
  const answer = 'HTTP/1.1 200 OK\\r\\ncontent-type: text/plain\\r\\ncontent-length: 700\\r\\n\\r\\n' + 'x'.repeat(700);
  const server = createServer((socket) =>
    socket.setNoDelay().on('error', () => {}).on('data', (head) => {
      if (head.includes('\\r\\n\\r\\n')) socket.write(answer);
    }));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;
/** Long enough for a JIT compiler to be done. */
const SHORT_SECONDS = 2;
const seconds = Number(process.env['REGOPS_BENCH_SECONDS'] ?? 5);
const rounds = Number(process.env['REGOPS_BENCH_ROUNDS'] ?? 3);

type Contender = (seconds: number) => Promise<Cost>;

/** A long run's rate, and what its part beyond a short run did and cost. */
interface Steady extends Cost {
  readonly rate: number;
}

const registry = await startDockerRegistry();
const bare = spawn(process.execPath, ['--input-type=module', '-e', BARE_SERVER], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  const [port] = (await once(bare.stdout, 'data')) as [Buffer];
  const client = await connect(`http://${registry.host}`);
  await compare(client, '/v2/');
  await compare(client, await pushManifest(client));
  await client.close();
  const other = await connect(`http://127.0.0.1:${Number(port.toString())}`);
  await compare(other, '/bare');
  await other.close();
} finally {
  bare.kill();
  await registry.close();
}

async function compare(client: RegistryClient, path: string): Promise<void> {
  const job: Job = { url: new URL(path, client.origin).href, accept: ACCEPT, connections: CONNECTIONS };
  const contenders: Record<string, Contender> = {
    wrk: (time) => wrk(job, time),
    autocannon: (time) => autocannon(job, time),
    'regops threads=1': (time) => regops(client, path, 1, time),
    'regops threads=0': (time) => regops(client, path, 0, time),
  };
  const runs = new Map<string, Steady[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, contender] of Object.entries(contenders)) {
      runs.set(name, [...(runs.get(name) ?? []), await steady(contender)]);
    }
  }
  say(`\nGET ${path}`);
  const figures = Array.from(runs, ([name, list]) => ({
    name,
    rate: median(list.map(({ rate }) => rate)),
    cpuUs: (sum(list.map(({ cpuMs }) => cpuMs)) * 1000) / sum(list.map(({ count }) => count)),
  }));
  const [peer] = figures;
  for (const { name, rate, cpuUs } of figures) {
    const absolute = `${rate.toFixed(0).padStart(7)} req/s  ${cpuUs.toFixed(1).padStart(6)} µs CPU per request`;
    const ratio = ((peer?.cpuUs ?? Number.NaN) / cpuUs).toFixed(2);
    say(`  ${name.padEnd(17)} ${absolute}  ${ratio} × wrk per core`);
  }
}

/** What a contender does and costs when it is under way. */
async function steady(contender: Contender): Promise<Steady> {
  const short = await contender(SHORT_SECONDS);
  const long = await contender(SHORT_SECONDS + seconds);
  return {
    rate: long.count / (SHORT_SECONDS + seconds),
    count: long.count - short.count,
    cpuMs: long.cpuMs - short.cpuMs,
  };
}

/** An image of about 700 bytes of manifest; gives its path. */
async function pushManifest(client: RegistryClient): Promise<string> {
  const config = Buffer.from('{}');
  const descriptor = { digest: digestOf(config), size: config.length };
  await uploadBlob(client, 'bench/app', bytesSource(config, descriptor.digest), {});
  const manifest = buildManifest({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...descriptor },
    layers: [],
    annotations: { filler: 'x'.repeat(400) },
  });
  await putManifest(client, 'bench/app', '1', manifest);
  return '/v2/bench/app/manifests/1';
}

async function regops(client: RegistryClient, path: string, threads: number, time: number): Promise<Cost> {
  const before = process.cpuUsage();
  const { totals } = await runLoad(
    {
      model: { kind: 'closed', stages: [{ workers: CONNECTIONS, durationMs: time * 1000 }] },
      warmupMs: 0,
      seed: 1,
      threads,
      thresholds: [],
      workload: {
        module: new URL('get-workload.ts', import.meta.url).href,
        options: { connection: await client.connection(), path, accept: ACCEPT },
      },
    },
    { signal: new AbortController().signal },
  );
  const { user, system } = process.cpuUsage(before);
  if (totals.failed > 0) say(`  (regops: ${JSON.stringify(totals.errors)})`);
  return { count: totals.count, cpuMs: (user + system) / 1000 };
}
