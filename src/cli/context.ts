import type { Clock, Log, RegopsError } from '../base/index.ts';
import type { Display } from '../progress/index.ts';
import type { Report, ReportEvent } from '../report/index.ts';

/** What a command's body gives back. */
export interface Outcome {
  /** The JSON answer's `result`: an object, camelCase, sizes in bytes, times in milliseconds or ISO 8601. */
  readonly result: unknown;
  /** The same for people and monitoring systems. */
  readonly report: Report;
  /** 1: the command worked and found a problem. */
  readonly exitCode?: 0 | 1 | undefined;
  /** The work failed but had got somewhere: result and report say how far, and this decides the exit code. */
  readonly error?: RegopsError | undefined;
}

/** All a command's body needs of the outside: jobs get it (or a part of it) as their context. */
export interface CommandContext {
  /** Aborted with INTERRUPTED by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly progress: Display;
  readonly log: Log;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly stdin: NodeJS.ReadStream;
  /** `regops/1.2.3`, for the User-Agent header. */
  readonly userAgent: string;
  /** Where caches may be kept; not made yet. */
  readonly cacheFolder: string;
  readonly settingsPath: string;
  /** Takes a secret that was read (from a file, a helper, standard input) out of everything that is said from now on. */
  conceal(secret: string): void;
  /** Says what all numbers of this run are of, for those who collect them from several. */
  label(name: string, value: string): void;
  /** Calls this when the body has ended, however it did; the last one first. */
  defer(close: () => void | Promise<void>): void;
  /** Gives the answer now instead of at the end: for a server that has to say where it listens. */
  present(outcome: Pick<Outcome, 'result' | 'report'>): Promise<void>;
  /** Tells what just happened: a line of its own with `--format ndjson`, nothing with any other. */
  event(event: ReportEvent): void;
  /**
   * How things stand now: with `--format prometheus --output FILE` the file is replaced, with any other nothing
   * is done. Resolves when it is written; of samples that come faster than the disk the last one is.
   * Never rejects: a file that cannot be written is a warning, and the end of the run tries once more.
   */
  sample(report: Report): Promise<void>;
}
