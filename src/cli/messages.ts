import { closeSync, openSync, writeSync } from 'node:fs';
import { escapeText, isRegopsError, type Log, messageOf, RegopsError, redactText } from '../base/index.ts';
import { palette } from './color.ts';

/** Warnings beyond this many are counted, not kept. */
const MAX_WARNINGS = 1000;

/** Where messages go and how much of them. */
export interface MessagesOptions {
  /** Prints one line on stderr, around whatever is drawn there. */
  readonly line: (text: string) => void;
  readonly color: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Appended to, made with mode 0600; gets everything `--verbose` would show. */
  readonly logFile?: string | undefined;
  /** Values that must not appear, whatever text they are found in. */
  readonly secrets?: readonly string[];
}

/** All that is said beside the answer: warnings, hints, traces, errors. Foreign text in it is escaped here. */
export class Messages implements Log {
  readonly #options: MessagesOptions;
  readonly #secrets = new Set<string>();
  readonly #warnings = new Set<string>();
  #dropped = 0;
  #file: number | undefined;

  /** Throws OUTPUT_FAILED when the log file cannot be opened. */
  constructor(options: MessagesOptions) {
    this.#options = options;
    for (const secret of options.secrets ?? []) this.conceal(secret);
    if (options.logFile === undefined) return;
    try {
      this.#file = openSync(options.logFile, 'a', 0o600);
    } catch (error) {
      throw new RegopsError('OUTPUT_FAILED', `cannot write the log file: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** From now on this must not appear in anything that is said, whoever says it. */
  conceal(secret: string): void {
    // A short secret would be found in ordinary words and make every message unreadable.
    if (secret.length >= 5) this.#secrets.add(secret);
  }

  /** What was warned of, each once, for the JSON answer. */
  get warnings(): readonly string[] {
    return this.#dropped === 0 ? [...this.#warnings] : [...this.#warnings, `${this.#dropped} more warnings`];
  }

  warn(message: string): void {
    const clean = this.clean(message);
    if (this.#warnings.has(clean)) return;
    if (this.#warnings.size >= MAX_WARNINGS) {
      this.#dropped++;
      return;
    }
    this.#warnings.add(clean);
    this.#record('warning', clean);
    this.#options.line(`${this.#paint.yellow('warning:')} ${clean}`);
  }

  info(message: string): void {
    const clean = this.clean(message);
    this.#record('info', clean);
    if (!this.#options.quiet) this.#options.line(clean);
  }

  trace(message: string): void {
    const clean = this.clean(message);
    this.#record('trace', clean);
    if (this.#options.verbose) this.#options.line(this.#paint.dim(clean));
  }

  /** Advice: shown faint, hidden by `--quiet`. */
  hint(message: string): void {
    const clean = this.clean(message);
    this.#record('hint', clean);
    if (!this.#options.quiet) this.#options.line(this.#paint.dim(`hint: ${clean}`));
  }

  /** A failure: its message, its hints, and under `--verbose` what caused it (for a bug, the stack). */
  error(error: RegopsError): void {
    const clean = this.clean(error.message);
    this.#record('error', `${error.code} ${clean}`);
    this.#options.line(`${this.#paint.red('error:')} ${clean}`);
    for (const hint of error.hints) this.hint(hint);
    for (let cause = error.cause, depth = 0; cause !== undefined && depth < 8; depth++) {
      const stack = !isRegopsError(cause) && error.kind === 'bug' && cause instanceof Error && cause.stack;
      for (const line of `caused by: ${stack || messageOf(cause)}`.split('\n')) this.trace(line);
      cause = cause instanceof Error ? cause.cause : undefined;
    }
  }

  /** Text without secrets and without anything a terminal would obey, on one line. */
  clean(text: string): string {
    let known = text;
    for (const secret of this.#secrets) known = known.replaceAll(secret, 'REDACTED');
    return escapeText(redactText(known));
  }

  /** Closes the log file. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  get #paint() {
    return palette(this.#options.color);
  }

  #record(level: string, text: string): void {
    if (this.#file === undefined) return;
    try {
      // Written at once: the last line before a crash is the one that matters.
      writeSync(this.#file, `${new Date().toISOString()} ${level} ${text}\n`);
    } catch (error) {
      this.close();
      this.warn(`the log file ends here: ${messageOf(error)}`);
    }
  }
}
