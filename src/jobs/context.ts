import type { Clock, Log } from '../base/index.ts';
import type { Progress } from '../progress/events.ts';
import type { RegistryClient } from '../registry/index.ts';

/** What every job is given beside its options: it takes nothing from the process itself. */
export interface JobContext {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly log: Log;
  /** The client of a registry, by the domain of its references; made once, with the user's TLS and credentials. */
  registry(domain: string): Promise<RegistryClient>;
}
