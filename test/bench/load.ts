/**
 * `node test/bench/load.ts`: what the load engine costs and whether it keeps its rate. Prints requests per
 * second and CPU per request of the engine alone, of the engine with undici, and of wrk and autocannon where
 * they are installed, all against one node:http server in a process of its own. Nothing passes or fails.
 *
 * REGOPS_BENCH_SECONDS (default 5) is the length of each part.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type LoadModel, runLoad } from '../../src/load/index.ts';
import type { LoadBenchOptions } from './load-workload.ts';

const CONNECTIONS = 32;
const seconds = Number(process.env['REGOPS_BENCH_SECONDS'] ?? 5);
const SERVER = `
  const body = Buffer.alloc(700, 'x');
  const server = require('node:http').createServer((request, response) => {
    response.writeHead(200, { 'content-length': body.length });
    response.end(body);
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

const server = spawn(process.execPath, ['-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  const [port] = (await once(server.stdout, 'data')) as [Buffer];
  const url = `http://127.0.0.1:${String(port).trim()}/`;
  const closed: LoadModel = {
    kind: 'closed',
    stages: [{ workers: CONNECTIONS, durationMs: seconds * 1000 }],
  };
  await engine('engine alone', closed, null);
  await engine('engine + undici', closed, url);
  await peer('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, url], /Requests\/sec:\s+([\d.]+)/);
  await peer(
    'autocannon',
    ['--json', '-c', String(CONNECTIONS), '-d', String(seconds), url],
    /"requests":\{"average":([\d.]+)/,
  );
  for (const ratePerSecond of [500, 5000]) {
    const stages = [{ ratePerSecond, durationMs: seconds * 1000 }];
    const open: LoadModel = { kind: 'open', stages, arrival: 'constant', maxInFlight: 256 };
    await engine(`open at ${ratePerSecond}/s`, open, url);
  }
} finally {
  server.kill();
}

async function engine(name: string, model: LoadModel, url: string | null): Promise<void> {
  const options: LoadBenchOptions = { url };
  const before = process.cpuUsage();
  const summary = await runLoad(
    {
      model,
      warmupMs: 0,
      seed: 1,
      threads: 1,
      thresholds: [],
      workload: { module: new URL('./load-workload.ts', import.meta.url).href, options },
    },
    { signal: new AbortController().signal },
  );
  const { user, system } = process.cpuUsage(before);
  const { totals, dropped, generator } = summary;
  say(name, totals.ratePerSecond, (user + system) / totals.count);
  say(
    `  dropped ${dropped}, failed ${totals.failed}, p50 ${ms(totals.latency?.p50)}, p99 ${ms(totals.latency?.p99)}`,
  );
  say(
    `  event loop p99 ${ms(generator.eventLoopDelayP99Ms)}, utilization ${generator.utilization.toFixed(2)}` +
      (generator.bound ? `, bound by ${generator.boundBy.join(' and ')}` : ''),
  );
}

async function peer(command: string, args: readonly string[], rateIn: RegExp): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  let cpuMs = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const watch = setInterval(() => {
    cpuMs = cpuMsOf(child.pid) ?? cpuMs;
  }, 50);
  try {
    await once(child, 'close');
    const rate = Number(rateIn.exec(output)?.[1]);
    say(command, rate, (cpuMs * 1000) / (rate * seconds));
  } catch {
    say(`${command}: not installed`);
  } finally {
    clearInterval(watch);
  }
}

/** CPU time of a process so far; the kernel counts it in hundredths of a second. */
function cpuMsOf(pid: number | undefined): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return undefined;
  }
}

function ms(value: number | undefined): string {
  return `${(value ?? Number.NaN).toFixed(2)} ms`;
}

function say(name: string, rate?: number, cpuUs?: number): void {
  const figures =
    rate === undefined || cpuUs === undefined
      ? ''
      : `${rate.toFixed(0).padStart(8)}/s  ${cpuUs.toFixed(1).padStart(6)} µs of CPU each`;
  process.stdout.write(`${name.padEnd(18)}${figures}\n`);
}
