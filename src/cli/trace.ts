import { sparkline } from '../progress/index.ts';

const HISTORY = 40;

/** A figure that changes: its last value, and those before as a small graph. */
export class Trace {
  readonly #values: number[] = [];

  push(value: number): void {
    this.#values.push(value);
    if (this.#values.length > HISTORY) this.#values.shift();
  }

  /** As a line of a live view, under this name. */
  line(name: string): string {
    return `${name.padEnd(14)} ${figure(this.#values.at(-1)).padStart(10)}  ${sparkline(this.#values, HISTORY)}`;
  }
}

function figure(value: number | undefined): string {
  if (value === undefined) return '';
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}
