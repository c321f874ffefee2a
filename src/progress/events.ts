/**
 * What work tells about itself while it runs. A job reports here without knowing whether anybody looks:
 * a terminal with bars, plain lines in a CI log, or nothing at all.
 */
export interface Progress {
  /** A step of the whole work begins: one plain line ("pushing 3 images to registry.example.com"). */
  phase(text: string): void;
  /**
   * So many tasks with so many bytes are still to begin: the total counts them from now on. Each task that
   * begins is one of them, as long as any are left.
   */
  expect(tasks: number, bytes: number): void;
  /**
   * A piece of work with its own bar begins.
   * @param label short name, foreign text allowed (the sink escapes it)
   * @param totalBytes 0 or undefined when unknown
   */
  task(label: string, totalBytes?: number): ProgressTask;
  /** Nothing more will come: bars are taken down. Safe to call twice. */
  close(): void;
}

export interface ProgressTask {
  /** Bytes further on since the last call; negative when a retry starts over. */
  advance(bytes: number): void;
  /** The size became known, or was wrong. */
  total(bytes: number): void;
  /** Ended; `outcome` is one word or a short phrase: `uploaded`, `exists`, `mounted`, `failed`. */
  end(outcome: string): void;
}

/** Shows nothing. */
export const silentProgress: Progress = {
  phase() {},
  expect() {},
  task: () => ({ advance() {}, total() {}, end() {} }),
  close() {},
};
