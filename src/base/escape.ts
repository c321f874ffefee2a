/**
 * Text that came from a server or an archive may carry terminal escapes (the class of CVE-2021-25743):
 * everything foreign goes through here before a terminal sees it.
 */
const UNSAFE =
  // C0 and DEL, C1, line and paragraph separators, bidirectional controls, zero-width joiners, BOM
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Makes foreign text safe for one line of a terminal: control and bidi characters become `\xNN` or `\u{NNNN}`. */
export function escapeText(text: string): string {
  return text.replaceAll(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === '\t') return ' ';
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u{${code.toString(16).padStart(4, '0')}}`;
  });
}

/** As {@link escapeText}, for text that may span lines: newlines stay, each line is escaped. */
export function escapeLines(text: string): string {
  return text.split('\n').map(escapeText).join('\n');
}

/**
 * JSON for a terminal or a file: what JSON.stringify leaves as it is but a terminal would obey
 * (DEL, C1, bidi controls) is written as `\uNNNN`.
 */
export function safeJson(value: unknown, indent = 0): string {
  return JSON.stringify(value, null, indent).replaceAll(
    /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
