import { Chalk, type ChalkInstance } from 'chalk';
import { MultiBar, type Params } from 'cli-progress';
import { escapeText, formatBytes, formatDuration, padText, textWidth, truncateText } from '../base/index.ts';
import type { Display, ProgressOptions } from './display.ts';
import type { ProgressTask } from './events.ts';
import { Outlook } from './outlook.ts';
import { RateMeter } from './rate.ts';
import { endedLine } from './wording.ts';

/** Bars shown at once; further tasks only count in the total. */
const MAX_BARS = 12;
const BAR_WIDTH = 24;

interface Work {
  readonly label: string;
  readonly rate: RateMeter;
  total: number;
  done: number;
}

/**
 * Bars on a terminal: the total first, then one line per running task. Lines of others, and one for each
 * ended task, scroll by above them. cli-progress draws; what a line says is made here, at drawing time.
 */
export class TerminalProgress implements Display {
  readonly #options: ProgressOptions;
  readonly #chalk: ChalkInstance;
  readonly #running: Work[] = [];
  readonly #outlook = new Outlook();
  /** What the ended tasks moved; the running ones are added when drawn. */
  #endedBytes = 0;
  #endedTasks = 0;
  readonly #rate = new RateMeter();
  #screen: MultiBar | undefined;
  #slots = 0;
  #panel: readonly string[] = [];
  #closed = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#chalk = new Chalk({ level: options.color ? 1 : 0 });
  }

  phase(text: string): void {
    this.line(this.#chalk.bold(escapeText(text)));
  }

  expect(tasks: number, bytes: number): void {
    this.#outlook.expect(tasks, bytes);
  }

  task(label: string, totalBytes = 0): ProgressTask {
    const { clock } = this.#options;
    this.#outlook.begin(totalBytes);
    const started = clock.now();
    const work: Work = { label: escapeText(label), rate: new RateMeter(), total: totalBytes, done: 0 };
    this.#running.push(work);
    this.#makeRoom();
    return {
      advance: (bytes) => {
        work.done += bytes;
      },
      total: (bytes) => {
        work.total = bytes;
      },
      end: (outcome) => {
        const at = this.#running.indexOf(work);
        if (at === -1) return;
        this.#running.splice(at, 1);
        this.#endedBytes += work.done;
        this.#endedTasks++;
        this.line(endedLine(outcome, label, work.done, clock.now() - started));
      },
    };
  }

  line(text: string): void {
    // The end of the line is cleared too: a longer bar may have stood there.
    if (this.#screen) this.#screen.log(`${text}\u001b[K\n`);
    else this.#options.stream.write(`${this.#erased()}${text}\n${this.#drawnPanel()}`);
  }

  panel(lines: readonly string[]): boolean {
    if (this.#closed) return false;
    // Bars and a panel would fight for the same lines: bars go first.
    if (this.#screen) return true;
    const erased = this.#erased();
    // What scrolls out at the top cannot be erased.
    this.#panel = lines.slice(0, Math.max(1, (this.#options.stream.rows ?? 24) - 1));
    this.#options.stream.write(erased + this.#drawnPanel());
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const screen = this.#screen;
    this.#screen = undefined;
    screen?.update();
    screen?.stop();
    this.#takeDownPanel();
  }

  #takeDownPanel(): void {
    if (this.#panel.length > 0) this.#options.stream.write(this.#erased());
    this.#panel = [];
  }

  /** Goes back to the panel's first line and clears from there on. */
  #erased(): string {
    return this.#panel.length > 0 ? `\u001b[${this.#panel.length}F\u001b[J` : '';
  }

  /** Each line is cut to the terminal's width: one that wraps would be two, and erasing would miss it. */
  #drawnPanel(): string {
    const width = (this.#options.stream.columns ?? 80) - 1;
    return this.#panel.map((line) => `${truncateText(line, width)}\n`).join('');
  }

  /** Opens the screen with the first task, and a line for each task until the terminal or the limit is full. */
  #makeRoom(): void {
    if (this.#closed) return;
    const { stream } = this.#options;
    if (!this.#screen) {
      this.#takeDownPanel();
      this.#screen = new MultiBar({
        stream: stream as NodeJS.WriteStream,
        clearOnComplete: true,
        hideCursor: true,
        // Lines of others move the bars down: every bar is drawn anew each time.
        forceRedraw: true,
        format: (_options, params, payload: { slot: number }) => this.#draw(payload.slot, params),
      });
      this.#screen.create(0, 0, { slot: -1 });
    }
    const room = Math.min(MAX_BARS, (stream.rows ?? 24) - 3);
    if (this.#slots < Math.min(this.#running.length, room)) {
      this.#screen.create(0, 0, { slot: this.#slots++ });
    }
  }

  #draw(slot: number, { maxWidth }: Params): string {
    const now = this.#options.clock.now();
    // The last column stays free: clearing what is right of a full line takes its last character.
    const width = maxWidth - 1;
    if (slot === -1) return this.#drawTotal(now, width);
    const work = this.#running[slot];
    if (!work) return '';
    work.rate.record(now, work.done);
    return this.#layOut(work.label, work.done, work.total, work.rate.perSecond(now), width);
  }

  #drawTotal(now: number, width: number): string {
    const done = this.#running.reduce((sum, work) => sum + work.done, this.#endedBytes);
    const allKnown = this.#running.every((work) => work.total > 0);
    const begun = this.#running.reduce((sum, work) => sum + work.total, this.#endedBytes);
    const total = begun + this.#outlook.bytes;
    this.#rate.record(now, done);
    const count = `${this.#endedTasks}/${this.#endedTasks + this.#running.length + this.#outlook.tasks}`;
    return this.#layOut(`total ${count}`, done, allKnown ? total : 0, this.#rate.perSecond(now), width);
  }

  #layOut(label: string, done: number, total: number, rate: number | undefined, width: number): string {
    const fraction = total > 0 ? Math.min(1, Math.max(0, done / total)) : undefined;
    const left = rate && total > done ? formatDuration(((total - done) / rate) * 1000) : '';
    const facts = [
      fraction === undefined ? '    ' : `${Math.floor(fraction * 100)}%`.padStart(4),
      (total > 0 ? `${formatBytes(done)}/${formatBytes(total)}` : formatBytes(done)).padStart(17),
      (rate === undefined ? '' : `${formatBytes(rate)}/s`).padStart(10),
      (left ? `ETA ${left}` : '').padEnd(9),
    ].join('  ');
    const labelWidth = Math.max(10, Math.min(32, Math.floor(width * 0.25)));
    const name = padText(truncateText(label, labelWidth), labelWidth);
    const barWidth = Math.min(BAR_WIDTH, width - labelWidth - textWidth(facts) - 6);
    if (barWidth < 5) return truncateText(`${name}  ${facts}`.trimEnd(), width);
    const filled = Math.round((fraction ?? 0) * barWidth);
    const bar = this.#chalk.cyan('='.repeat(filled)) + ' '.repeat(barWidth - filled);
    return `${name}  [${bar}]  ${facts}`.trimEnd();
  }
}
