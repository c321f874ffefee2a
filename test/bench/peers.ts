/** The load generators regops is measured against, each in a process of its own with one thread. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** What a run did and what it cost. */
export interface Cost {
  readonly count: number;
  readonly cpuMs: number;
}

export interface Job {
  readonly url: string;
  readonly accept: string;
  readonly connections: number;
}

/** /proc counts CPU time in these; sysconf(_SC_CLK_TCK) is 100 on every Linux that matters here. */
const TICK_MS = 10;

export async function wrk({ url, accept, connections }: Job, seconds: number): Promise<Cost> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-H', `accept: ${accept}`, url];
  const { output, cpuMs } = await run('wrk', args);
  return { count: Number(/(\d+) requests in/.exec(output)?.[1]), cpuMs };
}

export async function autocannon({ url, accept, connections }: Job, seconds: number): Promise<Cost> {
  const program = createRequire(import.meta.url).resolve('autocannon');
  const { output, cpuMs } = await run(process.execPath, [
    program,
    '--json',
    ...['-c', String(connections)],
    ...['-d', String(seconds)],
    ...['-H', `accept=${accept}`],
    url,
  ]);
  return { count: (JSON.parse(output) as { '2xx': number })['2xx'], cpuMs };
}

async function run(command: string, args: readonly string[]): Promise<{ output: string; cpuMs: number }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  let cpuMs = 0;
  const watch = setInterval(() => {
    cpuMs = Math.max(cpuMs, cpuOf(child.pid));
  }, 20);
  try {
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`${command} ended with exit code ${code}`);
    return { output, cpuMs };
  } finally {
    clearInterval(watch);
  }
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
