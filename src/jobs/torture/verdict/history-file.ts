import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { messageOf, RegopsError, writingPlace } from '../../../base/index.ts';
import { HistoryEncoder, type HistoryHeader } from '../../../history/index.ts';
import type { HistorySink } from './record.ts';

/**
 * A history file as it is written: beside its place until it is whole, so that nobody takes a part of a run for all
 * of it. A link is followed. What is no file (a pipe, `/dev/null`) is written to as it is, and never replaced.
 */
export class HistoryFile implements HistorySink {
  readonly encoder = new HistoryEncoder();
  readonly #path: string;
  /** Undefined where it is written to at once. */
  readonly #temporary: string | undefined;
  readonly #stream: WriteStream;
  #failure: Error | undefined;

  private constructor(path: string, temporary: string | undefined) {
    this.#path = path;
    this.#temporary = temporary;
    this.#stream = createWriteStream(temporary ?? path, { flags: temporary ? 'wx' : 'w', mode: 0o644 });
    this.#stream.on('error', (error) => {
      this.#failure = error;
    });
  }

  /** Begins a file with its first line. Throws OUTPUT_FAILED. */
  static async create(path: string, header: HistoryHeader): Promise<HistoryFile> {
    try {
      const { target, temporary } = await writingPlace(path);
      const file = new HistoryFile(target, temporary);
      await once(file.#stream, 'open');
      file.write(file.encoder.header(header));
      return file;
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  write(lines: string): void {
    if (!this.#failure) this.#stream.write(lines);
  }

  /** Puts the file in its place. Throws OUTPUT_FAILED. */
  async finish(): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#stream.once('error', reject);
        if (this.#failure) reject(this.#failure);
        else this.#stream.end(resolve);
      });
      if (this.#temporary !== undefined) await rename(this.#temporary, this.#path);
    } catch (error) {
      await this.discard();
      throw cannotWrite(this.#path, error);
    }
  }

  /** Leaves nothing behind. */
  async discard(): Promise<void> {
    this.#stream.destroy();
    if (this.#temporary !== undefined) await rm(this.#temporary, { force: true });
  }
}

function cannotWrite(path: string, error: unknown): RegopsError {
  return new RegopsError('OUTPUT_FAILED', `cannot write the history ${path}: ${messageOf(error)}`, {
    cause: error,
  });
}
