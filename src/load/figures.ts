import type { Distribution } from './histogram.ts';
import type { LoadWindow } from './plan.ts';
import { KindRecording, Recording } from './recording.ts';
import type { SegmentReport } from './segment.ts';

/** What was measured of some operations. Failed ones count in all figures. */
export interface OperationFigures {
  readonly count: number;
  readonly failed: number;
  /** Failed operations by class. */
  readonly errors: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly ratePerSecond: number;
  /** Milliseconds from the intended start; null when nothing was measured. */
  readonly latency: Distribution | null;
  /** Milliseconds from the real start. */
  readonly serviceTime: Distribution | null;
  /** Milliseconds from the real start to the first byte, of the operations that said so. */
  readonly firstByte: Distribution | null;
}

/** What was measured of one kind of operation, or of one kind of part: its two times are the same. */
export interface KindFigures extends OperationFigures {
  readonly kind: string;
}

/** What was measured in the whole run or in a part of it. */
export interface Figures {
  readonly kinds: readonly KindFigures[];
  /** Parts of operations that the workload booked on their own (`Turn.part`). */
  readonly parts: readonly KindFigures[];
  readonly totals: OperationFigures;
}

/** What ended in one window of the plan. */
export interface WindowFigures extends LoadWindow, Figures {
  /** How much of it was run: what its rates are over. */
  readonly durationMs: number;
}

/** Gathers what threads report of the whole run or of a part of it. */
export class Gathering {
  readonly #operations = new Recording();
  readonly #parts = new Recording();

  add({ kinds, parts }: Pick<SegmentReport, 'kinds' | 'parts'>): void {
    this.#operations.merge(kinds);
    this.#parts.merge(parts);
  }

  /** @param durationMs what rates are over */
  figures(durationMs: number): Figures {
    const total = new KindRecording();
    for (const recording of this.#operations.kinds.values()) total.merge(recording.data());
    return {
      kinds: kindsOf(this.#operations, durationMs),
      parts: kindsOf(this.#parts, durationMs),
      totals: figuresOf(total, durationMs),
    };
  }
}

/** Operations per second; 0 when no time has passed. */
export function perSecond(count: number, durationMs: number): number {
  return durationMs > 0 ? (count * 1000) / durationMs : 0;
}

/** What was recorded, by kind. @param durationMs what rates are over */
export function kindsOf({ kinds }: Recording, durationMs: number): KindFigures[] {
  return Array.from(kinds, ([kind, recording]) => ({ kind, ...figuresOf(recording, durationMs) })).sort(
    (a, b) => (a.kind < b.kind ? -1 : 1),
  );
}

function figuresOf(recording: KindRecording, durationMs: number): OperationFigures {
  const errors = Object.fromEntries(recording.errors);
  return {
    count: recording.count,
    failed: Object.values(errors).reduce((sum, count) => sum + count, 0),
    errors,
    bytes: recording.bytes,
    ratePerSecond: perSecond(recording.count, durationMs),
    latency: recording.latency.distribution(),
    serviceTime: recording.serviceTime.distribution(),
    firstByte: recording.firstByte?.distribution() ?? null,
  };
}
