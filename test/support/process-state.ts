import { readFile } from 'node:fs/promises';

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
