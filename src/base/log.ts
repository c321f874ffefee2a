/**
 * What work says beside its answer. Rooms write here; only `cli/` decides whether and where it shows.
 * Messages are plain text: the sink escapes them.
 */
export interface Log {
  /** Something the user should know although the work goes on. Also listed in the JSON answer's `warnings`. */
  warn(message: string): void;
  /** A plain line a user would miss if it were silent; hidden by `--quiet`. */
  info(message: string): void;
  /** Detail for `--verbose`: one line, already redacted. */
  trace(message: string): void;
}

/** Says nothing. */
export const silentLog: Log = { warn() {}, info() {}, trace() {} };
