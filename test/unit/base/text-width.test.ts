import fc from 'fast-check';
import { expect, test } from 'vitest';
import { padText, textWidth, truncateText } from '../../../src/base/index.ts';

test.each([
  ['', 0],
  ['abc', 3],
  ['应用', 4],
  ['e\u0301', 1],
  ['👩‍👩‍👧', 2],
  ['\u001b[1mx\u001b[0m', 1],
])('%j takes %d columns', (text, width) => {
  expect(textWidth(text)).toBe(width);
});

test('a cut text never takes more than its columns, and one that fits is not cut', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, width) => {
      const cut = truncateText(text, width);
      expect(textWidth(cut)).toBeLessThanOrEqual(width);
      if (textWidth(text) <= width) expect(cut).toBe(text);
      else if (width > 0) expect(cut.endsWith('…')).toBe(true);
    }),
  );
});

test('padding reaches the width on the side that is asked for, and never cuts', () => {
  expect(padText('应', 4)).toBe('应  ');
  expect(padText('应', 4, 'right')).toBe('  应');
  expect(padText('abcdef', 3)).toBe('abcdef');
});
