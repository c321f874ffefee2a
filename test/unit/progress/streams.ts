import { type Clock, throwIfAborted } from '../../../src/base/index.ts';

/** A clock that moves only when told to; what sleeps on it wakes then. */
export class HandClock implements Clock {
  #now = 0;
  readonly #sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    return new Promise((resolve, reject) => {
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  /** How many are asleep. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  /** Moves on, and lets those who wake do what they do. */
  async advance(ms: number): Promise<void> {
    this.#now += ms;
    for (const sleeper of this.#sleepers) {
      if (sleeper.at > this.#now) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A stream that keeps what is written. */
export class TextStream {
  text = '';
  readonly isTTY: boolean = false;

  write(text: string): boolean {
    this.text += text;
    return true;
  }

  lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

/** A terminal that obeys the few control sequences that bars need, and throws on any other. */
export class Screen extends TextStream {
  override readonly isTTY = true;
  readonly rows: number;
  readonly columns: number;
  cursorShown = true;
  wraps = true;
  #row = 0;
  #column = 0;
  readonly #cells: string[][] = [[]];

  constructor(columns = 100, rows = 24) {
    super();
    this.columns = columns;
    this.rows = rows;
  }

  override write(text: string): boolean {
    super.write(text);
    for (const [part] of text.matchAll(/\u001b\[[?\d;]*[a-zA-Z]|\n|\r|[^\u001b\n\r]/g)) this.#obey(part);
    return true;
  }

  /** What stands on the screen and above it. */
  shown(): string[] {
    return this.#cells
      .map((cells) =>
        Array.from(cells, (cell) => cell ?? ' ')
          .join('')
          .trimEnd(),
      )
      .join('\n')
      .trimEnd()
      .split('\n');
  }

  #obey(part: string): void {
    const [, count, command] = /^\u001b\[(\??\d*)(?:;\d+)*([a-zA-Z])$/.exec(part) ?? [];
    const n = Number(count || 1);
    if (part === '\n') {
      this.#row++;
      this.#column = 0;
    } else if (part === '\r') this.#column = 0;
    else if (command === undefined) this.#line()[this.#column++] = part;
    else if (command === 'A') this.#row = Math.max(0, this.#row - n);
    else if (command === 'B') this.#row += n;
    else if (command === 'F') {
      this.#row = Math.max(0, this.#row - n);
      this.#column = 0;
    } else if (command === 'G') this.#column = n - 1;
    else if (command === 'K') {
      // After the last column was written, the cursor still stands on it.
      this.#line().splice(count === '2' ? 0 : Math.min(this.#column, this.columns - 1));
    } else if (command === 'J') {
      this.#line().splice(this.#column);
      this.#cells.splice(this.#row + 1);
    } else if (command === 'h' || command === 'l') this.#mode(count ?? '', command === 'h');
    else if (command !== 'm') throw new Error(`unexpected control sequence ${JSON.stringify(part)}`);
  }

  #mode(mode: string, on: boolean): void {
    if (mode === '?25') this.cursorShown = on;
    else if (mode === '?7') this.wraps = on;
    else throw new Error(`unexpected mode ${mode}`);
  }

  #line(): string[] {
    while (this.#cells.length <= this.#row) this.#cells.push([]);
    return this.#cells[this.#row] as string[];
  }
}
