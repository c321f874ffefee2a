import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { abortReason, formatDuration, messageOf, RegopsError, throwIfAborted } from '../base/index.ts';

/** What is asked to end gets this long before it is made to: well within the 5 s of an interrupted program (cli.md). */
const GRACE_MS = 1000;
const LOOK_MS = 20;

/**
 * Runs a command of the user's own by the shell, as cron would. What it says goes to stderr. One that takes longer than
 * `timeoutMs`, or that the signal calls off, is ended with everything it has started.
 * Throws IO_FAILED when it cannot be started, fails, or takes too long; INTERRUPTED when it was called off.
 * @param input for its standard input; empty without
 */
export async function runUserCommand(
  command: string,
  {
    environment,
    input = '',
    timeoutMs,
    signal,
  }: {
    readonly environment: NodeJS.ProcessEnv;
    readonly input?: string;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  throwIfAborted(signal);
  const child = spawn(command, {
    shell: true,
    // A process group of its own: the shell alone could be ended, but not what it waits for.
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
    env: { ...environment },
  });
  const failure = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(messageOf(error)));
    child.once('close', (code, by) =>
      resolve(code === 0 ? undefined : `the command ended with ${by ?? `exit code ${code}`}`),
    );
  });
  // A command that does not read its input is none of our business.
  child.stdin.on('error', () => {});
  child.stdin.end(input);

  const { pid } = child;
  let ending: Promise<void> | undefined;
  const end = (): void => {
    ending ??= pid === undefined ? undefined : endGroup(pid);
  };
  const kill = (): void => void (pid !== undefined && tell(pid, 'SIGKILL'));
  const timer = setTimeout(end, timeoutMs);
  signal?.addEventListener('abort', end, { once: true });
  // The program may be left in a hurry, by a second interrupt say.
  process.once('exit', kill);
  try {
    const why = await failure;
    await ending;
    if (ending && signal?.aborted) throw abortReason(signal);
    if (ending)
      throw new RegopsError('IO_FAILED', `the command took longer than ${formatDuration(timeoutMs)}`);
    if (why !== undefined) throw new RegopsError('IO_FAILED', why);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
    process.off('exit', kill);
  }
}

/** Asks all processes of a group to end, and kills those that have not after a while. */
async function endGroup(group: number): Promise<void> {
  const until = performance.now() + GRACE_MS;
  tell(group, 'SIGTERM');
  while (tell(group, 0) && performance.now() < until) await sleep(LOOK_MS);
  tell(group, 'SIGKILL');
}

/** Sends a signal to a process group; false when nobody is left in it. */
function tell(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-group, signal);
  } catch {
    return false;
  }
}
