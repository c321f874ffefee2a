import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { escapeText, type Log, messageOf, redactText } from '../../../base/index.ts';

const HEAD_CHARACTERS = 256 * 1024;
const TAIL_CHARACTERS = 32 * 1024;

/**
 * What a stage's programs write, line by line: in the log file, in the trace, and, its beginning and its end, in
 * memory. Repository URLs may hold passwords, and lines terminal escapes: neither is kept.
 */
export class Transcript {
  readonly #log: Log;
  readonly #prefix: string;
  readonly #file: WriteStream | undefined;
  #failed = false;
  #head = '';
  #tail: string[] = [];
  #tailLength = 0;
  #left = 0;

  /** @param path of the log file, which is replaced */
  constructor(log: Log, prefix: string, path?: string) {
    this.#log = log;
    this.#prefix = prefix;
    this.#file = path === undefined ? undefined : createWriteStream(path);
    this.#file?.on('error', (error) => {
      if (!this.#failed) log.warn(`the log is not kept: ${messageOf(error)}`);
      this.#failed = true;
    });
  }

  line(text: string): void {
    const line = escapeText(redactText(text));
    this.#log.trace(`${this.#prefix}: ${line}`);
    if (!this.#failed) this.#file?.write(`${line}\n`);
    if (this.#tailLength === 0 && this.#head.length + line.length < HEAD_CHARACTERS) {
      this.#head += `${line}\n`;
      return;
    }
    this.#tail.push(line);
    this.#tailLength += line.length + 1;
    while (this.#tailLength > TAIL_CHARACTERS && this.#tail.length > 1) {
      this.#tailLength -= (this.#tail.shift() ?? '').length + 1;
      this.#left++;
    }
  }

  /** What there is in memory; a line says so where some are missing. */
  get text(): string {
    const gap = this.#left > 0 ? `[… ${this.#left} lines …]\n` : '';
    return this.#tail.length === 0 ? this.#head : `${this.#head}${gap}${this.#tail.join('\n')}\n`;
  }

  /** Waits until the file is written. */
  async close(): Promise<void> {
    this.#file?.end();
    if (this.#file && !this.#failed) await finished(this.#file).catch(() => {});
  }
}
