export type Health = 'healthy' | 'degraded' | 'unhealthy' | 'unknown';

/** What a registry holds at one moment. */
export interface RegistryState {
  /** ISO 8601. */
  readonly takenAt: string;
  readonly api: 'nscr' | 'oci';
  readonly repositories: number;
  readonly manifests: number;
  readonly blobs: number;
  /** Uploads under way; null where nobody tells. */
  readonly sessions: number | null;
  readonly health: Health;
  readonly tagCounts: ReadonlyMap<string, number>;
  /** The longest wait for one reply while it was taken. */
  readonly latencyMs: number;
  /** Repositories that could not be read, not even when they were asked again: with any, the counts are too low. */
  readonly unreadable: number;
  /** There is more than was looked at: `maxRepositories` ended it. */
  readonly truncated: boolean;
}

/** What a registry says, or shows, about its health. */
export interface HealthReading {
  readonly takenAt: string;
  readonly status: Health;
  /** Why, in the registry's words. */
  readonly detail: string | null;
  readonly latencyMs: number;
}

/** An upload that is under way. */
export interface Session {
  readonly id: string;
  readonly startedAt: string | null;
  readonly durationMs: number | null;
}

export interface SessionsReading {
  readonly takenAt: string;
  /** null where nobody tells. */
  readonly sessions: readonly Session[] | null;
  readonly latencyMs: number;
}

/** One repository, as the side that keeps count of it sees it. */
export interface RepositoryDetails {
  readonly name: string;
  readonly tagCount: number;
  readonly tags: readonly {
    readonly tag: string;
    readonly hasManifest: boolean;
    readonly digest: string | null;
  }[];
}

/** One way to see a registry. Every call asks anew and throws a RegopsError when there is no answer. */
export interface RegistryView {
  readonly api: 'nscr' | 'oci';
  state(signal: AbortSignal): Promise<RegistryState>;
  health(signal: AbortSignal): Promise<HealthReading>;
  sessions(signal: AbortSignal): Promise<SessionsReading>;
  /** Without tags when there is no such repository. */
  repository(name: string, signal: AbortSignal): Promise<RepositoryDetails>;
}

/** Which API to use, and how much of the registry to look at. */
export interface ViewOptions {
  /** `auto` asks whether the registry has NSCR's admin API, and else derives everything from `/v2/`. */
  readonly api: 'auto' | 'nscr' | 'oci';
  /** Only repositories whose name it finds. */
  readonly repository?: RegExp | undefined;
  readonly maxRepositories: number;
}

/** How many repositories are looked at unless somebody says otherwise. */
export const DEFAULT_MAX_REPOSITORIES = 10_000;

/** Whether a repository is to be looked at. A `g` or `y` of the pattern means nothing here. */
export function isWanted(name: string, pattern: RegExp | undefined): boolean {
  return pattern === undefined || name.search(pattern) !== -1;
}
