import { messageOf, safeJson, systemClock } from '../base/index.ts';
import { createProgress, type Display } from '../progress/index.ts';
import type { ReportEvent } from '../report/index.ts';
import { type Answer, jsonAnswer, NO_TERMINAL, ndjsonAnswer, renderAnswer, writeOutput } from './answer.ts';
import { wantsColor } from './color.ts';
import { EventFile } from './event-file.ts';
import { type OutputFormat, SECRET_FLAGS } from './flags.ts';
import { Messages } from './messages.ts';
import { present } from './present.ts';

/** All ways in which a running command speaks: progress, messages, and its answer, which is given once. */
export class Output {
  readonly progress: Display;
  readonly messages: Messages;
  readonly format: OutputFormat;
  /** `--output`, unless that is stdout. */
  readonly #file: string | undefined;
  readonly #events: EventFile | undefined;
  #presented = false;
  /** The newest sample that is not written yet, and the writing of the one before. */
  #sample: string | undefined;
  #writing: Promise<void> | undefined;

  private constructor(flags: Readonly<Record<string, unknown>>, progress: Display, messages: Messages) {
    this.progress = progress;
    this.messages = messages;
    this.format = flags['format'] as OutputFormat;
    // Opened by its name, a file behind stdout would lose what is in it.
    const isStdout = flags['output'] === '-' || flags['output'] === '/dev/stdout';
    this.#file = isStdout ? undefined : (flags['output'] as string | undefined);
    this.#events =
      this.format === 'ndjson' && this.#file !== undefined ? new EventFile(this.#file) : undefined;
    // However the program ends, the cursor is shown again.
    process.on('exit', this.restoreTerminal);
  }

  /** Sets up what the output flags ask for. Throws OUTPUT_FAILED when the log file or that of the events cannot be opened. */
  static async open(flags: Readonly<Record<string, unknown>>): Promise<Output> {
    const color = wantsColor(process.stderr, process.env);
    // Lines of another stream would run through a drawing on the same terminal.
    const eventsOnTerminal = flags['format'] === 'ndjson' && process.stdout.isTTY;
    const progress = await createProgress({
      stream: process.stderr,
      mode: flags['quiet'] ? 'silent' : process.env['TERM'] === 'dumb' || eventsOnTerminal ? 'plain' : 'auto',
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
    await this.#writing;
    const append = this.#events && ((text: string) => this.#events?.append(text));
    await present(answer, { format: this.format, output: this.#file, append }, this.messages);
  }

  /** Writes an event at once, where the format has them. */
  event(event: ReportEvent): void {
    if (this.format !== 'ndjson' || this.#presented) return;
    this.#writeLine(`${safeJson(event)}\n`);
  }

  #writeLine(line: string): void {
    try {
      if (this.#events) this.#events.append(line);
      else process.stdout.write(line);
    } catch (error) {
      this.messages.warn(`events are lost: ${messageOf(error)}`);
    }
  }

  /** Replaces the file with how things stand, where the format is read from a file while the command runs. */
  async sample(answer: Answer): Promise<void> {
    if (this.format !== 'prometheus' || this.#file === undefined || this.#presented) return;
    this.#sample = renderAnswer(answer, 'prometheus', NO_TERMINAL).text;
    this.#writing ??= this.#writeSamples(this.#file);
    await this.#writing;
  }

  async #writeSamples(file: string): Promise<void> {
    for (let text = this.#sample; text !== undefined; text = this.#sample) {
      this.#sample = undefined;
      try {
        await writeOutput(file, text);
      } catch (error) {
        // The temporary file's name is another each time, and the warning is to be one.
        const { code = 'failed' } = (error as { cause?: NodeJS.ErrnoException }).cause ?? {};
        this.messages.warn(`cannot write ${file} (${code}); the next sample is tried again`);
      }
    }
    this.#writing = undefined;
  }

  /** The answer of a program that ends this instant, in the formats whose readers would else parse nothing. */
  leave(answer: Answer): void {
    if (this.#presented) return;
    if (this.format === 'json') process.stdout.write(jsonAnswer(answer));
    else if (this.format === 'ndjson') this.#writeLine(ndjsonAnswer(answer));
  }

  /** Takes down what progress has drawn. */
  readonly restoreTerminal = (): void => this.progress.close();

  close(): void {
    this.restoreTerminal();
    process.off('exit', this.restoreTerminal);
    this.#events?.close();
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
