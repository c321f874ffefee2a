import type { Clock } from '../base/index.ts';
import type { Progress } from './events.ts';

/** A progress sink that also prints lines of others (log, warnings) without tearing what it draws. */
export interface Display extends Progress {
  /** Prints a line, already escaped and coloured. */
  line(text: string): void;
  /**
   * Shows these lines, already escaped and coloured, below all others, in place of the ones shown before: a
   * live view. Only a terminal does; false says that nobody sees them.
   */
  panel(lines: readonly string[]): boolean;
}

/** The little of a terminal or file stream that progress needs. */
export interface ProgressStream {
  write(text: string): boolean;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** `auto` is `tty` on a terminal and `plain` elsewhere. */
export type ProgressMode = 'auto' | 'tty' | 'plain' | 'silent';

export interface ProgressOptions {
  readonly stream: ProgressStream;
  readonly mode: ProgressMode;
  readonly clock: Clock;
  readonly color: boolean;
}
