import { formatDuration } from '../base/index.ts';
import type { MonitorSample } from '../jobs/torture/monitor/index.ts';
import type { LoadSample } from '../load/index.ts';
import { type Display, sparkline } from '../progress/index.ts';

const HISTORY = 40;

/** A figure that changes: its last value, and those before as a small graph. */
class Trace {
  readonly #values: number[] = [];

  push(value: number): void {
    this.#values.push(value);
    if (this.#values.length > HISTORY) this.#values.shift();
  }

  get last(): number | undefined {
    return this.#values.at(-1);
  }

  draw(): string {
    return sparkline(this.#values, HISTORY);
  }
}

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
    const lines = [...this.#traces].map(
      ([name, trace]) => `${name.padEnd(14)} ${figure(trace.last).padStart(10)}  ${trace.draw()}`,
    );
    return this.#display.panel([`health ${this.#health}${note ? `, ${note}` : ''}`, ...lines]);
  }
}

function figure(value: number | undefined): string {
  if (value === undefined) return '';
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}
