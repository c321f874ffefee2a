import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

/** Whether a process is still at work: one that has ended may wait for its parent to notice. */
export async function isAtWork(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') X');
  return !/^ [ZX]/.test(stat.slice(stat.lastIndexOf(')') + 1));
}

/** The numbers of processes that were written to a file, one on each line. */
export async function pidsIn(file: string): Promise<number[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').slice(0, -1).map(Number);
}

/** Those of some processes that do not end by themselves. The system takes a moment to end one that was killed. */
export async function stillAtWork(pids: readonly number[]): Promise<number[]> {
  const left = new Set(pids);
  for (let tries = 0; tries < 500; tries++) {
    for (const pid of left) if (!(await isAtWork(pid))) left.delete(pid);
    if (left.size === 0) break;
    await wait(20);
  }
  return [...left];
}
