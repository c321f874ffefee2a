import { Gathering, type WindowFigures } from './figures.ts';
import type { LoadWindow } from './plan.ts';
import type { SegmentReport } from './segment.ts';

/** Gathers what ends in one window of the plan; when it is over only its figures are kept. */
export class WindowLedger {
  readonly #window: LoadWindow;
  readonly #sampleMs: number;
  #gathering: Gathering | undefined;
  #figures: WindowFigures | undefined;

  constructor(window: LoadWindow, sampleMs: number) {
    this.#window = window;
    this.#sampleMs = sampleMs;
  }

  /** Books a report if it is of this window. */
  add(report: SegmentReport): void {
    const atMs = report.interval * this.#sampleMs;
    if (this.#figures || atMs < this.#window.fromMs || atMs >= this.#window.toMs) return;
    this.#gathering ??= new Gathering();
    this.#gathering.add(report);
  }

  /** Everything up to `untilMs` has been booked. */
  told(untilMs: number): void {
    if (this.#figures || untilMs < this.#window.toMs) return;
    this.#figures = this.figures(untilMs);
    this.#gathering = undefined;
  }

  /** @param ranMs how long the run was */
  figures(ranMs: number): WindowFigures {
    if (this.#figures) return this.#figures;
    const { fromMs, toMs } = this.#window;
    const durationMs = Math.max(0, Math.min(toMs, ranMs) - fromMs);
    return { fromMs, toMs, durationMs, ...(this.#gathering ?? new Gathering()).figures(durationMs) };
  }
}
