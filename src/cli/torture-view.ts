import { formatDuration } from '../base/index.ts';
import type { MonitorSample } from '../jobs/torture/monitor/index.ts';
import type { LoadSample } from '../load/index.ts';
import type { Display } from '../progress/index.ts';
import { Trace } from './trace.ts';

/** The live view of a torture test on a terminal: the current figures, each with its recent past. */
export class LiveView {
  readonly #display: Pick<Display, 'panel'>;
  readonly #traces = new Map<string, Trace>();
  #health = 'unknown';

  constructor(display: Pick<Display, 'panel'>) {
    this.#display = display;
  }

  /** A reading of the monitor. False when there is no terminal to show it on. */
  sample(sample: MonitorSample): boolean {
    switch (sample.type) {
      case 'state': {
        const { repositories, manifests, blobs, latencyMs } = sample.state;
        this.#health = sample.state.health === 'unknown' ? this.#health : sample.state.health;
        this.#push('repositories', repositories);
        this.#push('manifests', manifests);
        this.#push('blobs', blobs);
        this.#push('state ms', latencyMs);
        break;
      }
      case 'health':
        this.#health = sample.health.status;
        this.#push('health ms', sample.health.latencyMs);
        break;
      case 'sessions':
        if (sample.count !== null) this.#push('sessions', sample.count);
        break;
    }
    return this.#draw();
  }

  /** What the load generator did in an interval. */
  load(sample: LoadSample): boolean {
    this.#push('operations/s', sample.ratePerSecond);
    this.#push('errors', sample.failed);
    if (sample.p50 !== null) this.#push('p50 ms', sample.p50);
    if (sample.p99 !== null) this.#push('p99 ms', sample.p99);
    return this.#draw(
      `after ${formatDuration(sample.atMs + sample.durationMs)}, ${sample.inFlight} under way`,
    );
  }

  #push(name: string, value: number): void {
    const trace = this.#traces.get(name) ?? new Trace();
    trace.push(value);
    this.#traces.set(name, trace);
  }

  #draw(note = ''): boolean {
    const lines = [...this.#traces].map(([name, trace]) => trace.line(name));
    return this.#display.panel([`health ${this.#health}${note ? `, ${note}` : ''}`, ...lines]);
  }
}
