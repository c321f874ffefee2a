/**
 * torture monitor: asks a registry again and again what it holds and how it is, and says when that gets
 * worse. It reads only. What it keeps is bounded however long it runs.
 */
import { asRegopsError, isRegopsError, mapConcurrently, type RegopsError } from '../../../base/index.ts';
import { BoundedSeries } from '../bounded-series.ts';
import { isoTime } from '../latency.ts';
import { openView } from '../open-view.ts';
import type { Health, RegistryState, RegistryView } from '../view.ts';
import { changesBetween } from './changes.ts';
import type { MonitorContext, MonitorOptions } from './options.ts';
import { ProbeTally } from './probe-tally.ts';
import type { AlertKind, MonitorAlert, MonitorResult, ProbeKind, StateSample } from './result.ts';
import { Watch } from './watch.ts';

export { MONITOR_DEFAULTS, type MonitorContext, type MonitorOptions } from './options.ts';
export { alertLine, reportMonitor, sampleLine } from './report.ts';
export type * from './result.ts';

const MAX_HISTORY = 720;
const MAX_ALERTS = 1000;
const MAX_SESSIONS_SHOWN = 100;

/**
 * Watches for the duration, or looks once. Probes that fail become alerts; `error` is set when the registry could
 * not be looked at at all, or the work was interrupted (`result` then holds what was seen so far).
 */
export async function monitor(
  options: MonitorOptions,
  context: MonitorContext,
): Promise<{ result: MonitorResult; error?: RegopsError }> {
  const run = new MonitorRun(options, context);
  try {
    await run.watch();
    const blind = run.neverAnswered;
    return blind ? { result: run.result(false), error: blind } : { result: run.result(false) };
  } catch (thrown) {
    const error = asRegopsError(thrown);
    return { result: run.result(error.code === 'INTERRUPTED'), error };
  }
}

class MonitorRun {
  readonly #options: MonitorOptions;
  readonly #context: MonitorContext;
  readonly #watch: Watch;
  readonly #begunMs: number;
  readonly #probes: Readonly<Record<ProbeKind, ProbeTally>>;
  readonly #history = new BoundedSeries<StateSample>(MAX_HISTORY);
  readonly #alerts: MonitorAlert[] = [];
  readonly #alertCounts: Partial<Record<AlertKind, number>> = {};
  #api: RegistryView['api'] | null = null;
  #first: RegistryState | undefined;
  #last: RegistryState | undefined;
  #health: Health = 'unknown';
  #sessions: number | null = null;
  #lastFailure: RegopsError | undefined;

  constructor(options: MonitorOptions, context: MonitorContext) {
    this.#options = options;
    this.#context = context;
    this.#watch = new Watch(options);
    this.#begunMs = context.clock.now();
    const tally = (): ProbeTally => new ProbeTally(options.slowMs);
    this.#probes = { state: tally(), health: tally(), sessions: tally() };
  }

  async watch(): Promise<void> {
    const { registry, stateMs, healthMs, sessionsMs, durationMs, once } = this.#options;
    const { signal, clock } = this.#context;
    const view = await openView(await this.#context.registry(registry), this.#options, signal);
    this.#api = view.api;
    const deadline = clock.now() + durationMs;
    const repeated = async (
      intervalMs: number,
      either: AbortSignal,
      probe: () => Promise<void>,
    ): Promise<void> => {
      for (;;) {
        const begun = clock.now();
        await probe();
        this.#context.onProbed?.(() => this.result(false));
        if (once) return;
        // A probe that takes longer than its interval is followed by the next at once, never by two. A clock that was
        // set back meanwhile makes no pause longer.
        const pauseMs = Math.min(intervalMs, Math.max(0, begun + intervalMs - clock.now()));
        if (clock.now() + pauseMs >= deadline) return;
        await clock.sleep(pauseMs, either);
      }
    };
    const loops: ((either: AbortSignal) => Promise<void>)[] = [
      async (either) => {
        await repeated(stateMs, either, () => this.#probeState(view, either));
        const left = deadline - clock.now();
        if (once || left <= 0) return;
        // One more at the very end, so that the final state is that of the end.
        await clock.sleep(left, either);
        await this.#probeState(view, either);
        this.#context.onProbed?.(() => this.result(false));
      },
      (either) => repeated(healthMs, either, () => this.#probeHealth(view, either)),
      (either) => repeated(sessionsMs, either, () => this.#probeSessions(view, either)),
    ];
    await mapConcurrently(loops, loops.length, signal, (loop, either) => loop(either));
  }

  /** What the last probe failed with, when none was ever answered. */
  get neverAnswered(): RegopsError | undefined {
    const answered = Object.values(this.#probes).some(({ figures }) => figures.latencyMs !== null);
    return answered && this.#first ? undefined : this.#lastFailure;
  }

  result(interrupted: boolean): MonitorResult {
    const [first, last] = [this.#first, this.#last];
    const figures = (kind: ProbeKind) => this.#probes[kind].figures;
    return {
      registry: this.#options.registry,
      api: this.#api,
      startedAt: isoTime(this.#begunMs),
      durationMs: this.#context.clock.now() - this.#begunMs,
      interrupted,
      probes: { state: figures('state'), health: figures('health'), sessions: figures('sessions') },
      snapshots: this.#history.seen,
      initial: first ? sampleOf(first) : null,
      final: last ? sampleOf(last) : null,
      changes: first && last ? changesBetween(first, last) : null,
      health: this.#health,
      sessions: this.#sessions,
      history: this.#history.values,
      alerts: this.#alerts,
      alertCounts: this.#alertCounts,
    };
  }

  async #probeState(view: RegistryView, signal: AbortSignal): Promise<void> {
    const state = await this.#asked('state', () => view.state(signal));
    if (!state) return;
    const sample = sampleOf(state);
    this.#first ??= state;
    this.#last = state;
    this.#history.push(sample);
    this.#sessions = state.sessions ?? this.#sessions;
    this.#context.onSample?.({ type: 'state', state: sample });
    this.#raise(this.#watch.state(sample, tagsOf(state), this.#options.ownDeletesMs?.()));
  }

  async #probeHealth(view: RegistryView, signal: AbortSignal): Promise<void> {
    const health = await this.#asked('health', () => view.health(signal));
    if (!health) {
      this.#health = 'unknown';
      return;
    }
    this.#health = health.status;
    this.#context.onSample?.({ type: 'health', health });
    this.#raise(this.#watch.health(health));
  }

  async #probeSessions(view: RegistryView, signal: AbortSignal): Promise<void> {
    const reading = await this.#asked('sessions', () => view.sessions(signal));
    if (!reading) return;
    const { takenAt, latencyMs, sessions } = reading;
    this.#sessions = sessions?.length ?? this.#sessions;
    const oldest = [...(sessions ?? [])].sort((a, b) => (b.durationMs ?? 0) - (a.durationMs ?? 0));
    this.#context.onSample?.({
      type: 'sessions',
      takenAt,
      count: sessions?.length ?? null,
      sessions: oldest.slice(0, MAX_SESSIONS_SHOWN),
      latencyMs,
    });
    this.#raise(this.#watch.sessions(reading));
  }

  /** An answer, or undefined once the failure has been noted. Throws what will not get better by waiting. */
  async #asked<T extends { latencyMs: number }>(
    kind: ProbeKind,
    ask: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      const answer = await ask();
      this.#probes[kind].answered(answer.latencyMs);
      return answer;
    } catch (error) {
      if (!isRegopsError(error) || error.kind === 'interrupted' || error.kind === 'bug') throw error;
      this.#probes[kind].failed();
      this.#lastFailure = error;
      const hopeless = error.kind === 'denied' || error.code === 'UNSUPPORTED_BY_SERVER';
      if (hopeless && kind === 'state' && !this.#first) throw error;
      this.#raise(this.#watch.failed(kind, error, this.#context.clock.now()));
      return undefined;
    }
  }

  #raise(alerts: readonly MonitorAlert[]): void {
    for (const alert of alerts) {
      this.#alertCounts[alert.kind] = (this.#alertCounts[alert.kind] ?? 0) + 1;
      this.#alerts.push(alert);
      if (this.#alerts.length > MAX_ALERTS) this.#alerts.shift();
      this.#context.onAlert?.(alert);
    }
  }
}

function tagsOf({ tagCounts }: RegistryState): number {
  return [...tagCounts.values()].reduce((sum, count) => sum + count, 0);
}

function sampleOf({ tagCounts: _, ...sample }: RegistryState): StateSample {
  return sample;
}
