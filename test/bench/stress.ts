/**
 * `node test/bench/stress.ts`: requests per second and CPU per request of regops' load engine beside wrk's, in
 * turn and in the same run: 32 connections, one thread each, `GET /v2/` and a manifest of docker-registry, and 700
 * bytes of a bare Node server, which is fast enough to show the generators' own limits.
 * regops hashes every body, wrk does not. Nothing passes or fails on a time.
 *
 * REGOPS_BENCH_SECONDS (default 5) is how long one run takes; REGOPS_BENCH_ROUNDS (default 3) how often.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { silentLog, systemClock } from '../../src/base/index.ts';
import { runLoad } from '../../src/load/index.ts';
import { buildManifest, digestOf } from '../../src/oci/index.ts';
import {
  bytesSource,
  connectRegistry,
  parseTarget,
  putManifest,
  type RegistryClient,
  uploadBlob,
} from '../../src/registry/index.ts';
import { startDockerRegistry } from '../support/servers/docker-registry.ts';

const CONNECTIONS = 32;
/** docker-registry has no OCI manifest for those who do not name the type. */
const ACCEPT = 'application/vnd.oci.image.manifest.v1+json';
const BARE_SERVER = `
  import { createServer } from 'node:http';
  const body = Buffer.alloc(700, 'x');
  const server = createServer((_, response) => response.writeHead(200, { 'content-length': 700 }).end(body));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;
/** /proc counts CPU time in these; sysconf(_SC_CLK_TCK) is 100 on every Linux that matters here. */
const TICK_MS = 10;
const seconds = Number(process.env['REGOPS_BENCH_SECONDS'] ?? 5);
const rounds = Number(process.env['REGOPS_BENCH_ROUNDS'] ?? 3);

interface Run {
  readonly rate: number;
  readonly cpuUs: number;
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

function connect(url: string): Promise<RegistryClient> {
  return connectRegistry({
    target: parseTarget(url),
    credentials: async () => undefined,
    timeoutMs: 10_000,
    retries: 0,
    userAgent: 'regops-bench',
    log: silentLog,
    clock: systemClock,
  });
}

async function compare(client: RegistryClient, path: string): Promise<void> {
  const runs: Record<string, Run[]> = { wrk: [], 'regops threads=1': [], 'regops threads=0': [] };
  for (let round = 0; round < rounds; round++) {
    runs['wrk']?.push(await wrk(new URL(path, client.origin).href));
    for (const threads of [1, 0])
      runs[`regops threads=${threads}`]?.push(await regops(client, path, threads));
  }
  say(`\nGET ${path}`);
  const peer = median((runs['wrk'] ?? []).map(({ rate }) => rate));
  for (const [name, list] of Object.entries(runs)) {
    const rate = median(list.map((run) => run.rate));
    const cpu = median(list.map((run) => run.cpuUs));
    say(
      `  ${name.padEnd(17)} ${rate.toFixed(0).padStart(7)} req/s  ${cpu.toFixed(1).padStart(6)} µs CPU per request  ${(rate / peer).toFixed(2)} × wrk`,
    );
  }
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

async function regops(client: RegistryClient, path: string, threads: number): Promise<Run> {
  const before = process.cpuUsage();
  const { totals } = await runLoad(
    {
      model: { kind: 'closed', stages: [{ workers: CONNECTIONS, durationMs: seconds * 1000 }] },
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
  return { rate: totals.ratePerSecond, cpuUs: (user + system) / totals.count };
}

async function wrk(url: string): Promise<Run> {
  const child = spawn('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-H', `accept: ${ACCEPT}`, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  let cpuMs = 0;
  const watch = setInterval(() => {
    cpuMs = Math.max(cpuMs, cpuOf(child.pid));
  }, 20);
  const [code] = await once(child, 'close');
  clearInterval(watch);
  if (code !== 0) throw new Error(`wrk ended with exit code ${code}`);
  const count = Number(/(\d+) requests in/.exec(output)?.[1]);
  return { rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]), cpuUs: (cpuMs * 1000) / count };
}

/** CPU time of a process so far, in milliseconds (proc(5), fields 14 and 15). */
function cpuOf(pid: number | undefined): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return 0;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
