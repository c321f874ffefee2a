/** Numbers by index that grow as they are set; what was never set reads as `initial`. */
export class Column {
  readonly #initial: number;
  readonly #type: typeof Float64Array | typeof Int32Array;
  #values: Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

  private constructor(type: typeof Float64Array | typeof Int32Array, initial: number) {
    this.#type = type;
    this.#initial = initial;
    this.#values = new type(0);
  }

  /** Times and sizes. */
  static ofFloats(initial: number): Column {
    return new Column(Float64Array, initial);
  }

  /** Row numbers and small counts. */
  static ofIntegers(initial: number): Column {
    return new Column(Int32Array, initial);
  }

  get(index: number): number {
    return this.#values[index] ?? this.#initial;
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) this.#grow(index + 1);
    this.#values[index] = value;
  }

  #grow(length: number): void {
    const before = this.#values.length;
    const longer = Math.max(64, length, Math.ceil(before * 1.5));
    // The memory that it had is free at once, not when somebody collects it.
    this.#values = new this.#type(this.#values.buffer.transfer(longer * this.#type.BYTES_PER_ELEMENT));
    this.#values.fill(this.#initial, before);
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
