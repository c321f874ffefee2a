import { systemClock } from '../base/index.ts';
import { createProgress, type Display } from '../progress/index.ts';
import type { Answer } from './answer.ts';
import { wantsColor } from './color.ts';
import { type OutputFormat, SECRET_FLAGS } from './flags.ts';
import { Messages } from './messages.ts';
import { present } from './present.ts';

/** All ways in which a running command speaks: progress, messages, and its answer, which is given once. */
export class Output {
  readonly progress: Display;
  readonly messages: Messages;
  readonly format: OutputFormat;
  readonly #file: string | undefined;
  #presented = false;

  private constructor(flags: Readonly<Record<string, unknown>>, progress: Display, messages: Messages) {
    this.progress = progress;
    this.messages = messages;
    this.format = flags['format'] as OutputFormat;
    this.#file = flags['output'] as string | undefined;
    // However the program ends, the cursor is shown again.
    process.on('exit', this.restoreTerminal);
  }

  /** Sets up what the output flags ask for. Throws OUTPUT_FAILED when the log file cannot be opened. */
  static async open(flags: Readonly<Record<string, unknown>>): Promise<Output> {
    const color = wantsColor(process.stderr, process.env);
    const progress = await createProgress({
      stream: process.stderr,
      mode: flags['quiet'] ? 'silent' : process.env['TERM'] === 'dumb' ? 'plain' : 'auto',
      clock: systemClock,
      color,
    });
    const messages = new Messages({
      line: (text) => progress.line(text),
      color,
      quiet: Boolean(flags['quiet']),
      verbose: Boolean(flags['verbose']),
      logFile: flags['log-file'] as string | undefined,
      secrets: secretsOf(flags),
    });
    return new Output(flags, progress, messages);
  }

  /** True once the answer has been given. */
  get presented(): boolean {
    return this.#presented;
  }

  /** Gives the answer and sets the exit code. A second time only the exit code is set. */
  async show(answer: Answer): Promise<void> {
    if (this.#presented) {
      process.exitCode = answer.exitCode;
      return;
    }
    this.#presented = true;
    await present(answer, { format: this.format, output: this.#file }, this.messages);
  }

  /** Takes down what progress has drawn. */
  readonly restoreTerminal = (): void => this.progress.close();

  close(): void {
    this.restoreTerminal();
    process.off('exit', this.restoreTerminal);
    this.messages.close();
  }
}

/** Values that must never be shown, whatever text they turn up in. */
function secretsOf(flags: Readonly<Record<string, unknown>>): string[] {
  return [...SECRET_FLAGS].flatMap((name) => {
    const value = flags[name];
    // `--auth USER:PASS`: the password alone is a secret too.
    return typeof value === 'string' ? [value, value.slice(value.indexOf(':') + 1)] : [];
  });
}
