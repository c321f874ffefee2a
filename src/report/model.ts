/**
 * What a job found, ready to be shown in any format and free of any: jobs build it from their result,
 * `report/formats` renders it. The JSON answer carries the job's result itself, not this.
 */
export interface Report {
  /**
   * Exact text that is the whole answer (a raw manifest): written byte for byte without a newline of ours
   * into a pipe or file, escaped line by line on a terminal. Everything else but `summary` is then left out.
   */
  readonly exact?: string;
  /**
   * Bare lines of the answer, made for pipes (`REF@DIGEST`). In `table` format they are printed first, and
   * a pipe or file gets nothing but them.
   */
  readonly lines?: readonly string[];
  readonly sections?: readonly Section[];
  /** What was judged; drives `nagios`, `junit` and the exit code. */
  readonly checks?: readonly Check[];
  /** Numbers worth keeping: perfdata, exposition. */
  readonly metrics?: readonly Metric[];
  /** One sentence that sums it all up; the human summary that stays on stdout when `--output` takes the report. */
  readonly summary?: string;
}

/** A part of a report for people: a heading, facts as name and value, a table, or text. */
export interface Section {
  readonly title?: string;
  readonly facts?: readonly (readonly [name: string, value: string])[];
  readonly table?: Table;
  readonly text?: string;
}

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be cut to fit a terminal; cells of other columns are always whole. */
  readonly shrink?: boolean;
}

export interface Check {
  readonly name: string;
  readonly status: 'pass' | 'warn' | 'fail' | 'unknown';
  /** What was seen, in one line. */
  readonly message: string;
  readonly durationMs?: number;
}

export interface Metric {
  /** snake_case, with the unit as its last word: `blobs_checked_total`, `size_bytes`. */
  readonly name: string;
  readonly help: string;
  readonly value: number;
  readonly unit?: 's' | 'ms' | 'B' | '%' | 'c' | '';
  readonly labels?: Readonly<Record<string, string>>;
  readonly warn?: number;
  readonly critical?: number;
}
