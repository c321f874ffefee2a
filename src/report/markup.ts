import { escapeText } from '../base/index.ts';

/** Text that is safe to stand in an HTML or XML document; only {@link markup} and {@link trusted} make it. */
export class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What a template may hold: text is escaped, markup is not, nothing is nothing. */
export type MarkupValue = string | number | Markup | readonly Markup[] | undefined | false;

/** Our own markup, taken as it is: style sheets, names of classes. Never text from outside. */
export function trusted(text: string): Markup {
  return new Markup(text);
}

/**
 * A template whose texts are escaped for element content and quoted attributes, of HTML and XML alike:
 * what is invalid in XML or would turn the reader's eye (control and bidi characters) shows as `\xNN`.
 */
export function markup(strings: TemplateStringsArray, ...values: readonly MarkupValue[]): Markup {
  return new Markup(strings.reduce((text, part, at) => text + written(values[at - 1]) + part));
}

/** As a text in a template, but newlines stay. */
export function textLines(text: string): Markup {
  return new Markup(text.split('\n').map(escaped).join('\n'));
}

function written(value: MarkupValue): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Markup) return value.toString();
  return typeof value === 'object' ? value.join('') : escaped(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  // U+FFFE and U+FFFF: no terminal minds them, but no XML document may hold them.
  return escapeText(text)
    .replaceAll(/[\ufffe\uffff]/g, '\ufffd')
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
