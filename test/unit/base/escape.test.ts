import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { escapeLines, escapeText, safeJson } from '../../../src/base/index.ts';

/** Every character a terminal might obey, or that makes text read other than it is. */
const DANGEROUS = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, code) => 0x7f + code),
  ...[0x061c, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029],
  ...[0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0xfeff],
].map((code) => String.fromCharCode(code));

const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...DANGEROUS, '\ud800', '\udfff', '\\', 'a'),
    fc.string({ unit: 'binary', maxLength: 1 }),
  ),
});

describe('escapeText', () => {
  test.each(DANGEROUS.map((character) => [character.charCodeAt(0).toString(16), character]))(
    'U+%s does not get through',
    (_code, character) => {
      const shown = escapeText(`a${character}b`);
      expect(shown).not.toContain(character === '\t' ? '\t' : character);
      expect(shown).toMatch(/^a( |\\x[0-9a-f]{2}|\\u\{[0-9a-f]{4}\})b$/);
    },
  );

  test.each([
    ['plain', 'plain'],
    ['grüße 🐳 你好', 'grüße 🐳 你好'],
    ['\u001b[2J', '\\x1b[2J'],
    ['\u009b31m', '\\x9b31m'],
    ['a\r\nb', 'a\\x0d\\x0ab'],
    ['a\tb', 'a b'],
    ['abc\u202egnp.exe', 'abc\\u{202e}gnp.exe'],
    ['\ud83d', '\\u{d83d}'],
    ['\udc33\ud83d', '\\u{dc33}\\u{d83d}'],
    ['', ''],
  ])('%j becomes %j', (text, shown) => {
    expect(escapeText(text)).toBe(shown);
  });

  test('whatever comes in, one line of well-formed text comes out, and escaping it again changes nothing', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const shown = escapeText(text);
        for (const character of DANGEROUS) expect(shown).not.toContain(character);
        expect(shown.isWellFormed()).toBe(true);
        expect(escapeText(shown)).toBe(shown);
      }),
      { numRuns: 500 },
    );
  });
});

describe('escapeLines', () => {
  test('keeps the lines and nothing else', () => {
    expect(escapeLines('a\nb\u001bc\n')).toBe('a\nb\\x1bc\n');
    fc.assert(
      fc.property(hostile, (text) => {
        expect(escapeLines(text).split('\n')).toEqual(text.split('\n').map(escapeText));
      }),
    );
  });
});

describe('safeJson', () => {
  test('says the same as it was given, with nothing a terminal would obey', () => {
    const printed = (indent: number) =>
      fc.property(fc.jsonValue(), hostile, (value, text) => {
        const document = { value, text, [text]: [text] };
        const json = safeJson(document, indent);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(document)));
        for (const character of DANGEROUS)
          if (character !== '\n' || indent === 0) expect(json).not.toContain(character);
        expect(json.isWellFormed()).toBe(true);
      });
    fc.assert(printed(0));
    fc.assert(printed(2));
  });
});
