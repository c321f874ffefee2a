import { finished, Readable } from 'node:stream';

/** What a {@link Relay} does with what passes. */
export interface RelayHooks {
  /** Told of every chunk's length; an error it gives ends the stream. */
  onBytes?(bytes: number): Error | undefined;
  /** Told that the source ended by itself; an error it gives is thrown instead of the end. */
  onEnd?(): Error | undefined;
  /** Turns the source's error into the one that readers of the relay get. */
  mapError?(error: Error): Error;
}

/**
 * Passes a stream on without copying: with other errors, a count, or a check on its length. Destroying it
 * destroys the source. An error that nobody listens for is kept, not thrown at the process: a response's
 * body may fail before its reader has come.
 */
export class Relay extends Readable {
  readonly #source: Readable;

  constructor(source: Readable, hooks: RelayHooks) {
    super();
    this.#source = source;
    this.on('error', () => {});
    source.on('data', (chunk: Buffer) => {
      const error = hooks.onBytes?.(chunk.length);
      if (error) this.destroy(error);
      else if (!this.push(chunk)) source.pause();
    });
    source.pause();
    finished(source, { writable: false }, (error) => {
      const failure = error ? (hooks.mapError?.(error) ?? error) : hooks.onEnd?.();
      if (failure) this.destroy(failure);
      else this.push(null);
    });
  }

  override _read(): void {
    this.#source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#source.on('error', () => {});
    this.#source.destroy();
    done(error);
  }
}
