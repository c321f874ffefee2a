/**
 * The history file, version 1: text in UTF-8, one JSON value per line, written as things happen and read as a stream.
 *
 * ```text
 * {"format":"regops-history","version":1,"startedAt":"2026-01-31T12:00:00.000Z","registry":"http://127.0.0.1:5000"}
 * ["s","team/app"]                          text 0
 * ["s","latest"]                            text 1
 * ["s","sha256:…"]                          text 2
 * [0,3,1,1500,820,0,1,0,201,2,{"q":"7f"}]   client 3 of process 1 PUT text 2 to tag 1 of repository 0
 * ["m",2400]                                all operations called before 2400 µs are above this line
 * ["e",0]                                   nothing more comes of repository 0
 * ["r"]                                     text numbers start at 0 again
 * ```
 *
 * - The first line says what run it was. `seed`, `workload`, `skewUs` (by how much every operation of several machines
 *   was widened) and `clients` (of the workload: those with a higher number looked at what was left) may be there;
 *   fields a reader does not know are left alone.
 * - `["s",TEXT]` gives a text the next number. Names and digests are written once and then by number; `-1` is none.
 * - An operation is `[kind,client,process,call,duration,repository,reference,outcome,status,value,more?]`: `kind` and
 *   `outcome` are places in OPERATION_KINDS and OUTCOMES, times whole microseconds since the run began, `repository`,
 *   `reference` and `value` text numbers. `more` has what else is known: `a` announced, `z` size, `t` mediaType, `n`
 *   names, `j` subject, `u` upload, `q` requestId, `f` remote; of these `t`, `n`, `j` and `f` are text numbers.
 * - Operations stand in any order between marks; a mark never goes back, and no operation after it was called before it.
 * - A last line without its newline that is no JSON is one that was being written: it is left out.
 */
import { escapeText, messageOf, RegopsError } from '../base/index.ts';
import { type Digest, isRepository } from '../oci/index.ts';
import { checkOperation, OPERATION_KINDS, OPERATION_LIMITS, type Operation, OUTCOMES } from './operation.ts';

export const HISTORY_VERSION = 1;
const FORMAT = 'regops-history';
const NONE = -1;

type Writable<T> = { -readonly [Field in keyof T]: T[Field] };

/** How much of a history file is believed. */
export const HISTORY_LIMITS = {
  /** Characters of one line: a list of a hundred thousand names by number. */
  line: 1024 * 1024,
  /** Characters of one text. */
  text: 512,
  /** Texts between two `["r"]`. */
  texts: 1_000_000,
} as const;
/** After how many texts a writer starts again, so that neither side ever holds more. */
const TEXTS_KEPT = 100_000;

/** What run a history is of. */
export interface HistoryHeader {
  /** ISO 8601. */
  readonly startedAt?: string;
  readonly registry?: string;
  readonly workload?: string;
  readonly seed?: number;
  /** By how much the clocks of the machines may differ; every operation is widened by it already. */
  readonly skewUs?: number;
  /** How many clients the workload had: those with a higher number looked at what was left. */
  readonly clients?: number;
}

/** What a line of a history says. */
export type HistoryEntry =
  | { readonly type: 'operation'; readonly operation: Operation }
  | { readonly type: 'mark'; readonly knownUs: number }
  | { readonly type: 'end'; readonly repository: string };

/** Turns operations into lines; every call gives whole lines, each with its newline. Pure. */
export class HistoryEncoder {
  readonly #numbers = new Map<string, number>();
  #fresh = '';

  /** The first line. */
  header(header: HistoryHeader): string {
    return `${JSON.stringify({ format: FORMAT, version: HISTORY_VERSION, ...header })}\n`;
  }

  operation(operation: Operation): string {
    const { kind, client, process, callUs, returnUs, repository, reference, outcome, status, value } =
      operation;
    if (this.#numbers.size > TEXTS_KEPT) {
      this.#numbers.clear();
      this.#fresh = '["r"]\n';
    }
    const row = [
      OPERATION_KINDS.indexOf(kind),
      client,
      process,
      callUs,
      returnUs - callUs,
      this.#number(repository),
      this.#number(reference),
      OUTCOMES.indexOf(outcome),
      status,
      value === null ? NONE : this.#number(value),
    ];
    const more = this.#more(operation);
    return this.#take(more === undefined ? row : [...row, more]);
  }

  /** Every operation called before this time was written. */
  mark(knownUs: number): string {
    return this.#take(['m', knownUs]);
  }

  /** Nothing more comes of the repository. */
  end(repository: string): string {
    return this.#take(['e', this.#number(repository)]);
  }

  #more(operation: Operation): Record<string, unknown> | undefined {
    const { announced, size, mediaType, names, subject, upload, requestId, remote } = operation;
    const more: Record<string, unknown> = {};
    if (announced !== undefined) more['a'] = announced;
    if (size !== undefined) more['z'] = size;
    if (mediaType !== undefined) more['t'] = this.#number(mediaType);
    if (names !== undefined) more['n'] = names.map((name) => this.#number(name));
    if (subject !== undefined) more['j'] = this.#number(subject);
    if (upload !== undefined) more['u'] = upload;
    if (requestId !== undefined) more['q'] = requestId;
    if (remote !== undefined) more['f'] = this.#number(remote);
    for (const _ in more) return more;
    return undefined;
  }

  #number(text: string): number {
    if (text === '') return NONE;
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(text, number);
    this.#fresh += `${JSON.stringify(['s', text])}\n`;
    return number;
  }

  #take(row: readonly unknown[]): string {
    const lines = `${this.#fresh}${JSON.stringify(row)}\n`;
    this.#fresh = '';
    return lines;
  }
}

/** Turns lines into what they say. Throws INPUT_INVALID, with the line's number, for what no writer writes. */
export class HistoryDecoder {
  readonly #what: string;
  #header: HistoryHeader | undefined;
  #texts: string[] = [];
  #markUs = 0;
  #line = 0;

  /** @param what names the history in errors: the file */
  constructor(what: string) {
    this.#what = what;
  }

  /** What the first line said; undefined before it was read. */
  get header(): HistoryHeader | undefined {
    return this.#header;
  }

  /** What whole lines say, but for what is only of use for later lines. */
  lines(lines: readonly string[]): HistoryEntry[] {
    const values = this.#header && valuesOf(lines);
    const entries: HistoryEntry[] = [];
    for (const [at, line] of lines.entries()) {
      const entry = values ? this.#next(values[at]) : this.line(line);
      if (entry) entries.push(entry);
    }
    return entries;
  }

  /** What one line (without its newline) says; undefined when that is only of use for later lines. */
  line(text: string): HistoryEntry | undefined {
    this.#line++;
    if (text.length > HISTORY_LIMITS.line)
      throw this.#invalid(`longer than ${HISTORY_LIMITS.line} characters`);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#invalid(`no JSON: ${escapeText(text.slice(0, 60))}`);
    }
    if (this.#header === undefined) {
      this.#header = this.#headerOf(value);
      return undefined;
    }
    return this.#entry(value);
  }

  #next(value: unknown): HistoryEntry | undefined {
    this.#line++;
    return this.#entry(value);
  }

  #entry(value: unknown): HistoryEntry | undefined {
    if (!Array.isArray(value)) throw this.#invalid('no list');
    return typeof value[0] === 'number' ? this.#operation(value) : this.#directive(value);
  }

  #headerOf(value: unknown): HistoryHeader {
    if (
      typeof value !== 'object' ||
      value === null ||
      (value as Record<string, unknown>)['format'] !== FORMAT
    ) {
      throw this.#invalid('this is no history of regops');
    }
    const { version, startedAt, registry, workload, seed, skewUs, clients } = value as Record<
      string,
      unknown
    >;
    if (version !== HISTORY_VERSION)
      throw this.#invalid(`version ${String(version).slice(0, 20)} is not known here`);
    return {
      ...(isText(startedAt) ? { startedAt } : {}),
      ...(isText(registry) ? { registry } : {}),
      ...(isText(workload) ? { workload } : {}),
      ...(Number.isSafeInteger(seed) ? { seed: seed as number } : {}),
      ...(Number.isSafeInteger(skewUs) ? { skewUs: skewUs as number } : {}),
      ...(Number.isSafeInteger(clients) ? { clients: clients as number } : {}),
    };
  }

  #directive(value: readonly unknown[]): HistoryEntry | undefined {
    const [name, argument] = value;
    switch (name) {
      case 's':
        if (!isText(argument)) throw this.#invalid('no text, or one that is too long');
        if (this.#texts.length >= HISTORY_LIMITS.texts) throw this.#invalid('too many texts');
        this.#texts.push(argument);
        return undefined;
      case 'r':
        this.#texts = [];
        return undefined;
      case 'm':
        if (!Number.isSafeInteger(argument) || (argument as number) < this.#markUs) {
          throw this.#invalid('a mark that goes back');
        }
        this.#markUs = argument as number;
        return { type: 'mark', knownUs: this.#markUs };
      case 'e': {
        const repository = this.#text(argument);
        if (!isRepository(repository)) throw this.#invalid('no repository');
        return { type: 'end', repository };
      }
      default:
        throw this.#invalid('a line that is not known');
    }
  }

  #operation(row: readonly unknown[]): HistoryEntry {
    const [kind, client, process, call, duration, repository, reference, outcome, status, value, more] = row;
    if (row.length < 10 || row.length > 11) throw this.#invalid('an operation of another length');
    if (!Number.isSafeInteger(call) || !Number.isSafeInteger(duration)) throw this.#invalid('no times');
    if ((call as number) < this.#markUs) throw this.#invalid('an operation from before the last mark');
    const operation = {
      kind: OPERATION_KINDS[kind as number],
      client,
      process,
      callUs: call,
      returnUs: (call as number) + (duration as number),
      repository: this.#text(repository),
      reference: this.#text(reference),
      outcome: OUTCOMES[outcome as number],
      status,
      value: value === NONE ? null : this.#text(value),
    } as Writable<Operation>;
    if (operation.kind === undefined || operation.outcome === undefined)
      throw this.#invalid('no kind or outcome');
    if (more !== undefined) this.#addMore(operation, more);
    try {
      checkOperation(operation);
    } catch (error) {
      throw this.#invalid(messageOf(error));
    }
    return { type: 'operation', operation };
  }

  #addMore(operation: Writable<Operation>, more: unknown): void {
    if (typeof more !== 'object' || more === null || Array.isArray(more)) throw this.#invalid('no fields');
    const { a, z, t, n, j, u, q, f } = more as Record<string, unknown>;
    for (const text of [a, u, q])
      if (text !== undefined && !isText(text)) throw this.#invalid('a field is no text');
    if (n !== undefined && (!Array.isArray(n) || n.length > OPERATION_LIMITS.names))
      throw this.#invalid('no names');
    if (a !== undefined) operation.announced = a as string;
    if (z !== undefined) operation.size = z as number;
    if (t !== undefined) operation.mediaType = this.#text(t);
    if (n !== undefined) operation.names = (n as unknown[]).map((name) => this.#text(name));
    if (j !== undefined) operation.subject = this.#text(j) as Digest;
    if (u !== undefined) operation.upload = u as string;
    if (q !== undefined) operation.requestId = q as string;
    if (f !== undefined) operation.remote = this.#text(f);
  }

  #text(number: unknown): string {
    if (number === NONE) return '';
    const text = typeof number === 'number' ? this.#texts[number] : undefined;
    if (text === undefined) throw this.#invalid('a text that was not given');
    return text;
  }

  #invalid(why: string): RegopsError {
    return new RegopsError('INPUT_INVALID', `${this.#what}: line ${this.#line}: ${why}`);
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= HISTORY_LIMITS.text;
}

/** The JSON of each line; undefined when that of some line is none. As one list, for a call per line costs more. */
function valuesOf(lines: readonly string[]): readonly unknown[] | undefined {
  if (lines.some(({ length }) => length > HISTORY_LIMITS.line)) return undefined;
  try {
    const values: unknown[] = JSON.parse(`[${lines.join(',')}]`);
    // A value that goes over the end of a line, or a line of several, is for who looks at every line.
    return values.length === lines.length ? values : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Reads a history as it streams, and gives what the lines of every chunk say. A last line that was cut off is left
 * out, and told to `onTorn`. Throws INPUT_INVALID; what the chunks throw passes.
 */
export async function* readHistory(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  decoder: HistoryDecoder,
  onTorn?: () => void,
): AsyncGenerator<readonly HistoryEntry[]> {
  const utf8 = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + utf8.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield decoder.lines(lines);
    if (rest.length > HISTORY_LIMITS.line) decoder.line(rest);
  }
  rest += utf8.decode();
  if (rest === '') {
    if (decoder.header === undefined) decoder.line(rest);
    return;
  }
  if (decoder.header !== undefined && !isJson(rest)) {
    onTorn?.();
    return;
  }
  const entry = decoder.line(rest);
  if (entry) yield [entry];
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
