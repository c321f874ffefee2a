import { type FileHandle, open } from 'node:fs/promises';
import type { z } from 'zod';
import { RegopsError, writeFileAtomically } from '../base/index.ts';

/**
 * Changes of something that is kept in memory, one JSON line each, appended as they happen. A reader builds it again
 * by applying them in order; a last line that a crash cut is left out.
 */
export class Journal<T> {
  readonly #file: FileHandle;
  #lines: string[] = [];
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Opens the journal for appending. */
  static async open<T>(path: string): Promise<Journal<T>> {
    return new Journal<T>(await open(path, 'a', 0o600));
  }

  /** Reads a journal, line by line. Throws INPUT_INVALID when it is damaged. */
  static async *read<T>(path: string, schema: z.ZodType<T>): AsyncGenerator<T> {
    const file = await open(path, 'r');
    try {
      let damaged = 0;
      let line = 0;
      for await (const text of file.readLines()) {
        line++;
        if (damaged > 0) throw new RegopsError('INPUT_INVALID', `${path}: line ${damaged} is damaged`);
        const change = readChange(text, schema);
        if (change === undefined) damaged = line;
        else yield change;
      }
    } finally {
      await file.close();
    }
  }

  /** Puts a new journal of these changes in the place of the old one. */
  static async replace(path: string, changes: Iterable<unknown>): Promise<void> {
    const lines = Array.from(changes, lineOf);
    await writeFileAtomically(path, lines.join(''), 0o600);
  }

  /**
   * Resolves when the change is in the file. Changes that come while a write is under way go out
   * together in the next one; after a write has failed, every later one fails too.
   */
  append(change: T): Promise<void> {
    this.#lines.push(lineOf(change));
    if (!this.#next) {
      this.#next = this.#last.then(() => {
        const text = this.#lines.join('');
        this.#lines = [];
        this.#next = undefined;
        return this.#file.appendFile(text);
      });
      this.#last = this.#next;
    }
    return this.#next;
  }

  async close(): Promise<void> {
    await this.#last.catch(() => {});
    await this.#file.close();
  }
}

function lineOf(change: unknown): string {
  return `${JSON.stringify(change)}\n`;
}

function readChange<T>(text: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
