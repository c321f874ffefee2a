/** One challenge of a WWW-Authenticate header (RFC 9110 11.6.1). */
export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case; of a repeated one the first value. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly token68?: string;
}

const MAX_CHALLENGES = 16;
const MAX_PARAMETERS = 32;

/** Sticky patterns of a single character class each: none can backtrack. */
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*/y;
/** Registries write realms without quotes although they may not; a comma or a blank ends such a value. */
const UNQUOTED = /[^\s,"]+/y;
const BLANKS = /[ \t]*/y;
const SEPARATORS = /[ \t,]*/y;

/**
 * Reads the challenges of one or several WWW-Authenticate headers, in their order. Headers are lists of
 * challenges and challenges are lists too, so only a scanner can tell them apart. What fits nowhere is
 * skipped up to the next comma; nothing here throws, and time grows with the length alone.
 */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  return [header ?? []].flat().flatMap(parseHeader).slice(0, MAX_CHALLENGES);
}

interface Draft {
  scheme: string;
  parameters: Map<string, string>;
  token68?: string;
}

function parseHeader(text: string): Challenge[] {
  const scanner = new Scanner(text);
  const challenges: Draft[] = [];
  while (challenges.length <= MAX_CHALLENGES) {
    scanner.take(SEPARATORS);
    if (scanner.ended) break;
    const name = scanner.take(TOKEN).toLowerCase();
    if (name === '') {
      scanner.skipItem();
      continue;
    }
    const afterName = scanner.position;
    scanner.take(BLANKS);
    if (scanner.takeEquals()) {
      const value = scanner.takeValue();
      const parameters = challenges.at(-1)?.parameters;
      if (parameters && parameters.size < MAX_PARAMETERS && !parameters.has(name))
        parameters.set(name, value);
      continue;
    }
    const challenge: Draft = { scheme: name, parameters: new Map() };
    challenges.push(challenge);
    // A scheme is followed by a blank, then by a token68 or its first parameter.
    if (scanner.position === afterName) continue;
    const token68 = scanner.takeToken68();
    if (token68 !== undefined) challenge.token68 = token68;
  }
  return challenges;
}

class Scanner {
  readonly #text: string;
  position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get ended(): boolean {
    return this.position >= this.#text.length;
  }

  /** What the sticky pattern matches here; '' when it does not. */
  take(pattern: RegExp): string {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.position += found.length;
    return found;
  }

  takeEquals(): boolean {
    if (this.#text[this.position] !== '=') return false;
    this.position++;
    return true;
  }

  /** A parameter's value: quoted, or as far as an unquoted one goes. */
  takeValue(): string {
    this.take(BLANKS);
    return this.#text[this.position] === '"' ? this.#takeQuoted() : this.take(UNQUOTED);
  }

  /** A token68 when one stands here alone, up to the next comma or the end. */
  takeToken68(): string | undefined {
    const start = this.position;
    const token = this.take(TOKEN68);
    this.take(BLANKS);
    if (token !== '' && (this.ended || this.#text[this.position] === ',')) return token;
    this.position = start;
    return undefined;
  }

  /** Goes to the next comma outside quotes. */
  skipItem(): void {
    while (!this.ended && this.#text[this.position] !== ',') {
      if (this.#text[this.position] === '"') this.#takeQuoted();
      else this.position++;
    }
  }

  /** A quoted-string (RFC 9110 5.6.4); without its closing quote it goes to the end. */
  #takeQuoted(): string {
    let value = '';
    this.position++;
    while (!this.ended) {
      const character = this.#text[this.position++];
      if (character === '"') break;
      value += character === '\\' ? (this.#text[this.position++] ?? '') : character;
    }
    return value;
  }
}
