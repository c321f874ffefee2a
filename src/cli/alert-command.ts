import { spawn } from 'node:child_process';
import { messageOf, safeJson } from '../base/index.ts';
import type { CommandContext } from './context.ts';

const TIMEOUT_MS = 30_000;

/**
 * Runs the user's own command (`--on-alert`, by the shell, as cron would) with each event as one line of JSON on
 * its standard input: one at a time, in order, thirty seconds each. What it says goes to stderr. A command
 * that fails is a warning.
 */
export class AlertCommand {
  readonly #command: string;
  readonly #context: Pick<CommandContext, 'log' | 'environment'>;
  #last: Promise<void> = Promise.resolve();

  constructor(command: string, context: Pick<CommandContext, 'log' | 'environment'>) {
    this.#command = command;
    this.#context = context;
  }

  /** Queues the event. */
  tell(event: object): void {
    this.#last = this.#last.then(() => this.#run(event));
  }

  /** Resolves when every event has been told. */
  settled(): Promise<void> {
    return this.#last;
  }

  #run(event: object): Promise<void> {
    const { log, environment } = this.#context;
    return new Promise((resolve) => {
      const child = spawn(this.#command, {
        shell: true,
        stdio: ['pipe', 'ignore', 'inherit'],
        env: { ...environment },
        timeout: TIMEOUT_MS,
      });
      child.once('error', (error) => {
        log.warn(`--on-alert: ${messageOf(error)}`);
        resolve();
      });
      child.once('close', (code, signal) => {
        if (code !== 0) log.warn(`--on-alert: the command ended with ${signal ?? `exit code ${code}`}`);
        resolve();
      });
      // A command that does not read its input is none of our business.
      child.stdin.on('error', () => {});
      child.stdin.end(`${safeJson(event)}\n`);
    });
  }
}
