import { Histogram, type HistogramData } from './histogram.ts';
import type { OperationOutcome } from './plan.ts';

/** What was measured of one kind of operation, as plain data for another thread. */
export interface KindData {
  readonly kind: string;
  readonly count: number;
  readonly errors: readonly (readonly [error: string, count: number])[];
  readonly bytes: number;
  readonly latency: HistogramData;
  readonly serviceTime: HistogramData;
  readonly firstByte: HistogramData | null;
}

/** Names come from workloads; more than this many would be a mistake that must not eat the memory. */
const MAX_NAMES = 200;
const OTHER = 'other';

/** What was measured of one kind of operation. */
export class KindRecording {
  readonly latency = new Histogram();
  readonly serviceTime = new Histogram();
  readonly errors = new Map<string, number>();
  firstByte: Histogram | null = null;
  count = 0;
  bytes = 0;

  record(outcome: OperationOutcome, latencyMs: number, serviceMs: number): void {
    this.count++;
    this.bytes += outcome.bytes;
    this.latency.record(latencyMs);
    this.serviceTime.record(serviceMs);
    if (!outcome.ok) this.#addErrors(outcome.error ?? OTHER, 1);
    if (outcome.firstByteMs !== undefined) {
      this.firstByte ??= new Histogram();
      this.firstByte.record(outcome.firstByteMs);
    }
  }

  merge(data: Omit<KindData, 'kind'>): void {
    this.count += data.count;
    this.bytes += data.bytes;
    this.latency.merge(data.latency);
    this.serviceTime.merge(data.serviceTime);
    for (const [error, count] of data.errors) this.#addErrors(error, count);
    if (data.firstByte) {
      this.firstByte ??= new Histogram();
      this.firstByte.merge(data.firstByte);
    }
  }

  /** Plain data that shares this recording's memory: let go of it afterwards. */
  data(): Omit<KindData, 'kind'> {
    return {
      count: this.count,
      errors: [...this.errors],
      bytes: this.bytes,
      latency: this.latency.data(),
      serviceTime: this.serviceTime.data(),
      firstByte: this.firstByte?.data() ?? null,
    };
  }

  #addErrors(error: string, count: number): void {
    const name = this.errors.has(error) || this.errors.size < MAX_NAMES ? error : OTHER;
    this.errors.set(name, (this.errors.get(name) ?? 0) + count);
  }
}

/** What was measured, by kind of operation. */
export class Recording {
  readonly kinds = new Map<string, KindRecording>();

  record(outcome: OperationOutcome, latencyMs: number, serviceMs: number): void {
    this.#of(outcome.kind).record(outcome, latencyMs, serviceMs);
  }

  merge(kinds: readonly KindData[]): void {
    for (const data of kinds) this.#of(data.kind).merge(data);
  }

  /** Plain data that shares this recording's memory: let go of it afterwards. */
  data(): KindData[] {
    return Array.from(this.kinds, ([kind, recording]) => ({ kind, ...recording.data() }));
  }

  #of(kind: string): KindRecording {
    const known = this.kinds.get(kind);
    if (known) return known;
    if (this.kinds.size >= MAX_NAMES && kind !== OTHER) return this.#of(OTHER);
    const recording = new KindRecording();
    this.kinds.set(kind, recording);
    return recording;
  }
}

/** The memory that can be handed over with the data instead of being copied. */
export function transferable(data: {
  readonly kinds: readonly KindData[];
  readonly parts: readonly KindData[];
}): ArrayBuffer[] {
  return [...data.kinds, ...data.parts].flatMap(({ latency, serviceTime, firstByte }) => [
    latency.counts.buffer,
    serviceTime.counts.buffer,
    ...(firstByte ? [firstByte.counts.buffer] : []),
  ]);
}
