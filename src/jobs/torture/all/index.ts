/**
 * torture all: monitor, consistency and stress against one registry, at once or one after the other, and one
 * report of the three.
 */
import { asRegopsError, type Clock, type RegopsError } from '../../../base/index.ts';
import type { LoadSample } from '../../../load/index.ts';
import {
  type ConsistencyContext,
  type ConsistencyOptions,
  type ConsistencyResult,
  consistency,
} from '../consistency/index.ts';
import { type MonitorContext, type MonitorOptions, type MonitorResult, monitor } from '../monitor/index.ts';
import { checkStress, type StressOptions, type StressResult, stress } from '../stress/index.ts';

export { reportTorture } from './report.ts';

export interface TortureOptions {
  readonly monitor: MonitorOptions;
  readonly consistency: ConsistencyOptions;
  readonly stress: StressOptions;
  /** `sequential` is what the seed's program does, whatever its guide says: each phase takes the whole duration. */
  readonly phases: 'concurrent' | 'sequential';
}

export interface TortureContext extends MonitorContext, ConsistencyContext {
  onLoad?(sample: LoadSample): void;
}

/** The `result` of torture all's JSON answer; a phase that could not run at all is null. */
export interface TortureResult {
  readonly registry: string;
  readonly phases: TortureOptions['phases'];
  readonly startedAt: string;
  readonly durationMs: number;
  readonly interrupted: boolean;
  readonly monitor: MonitorResult | null;
  readonly consistency: ConsistencyResult | null;
  readonly stress: StressResult | null;
}

/**
 * Runs the three phases. One that fails does not keep the others from going on: what they found comes back
 * as `result` beside the first `error`. Throws USAGE at once, before any of them begins.
 */
export async function tortureAll(
  options: TortureOptions,
  context: TortureContext,
): Promise<{ result: TortureResult; error?: RegopsError }> {
  checkStress(options.stress);
  const begun = context.clock.now();
  const errors: RegopsError[] = [];
  const settle = async <T>(phase: () => Promise<{ result: T; error?: RegopsError }>): Promise<T | null> => {
    try {
      const { result, error } = await phase();
      if (error) errors.push(error);
      return result;
    } catch (thrown) {
      errors.push(asRegopsError(thrown));
      return null;
    }
  };
  const deletes = new OwnDeletes(context.clock);
  const { writePrefix } = options.stress;
  const phases = {
    monitor: () => settle(() => monitor({ ...options.monitor, ownDeletesMs: () => deletes.lastMs }, context)),
    consistency: () => settle(() => consistency({ ...options.consistency, writePrefix }, context)),
    stress: () =>
      settle(async () => ({
        result: await stress(options.stress, {
          ...context,
          onSample: (sample) => context.onLoad?.(sample),
          onDeleting: (isDeleting) => deletes.tell(isDeleting),
        }),
      })),
  };
  const [watched, examined, loaded] =
    options.phases === 'concurrent'
      ? await Promise.all([phases.monitor(), phases.consistency(), phases.stress()])
      : [await phases.monitor(), await phases.consistency(), await phases.stress()];
  const result: TortureResult = {
    registry: options.monitor.registry,
    phases: options.phases,
    startedAt: new Date(begun).toISOString(),
    durationMs: Math.round(context.clock.now() - begun),
    interrupted: context.signal.aborted,
    monitor: watched,
    consistency: examined,
    stress: loaded,
  };
  const error = errors.find(({ code }) => code !== 'INTERRUPTED') ?? errors[0];
  return error ? { result, error } : { result };
}

/** What stress takes away again must not alarm the monitor beside it. */
class OwnDeletes {
  readonly #clock: Clock;
  #isDeleting = false;
  #endedMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  tell(isDeleting: boolean): void {
    if (this.#isDeleting) this.#endedMs = this.#clock.now();
    this.#isDeleting = isDeleting;
  }

  /** When the last delete was, as far as is known; undefined when there was none. */
  get lastMs(): number | undefined {
    return this.#isDeleting ? this.#clock.now() : this.#endedMs;
  }
}
