import { spawn } from 'node:child_process';
import { messageOf, RegopsError } from '../base/index.ts';

/**
 * Runs a command of the user's own by the shell, as cron would. What it says goes to stderr.
 * Throws IO_FAILED when it cannot be started, fails, or takes longer than `timeoutMs`.
 * @param input for its standard input; empty without
 */
export function runUserCommand(
  command: string,
  {
    environment,
    input = '',
    timeoutMs,
  }: { readonly environment: NodeJS.ProcessEnv; readonly input?: string; readonly timeoutMs: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new RegopsError('IO_FAILED', why));
    const child = spawn(command, {
      shell: true,
      stdio: ['pipe', 'ignore', 'inherit'],
      env: { ...environment },
      timeout: timeoutMs,
    });
    child.once('error', (error) => fail(messageOf(error)));
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else fail(`the command ended with ${signal ?? `exit code ${code}`}`);
    });
    // A command that does not read its input is none of our business.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
