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

/** How many texts are remembered as asked for lately; a power of two. */
const RECENT = 256;

/** Texts by number and numbers by text, from 0 upwards. */
export class Texts {
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];
  /** By their ends: a look into a map of many digests costs their hash and a miss of the processor's cache. */
  readonly #recent = new Int32Array(RECENT).fill(-1);

  /** The text's number, a new one when it has none yet. */
  number(text: string): number {
    const place = placeOf(text);
    const recent = this.#recent[place] ?? -1;
    if (recent !== -1 && this.#texts[recent] === text) return recent;
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#texts.length;
      this.#numbers.set(text, number);
      this.#texts.push(text);
    }
    this.#recent[place] = number;
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

function placeOf(text: string): number {
  const end = text.length - 1;
  return (text.charCodeAt(end) * 31 + text.charCodeAt(end - 1)) & (RECENT - 1);
}
