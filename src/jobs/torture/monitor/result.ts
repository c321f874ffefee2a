import type { Health, HealthReading, RegistryState, Session } from '../view.ts';

export type ProbeKind = 'state' | 'health' | 'sessions';

/** A state without the repositories' own counts. */
export type StateSample = Omit<RegistryState, 'tagCounts'>;

/** One reading, as it was made: what a line of NDJSON, a live view or an exposition is made of. */
export type MonitorSample =
  | { readonly type: 'state'; readonly state: StateSample }
  | { readonly type: 'health'; readonly health: HealthReading }
  | {
      readonly type: 'sessions';
      readonly takenAt: string;
      /** null where the registry does not tell. */
      readonly count: number | null;
      /** The oldest, at most a hundred. */
      readonly sessions: readonly Session[];
      readonly latencyMs: number;
    };

export type AlertKind =
  | 'repositories-dropped'
  | 'manifests-dropped'
  | 'blobs-dropped'
  | 'health-changed'
  | 'long-session'
  | 'probe-failed'
  | 'probe-recovered'
  | 'probe-slow'
  | 'partial-state';

/** Something somebody should look at. A condition that lasts is told once, when it begins. */
export interface MonitorAlert {
  /** ISO 8601. */
  readonly at: string;
  readonly kind: AlertKind;
  readonly severity: 'note' | 'warning' | 'critical';
  /** Names what it is about: a probe, or a session's id. */
  readonly subject: string | null;
  /** One line; foreign text in it is escaped. */
  readonly message: string;
}

/** How one kind of probe fared. */
export interface ProbeFigures {
  readonly count: number;
  readonly failed: number;
  readonly slow: number;
  /** Of the probes that were answered; null when none was. */
  readonly latencyMs: {
    readonly min: number;
    readonly mean: number;
    readonly max: number;
    readonly last: number;
  } | null;
}

/** What is different between the first and the last state. */
export interface StateChanges {
  readonly repositories: number;
  readonly manifests: number;
  readonly blobs: number;
  /** Names of repositories that came and went, at most a hundred of each, and how many in all. */
  readonly appeared: readonly string[];
  readonly appearedCount: number;
  readonly vanished: readonly string[];
  readonly vanishedCount: number;
  /** Repositories of both states with another number of tags. */
  readonly retaggedCount: number;
}

/** The `result` of torture monitor's JSON answer. */
export interface MonitorResult {
  readonly registry: string;
  /** null when it could not be found out. */
  readonly api: 'nscr' | 'oci' | null;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly interrupted: boolean;
  readonly probes: Readonly<Record<ProbeKind, ProbeFigures>>;
  /** States taken; `history` may hold fewer. */
  readonly snapshots: number;
  readonly initial: StateSample | null;
  readonly final: StateSample | null;
  readonly changes: StateChanges | null;
  /** At the last look; `unknown` when that was not answered. */
  readonly health: Health;
  /** Uploads under way at the last look; null where nobody tells. */
  readonly sessions: number | null;
  /** States evenly spread over the whole time. */
  readonly history: readonly StateSample[];
  /** The latest alerts, and how many there were of each kind. */
  readonly alerts: readonly MonitorAlert[];
  readonly alertCounts: Readonly<Partial<Record<AlertKind, number>>>;
}
