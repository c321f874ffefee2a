import { escapeText, formatBytes } from '../base/index.ts';
import type { Display, ProgressOptions } from './display.ts';
import type { ProgressTask } from './events.ts';
import { Outlook } from './outlook.ts';
import { RateMeter } from './rate.ts';
import { endedLine } from './wording.ts';

/** Long work says something at least this often. */
const INTERVAL_MS = 10_000;

/**
 * Progress for logs: a line per phase, a line per ended task, and every ten seconds one about the bytes of
 * all tasks. No cursor motion, no colours.
 */
export class PlainProgress implements Display {
  readonly #options: ProgressOptions;
  readonly #rate = new RateMeter();
  readonly #outlook = new Outlook();
  readonly #stop = new AbortController();
  #ticking = false;
  #closed = false;
  #done = 0;
  #total = 0;
  #running = 0;
  #unknownSizes = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  phase(text: string): void {
    this.line(escapeText(text));
  }

  expect(tasks: number, bytes: number): void {
    this.#outlook.expect(tasks, bytes);
  }

  task(label: string, totalBytes = 0): ProgressTask {
    this.#outlook.begin(totalBytes);
    const started = this.#options.clock.now();
    let size = totalBytes;
    let done = 0;
    let ended = false;
    const resize = (bytes: number): void => {
      this.#unknownSizes += (bytes > 0 ? 0 : 1) - (size > 0 ? 0 : 1);
      this.#total += bytes - size;
      size = bytes;
    };
    this.#running++;
    this.#total += size;
    if (size === 0) this.#unknownSizes++;
    this.#tick();
    return {
      advance: (bytes) => {
        if (ended) return;
        done += bytes;
        this.#done += bytes;
      },
      total: (bytes) => {
        if (!ended) resize(bytes);
      },
      end: (outcome) => {
        if (ended) return;
        ended = true;
        this.#running--;
        if (size === 0) this.#unknownSizes--;
        // What a task did not move (it existed already) is no longer to come.
        this.#total += done - size;
        this.line(endedLine(outcome, label, done, this.#options.clock.now() - started));
      },
    };
  }

  line(text: string): void {
    this.#options.stream.write(`${text}\n`);
  }

  panel(): boolean {
    return false;
  }

  close(): void {
    this.#closed = true;
    this.#stop.abort();
  }

  /** One timer for all tasks, started by the first one; it ends with the last one. */
  #tick(): void {
    if (this.#ticking || this.#closed) return;
    this.#ticking = true;
    const { clock } = this.#options;
    this.#rate.record(clock.now(), this.#done);
    clock.sleep(INTERVAL_MS, this.#stop.signal).then(
      () => {
        this.#ticking = false;
        if (this.#running === 0) return;
        this.#rate.record(clock.now(), this.#done);
        this.line(this.#summary(clock.now()));
        this.#tick();
      },
      () => undefined,
    );
  }

  #summary(now: number): string {
    const total = this.#total + this.#outlook.bytes;
    const known = this.#unknownSizes === 0 && total > 0;
    const rate = this.#rate.perSecond(now);
    // Of work that moves no bytes (a wait for package tests) there are none to tell.
    const bytes = this.#done > 0 || total > 0;
    return [
      ...(bytes
        ? [known ? `${formatBytes(this.#done)} of ${formatBytes(total)}` : formatBytes(this.#done)]
        : []),
      ...(known ? [`${Math.floor((this.#done / total) * 100)}%`] : []),
      ...(bytes && rate !== undefined ? [`${formatBytes(rate)}/s`] : []),
      `${this.#running} in progress`,
      ...(this.#outlook.tasks > 0 ? [`${this.#outlook.tasks} to come`] : []),
    ].join(', ');
  }
}
