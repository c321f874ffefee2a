import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** How occupied one thread was with firing. */
export interface ThreadFigures {
  /** Of a run too short for it, the highest of which some looks were higher; 0 when there was hardly a run. */
  readonly eventLoopDelayP99Ms: number;
  /** 0 to 1; busy waiting does not count. */
  readonly utilization: number;
}

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
