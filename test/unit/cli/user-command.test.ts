import { readFile } from 'node:fs/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { RegopsError } from '../../../src/base/index.ts';
import { runUserCommand } from '../../../src/cli/user-command.ts';
import { isAtWork, pidsIn, stillAtWork } from '../../support/process-state.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const folder = useTempFolder();
const LONG_MS = 60_000;

/** The processes that the command has told of, when there are so many. */
function processes(count: number): Promise<number[]> {
  return vi.waitFor(
    async () => {
      const pids = await pidsIn(folder('pids'));
      expect(pids).toHaveLength(count);
      return pids;
    },
    { timeout: 60_000 },
  );
}

// Whatever happens, no process outlives its test.
afterEach(async () => {
  for (const pid of await pidsIn(folder('pids'))) if (await isAtWork(pid)) process.kill(pid, 'SIGKILL');
});

/** Starts a command, which tells the numbers of its processes in the file `pids`. */
function start(command: string, options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<void> {
  const environment = {
    PATH: process.env['PATH'],
    PIDS: folder('pids'),
    TOLD: folder('told'),
  };
  const running = runUserCommand(command, { environment, timeoutMs: LONG_MS, ...options });
  running.catch(() => {});
  return running;
}

/** A shell, and two programs that it has started. */
const THREE = `echo $$ >> "$PIDS"; sleep 60 & echo $! >> "$PIDS"; sh -c 'echo $$ >> "$PIDS"; sleep 60'; true`;

test('called off, it ends with everything it has started', async () => {
  const calling = new AbortController();
  const running = start(THREE, { signal: calling.signal });
  const pids = await processes(3);
  for (const pid of pids) expect(await isAtWork(pid)).toBe(true);
  calling.abort(new RegopsError('INTERRUPTED', 'interrupted by SIGINT'));
  await expect(running).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(await stillAtWork(pids)).toEqual([]);
});

test('it may end in peace', async () => {
  const calling = new AbortController();
  const command = `trap 'echo asked >> "$TOLD"; exit 0' TERM; echo $$ >> "$PIDS"; while :; do sleep 0.05; done`;
  const running = start(command, { signal: calling.signal });
  await processes(1);
  calling.abort();
  await expect(running).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(await readFile(folder('told'), 'utf8')).toBe('asked\n');
});

test('what does not care is killed', async () => {
  const calling = new AbortController();
  const command = `trap '' TERM; echo $$ >> "$PIDS"; sh -c 'echo $$ >> "$PIDS"; exec sleep 60'; sleep 60`;
  const running = start(command, { signal: calling.signal });
  const pids = await processes(2);
  calling.abort();
  await expect(running).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(await stillAtWork(pids)).toEqual([]);
});

test('one that takes too long is ended the same way, and that is a failure', async () => {
  const running = start(THREE, { timeoutMs: 6000 });
  const pids = await processes(3);
  await expect(running).rejects.toMatchObject({
    code: 'IO_FAILED',
    message: 'the command took longer than 6.0s',
  });
  expect(await stillAtWork(pids)).toEqual([]);
});

test('called off beforehand, it is not even started', async () => {
  const running = start('echo started >> "$TOLD"', { signal: AbortSignal.abort() });
  await expect(running).rejects.toMatchObject({ code: 'INTERRUPTED' });
  await expect(readFile(folder('told'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a command that has done its work may leave something running', async () => {
  const calling = new AbortController();
  await start(`sleep 60 & echo $! >> "$PIDS"`, { signal: calling.signal });
  calling.abort();
  const [pid] = (await processes(1)) as [number];
  expect(await isAtWork(pid)).toBe(true);
});
