import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** How occupied one thread was with firing. */
export interface ThreadFigures {
  /** Of a run too short for it, the highest of which some looks were higher; 0 when there was hardly a run. */
  readonly eventLoopDelayP99Ms: number;
  /** 0 to 1; busy waiting does not count. */
  readonly utilization: number;
}

/** How the generator itself fared: the worst thread's figures. */
export interface GeneratorFigures {
  readonly eventLoopDelayP99Ms: number;
  readonly utilization: number;
  /** True when the figures say as much of this machine as of the server. */
  readonly bound: boolean;
  readonly boundBy: readonly ('event-loop-delay' | 'utilization')[];
  readonly threads: number;
}

const BOUND_DELAY_MS = 10;
const BOUND_UTILIZATION = 0.9;

/** The delay histogram holds the whole distance between two looks at the clock, so the distance asked for is taken off. */
const RESOLUTION_MS = 5;
/** First connections and code that is not compiled yet hold up every run's beginning, which says nothing of the load. */
const START_UP_MS = 250;
/** A delay that was seen less often than this (one collection of garbage) is no habit, however short the run. */
const ODD_ONES = 3;

/** Watches this thread's event loop from now on, until it is stopped. */
export function watchThread(): { figures(spareMs: number): ThreadFigures; stop(): void } {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const begin = setTimeout(() => delays.enable(), START_UP_MS).unref();
  const before = performance.eventLoopUtilization();
  return {
    figures(spareMs) {
      const { active, idle } = performance.eventLoopUtilization(before);
      const above = Math.max(1, (100 * ODD_ONES) / delays.count);
      const delay = above < 100 ? delays.percentile(100 - above) / 1e6 : 0;
      return {
        eventLoopDelayP99Ms: Math.max(0, delay - RESOLUTION_MS),
        utilization: active + idle === 0 ? 0 : Math.min(1, Math.max(0, active - spareMs) / (active + idle)),
      };
    },
    stop() {
      clearTimeout(begin);
      delays.disable();
    },
  };
}

/** What its threads' figures say of the generator. @param threads how many there were, also without figures */
export function judgeGenerator(figures: readonly ThreadFigures[], threads: number): GeneratorFigures {
  const eventLoopDelayP99Ms = Math.max(0, ...figures.map((one) => one.eventLoopDelayP99Ms));
  const utilization = Math.max(0, ...figures.map((one) => one.utilization));
  const boundBy = [
    ...(eventLoopDelayP99Ms > BOUND_DELAY_MS ? (['event-loop-delay'] as const) : []),
    ...(utilization > BOUND_UTILIZATION ? (['utilization'] as const) : []),
  ];
  return { eventLoopDelayP99Ms, utilization, bound: boundBy.length > 0, boundBy, threads };
}
