import { messageOf, safeJson } from '../base/index.ts';
import type { CommandContext } from './context.ts';
import { runUserCommand } from './user-command.ts';

const TIMEOUT_MS = 30_000;

/**
 * Runs the user's own command (`--on-alert`) with each event as one line of JSON on its standard input: one at a
 * time, in order, thirty seconds each. A command that fails is a warning.
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
    const { log, environment } = this.#context;
    const given = { environment, input: `${safeJson(event)}\n`, timeoutMs: TIMEOUT_MS };
    this.#last = this.#last
      .then(() => runUserCommand(this.#command, given))
      .catch((error: unknown) => log.warn(`--on-alert: ${messageOf(error)}`));
  }

  /** Resolves when every event has been told. */
  settled(): Promise<void> {
    return this.#last;
  }
}
