/**
 * `node test/bench/load.ts`: what the load engine costs by itself, and whether it keeps its rate against a node:http
 * server in a process of its own. Nothing passes or fails. `stress.ts` compares it with others.
 *
 * REGOPS_BENCH_SECONDS (default 5) is the length of each part.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type LoadModel, runLoad } from '../../src/load/index.ts';
import { say } from './figures.ts';
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
  const cpuUs = (user + system) / totals.count;
  say(
    `${name.padEnd(18)}${totals.ratePerSecond.toFixed(0).padStart(8)}/s  ${cpuUs.toFixed(1).padStart(6)} µs of CPU each`,
  );
  say(
    `  dropped ${dropped}, failed ${totals.failed}, p50 ${ms(totals.latency?.p50)}, p99 ${ms(totals.latency?.p99)}`,
  );
  say(
    `  event loop p99 ${ms(generator.eventLoopDelayP99Ms)}, utilization ${generator.utilization.toFixed(2)}` +
      (generator.bound ? `, bound by ${generator.boundBy.join(' and ')}` : ''),
  );
}

function ms(value: number | undefined): string {
  return `${(value ?? Number.NaN).toFixed(2)} ms`;
}
