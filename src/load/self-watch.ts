import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** How occupied one thread was with firing. */
export interface ThreadFigures {
  readonly eventLoopDelayP99Ms: number;
  /** 0 to 1; busy waiting does not count. */
  readonly utilization: number;
}

/** The delay histogram holds the whole distance between two looks at the clock, so the distance asked for is taken off. */
const RESOLUTION_MS = 5;

/** Watches this thread's event loop from now on, until it is stopped. */
export function watchThread(): { figures(spareMs: number): ThreadFigures; stop(): void } {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  const before = performance.eventLoopUtilization();
  return {
    figures(spareMs) {
      const { active, idle } = performance.eventLoopUtilization(before);
      const p99 = delays.count === 0 ? 0 : delays.percentile(99) / 1e6;
      return {
        eventLoopDelayP99Ms: Math.max(0, p99 - RESOLUTION_MS),
        utilization: active + idle === 0 ? 0 : Math.min(1, Math.max(0, active - spareMs) / (active + idle)),
      };
    },
    stop() {
      delays.disable();
    },
  };
}
