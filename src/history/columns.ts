/** Numbers by index that grow as they are set; what was never set reads as `initial`. */
export class Column {
  readonly #initial: number;
  readonly #make: (length: number) => Float64Array | Int32Array;
  #values: Float64Array | Int32Array;

  private constructor(make: (length: number) => Float64Array | Int32Array, initial: number) {
    this.#make = make;
    this.#initial = initial;
    this.#values = make(0);
  }

  /** Times and sizes. */
  static ofFloats(initial: number): Column {
    return new Column((length) => new Float64Array(length), initial);
  }

  /** Row numbers and small counts. */
  static ofIntegers(initial: number): Column {
    return new Column((length) => new Int32Array(length), initial);
  }

  get(index: number): number {
    return this.#values[index] ?? this.#initial;
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) this.#grow(index + 1);
    this.#values[index] = value;
  }

  #grow(length: number): void {
    const old = this.#values;
    this.#values = this.#make(Math.max(64, length, Math.ceil(old.length * 1.5)));
    this.#values.fill(this.#initial, old.length);
    this.#values.set(old);
  }
}

/** Texts by number and numbers by text, from 0 upwards. */
export class Texts {
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];

  /** The text's number, a new one when it has none yet. */
  number(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#texts.length;
    this.#numbers.set(text, number);
    this.#texts.push(text);
    return number;
  }

  /** The text's number, undefined when it was never given one. */
  find(text: string): number | undefined {
    return this.#numbers.get(text);
  }

  text(number: number): string {
    return this.#texts[number] ?? '';
  }
}
