/** What the benchmarks measure and print with. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { silentLog, systemClock } from '../../src/base/index.ts';
import { connectRegistry, parseTarget, type RegistryClient } from '../../src/registry/index.ts';

/** Peak memory of a process so far in MiB (proc(5), VmHWM); 0 when it has gone. */
export function highWaterMib(pid: number | undefined): number {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Waits for a process to end; gives its exit code, and its peak memory in MiB as it was while it ran. */
export async function endOf(child: ChildProcess): Promise<{ code: number | null; peakMib: number }> {
  let peakMib = 0;
  const watch = setInterval(() => {
    peakMib = Math.max(peakMib, highWaterMib(child.pid));
  }, 20);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, peakMib };
  } finally {
    clearInterval(watch);
  }
}

/** The value in the middle; the higher one of two. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Puts a run to the others of its contender. */
export function addRun<Run>(runs: Map<string, Run[]>, name: string, run: Run): void {
  runs.set(name, [...(runs.get(name) ?? []), run]);
}

/** A client without credentials that tries nothing twice. */
export function connect(url: string): Promise<RegistryClient> {
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

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
