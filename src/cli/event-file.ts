import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, RegopsError } from '../base/index.ts';

/**
 * `--output FILE` of `ndjson`: emptied at the start and written line by line while the command runs, for
 * whoever follows it. The one answer that cannot replace its file in one go.
 */
export class EventFile {
  readonly #path: string;
  readonly #file: number;

  /** Throws OUTPUT_FAILED when the file cannot be opened: better now than after the work. */
  constructor(path: string) {
    this.#path = path;
    this.#file = this.#trying(() => {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      return openSync(path, 'w', 0o644);
    });
  }

  /** Throws OUTPUT_FAILED. */
  append(text: string): void {
    // Written at once: an event is of use while the command runs, and no signal can cut the line.
    this.#trying(() => writeFileSync(this.#file, text));
  }

  close(): void {
    closeSync(this.#file);
  }

  #trying<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new RegopsError('OUTPUT_FAILED', `cannot write ${this.#path}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}
