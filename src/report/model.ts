/**
 * What a job found, ready to be shown in any format and free of any: jobs build it from their result,
 * `report/formats` renders it. The JSON answer carries the job's result itself, not this.
 */
export interface Report {
  /** What a page is headed with; without it the command's name. */
  readonly title?: string;
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
  /** How values went over time: plots. */
  readonly series?: readonly Series[];
  /** One sentence that sums it all up; the human summary that stays on stdout when `--output` takes the report. */
  readonly summary?: string;
}

/**
 * A part of a report for people: a heading, facts as name and value, a table, a time line, or text. One with nothing but a title
 * is the heading of those that follow.
 */
export interface Section {
  readonly title?: string;
  readonly facts?: readonly (readonly [name: string, value: string])[];
  readonly table?: Table;
  readonly timeline?: Timeline;
  readonly text?: string;
}

/** What happened when, and side by side with what: drawn where a format can draw, else told as text. */
export interface Timeline {
  /** The same in plain text, for formats that cannot draw. */
  readonly text: string;
  readonly bars: readonly TimelineBar[];
}

export interface TimelineBar {
  /** Who did it; bars of one lane stand in one row, or in more where they overlap. */
  readonly lane: string;
  /** The sign on the bar, a letter or two. */
  readonly label: string;
  /** What it was. */
  readonly name: string;
  /** What else is known of it. */
  readonly note?: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Nobody knows when it ended. */
  readonly open?: boolean;
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
  /** What it is one of many of (a repository, a phase): a test suite of its own in `junit`. */
  readonly group?: string;
  readonly status: 'pass' | 'warn' | 'fail' | 'unknown';
  /**
   * It is of how the run itself went, not of what was judged: a warning of it is no problem found, and that it
   * could not be told is no state of what is watched.
   */
  readonly advisory?: boolean;
  /** What was seen, in one line. */
  readonly message: string;
  /** What the judgement rests on (request, reply, time), in as many lines as it takes; for `junit` and `html`. */
  readonly evidence?: string;
  readonly durationMs?: number;
}

export interface Metric {
  /** snake_case, with the unit as its last word: `blobs_checked_total`, `size_bytes`. */
  readonly name: string;
  readonly help: string;
  readonly value: number;
  /** `counter` for what only grows while the program runs; its name then ends in `_total`. Default `gauge`, of unit `c` `counter`. */
  readonly type?: 'gauge' | 'counter';
  readonly unit?: 's' | 'ms' | 'B' | '%' | 'c' | '';
  readonly labels?: Readonly<Record<string, string>>;
  readonly warn?: number;
  readonly critical?: number;
}

/** One line of a plot. Series with the same plot and unit are drawn together, in their order. */
export interface Series {
  readonly plot: string;
  readonly name: string;
  /** What the values are in, as an axis says it: `ms`, `req/s`, `B`; '' for a plain count. */
  readonly unit: string;
  /** In the order of time, `atMs` since the run began. A value that is NaN leaves a gap. */
  readonly points: readonly (readonly [atMs: number, value: number])[];
  /** A state that holds until the next point (a count of tags), not samples of something that flows. */
  readonly step?: boolean;
}

/**
 * Something that happened while a command ran: a line of `ndjson`, written at once. JSON as in the answer
 * (camelCase, bytes, milliseconds or ISO 8601); the type `result` is the answer's own, on the last line.
 */
export interface ReportEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** How the run that made a report ended: what a document says beside the findings. Free of secrets. */
export interface Ending {
  /** The command's words: `torture monitor`. */
  readonly command: string;
  /** Done, and nothing wrong found: exit code 0. */
  readonly ok: boolean;
  readonly interrupted: boolean;
  /** When, in milliseconds since the epoch. */
  readonly at: number;
  /** What all its numbers are of: `registry`. Side by side with those of another, they must not look the same. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
  readonly error?:
    | { readonly code: string; readonly message: string; readonly hints: readonly string[] }
    | undefined;
}
