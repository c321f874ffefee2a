import { StringDecoder } from 'node:string_decoder';
import type { OutputPiece, OutputStream } from './multiplexed.ts';

/** How much of what a process writes is kept and told. */
export interface OutputLimits {
  /** Characters of a line; what is longer is cut. Default 16 KiB. */
  readonly line?: number;
  /** Characters kept of each stream, from its beginning. Default 1 MiB. */
  readonly kept?: number;
  /** Characters told line by line, of both streams. Default 64 MiB. */
  readonly told?: number;
}

/** Told of every line, without its line end. */
export type OnLine = (stream: OutputStream, line: string) => void;

/** What a process wrote. */
export interface CollectedOutput {
  readonly stdout: string;
  readonly stderr: string;
  /** More was written than was kept or told. */
  readonly cut: boolean;
}

/** Makes text and lines of what a process writes, in bounded memory whatever it writes. */
export class OutputCollector {
  readonly #streams: Readonly<Record<OutputStream, Lines>>;
  #untold: number;
  #cut = false;

  constructor(onLine: OnLine | undefined, limits: OutputLimits = {}) {
    this.#untold = limits.told ?? 64 * 1024 * 1024;
    const lineLimit = limits.line ?? 16 * 1024;
    const keptLimit = limits.kept ?? 1024 * 1024;
    const lines = (stream: OutputStream): Lines =>
      new Lines(lineLimit, keptLimit, (line) => {
        this.#untold -= line.length + 1;
        if (this.#untold >= 0) onLine?.(stream, line);
        else this.#cut = true;
      });
    this.#streams = { stdout: lines('stdout'), stderr: lines('stderr') };
  }

  add({ stream, bytes }: OutputPiece): void {
    this.#streams[stream].add(bytes);
  }

  /** Nothing more will come. */
  end(): CollectedOutput {
    const { stdout, stderr } = this.#streams;
    stdout.end();
    stderr.end();
    return { stdout: stdout.kept, stderr: stderr.kept, cut: this.#cut || stdout.cut || stderr.cut };
  }
}

class Lines {
  kept = '';
  cut = false;
  #rest = '';
  readonly #decoder = new StringDecoder('utf8');
  readonly #lineLimit: number;
  readonly #keptLimit: number;
  readonly #tell: (line: string) => void;

  constructor(lineLimit: number, keptLimit: number, tell: (line: string) => void) {
    this.#lineLimit = lineLimit;
    this.#keptLimit = keptLimit;
    this.#tell = tell;
  }

  add(bytes: Buffer): void {
    this.#take(this.#decoder.write(bytes));
  }

  end(): void {
    this.#take(this.#decoder.end());
    if (this.#rest !== '') this.#line(this.#rest);
    this.#rest = '';
  }

  #take(text: string): void {
    const room = this.#keptLimit - this.kept.length;
    if (room > 0) this.kept += text.slice(0, room);
    if (text.length > room) this.cut = true;
    const lines = text.split('\n');
    const last = lines.pop() ?? '';
    for (const line of lines) {
      this.#line(this.#rest + line);
      this.#rest = '';
    }
    // One character more than a line may have says that it was cut.
    this.#rest = (this.#rest + last).slice(0, this.#lineLimit + 1);
  }

  #line(line: string): void {
    if (line.length > this.#lineLimit) this.cut = true;
    this.#tell(line.slice(0, this.#lineLimit).replace(/\r$/, ''));
  }
}
