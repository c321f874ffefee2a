import fc from 'fast-check';
import { expect, test } from 'vitest';
import { markup, textLines, trusted } from '../../../src/report/markup.ts';

test('text is escaped, markup is not, nothing is nothing', () => {
  const list = ['a', '<'].map((text) => markup`<li>${text}</li>`);
  expect(
    markup`<ul title="${'"\'&'}">${list}</ul>${undefined}${false}${0}${trusted('<hr>')}`.toString(),
  ).toBe('<ul title="&quot;&#39;&amp;"><li>a</li><li>&lt;</li></ul>0<hr>');
  expect(markup`<pre>${textLines('<\n\u202e')}</pre>`.toString()).toBe('<pre>&lt;\n\\u{202e}</pre>');
});

test('whatever the text, it ends neither the element nor the attribute and is valid in XML', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const inside = /^<a b="([\s\S]*)">([\s\S]*)<\/a>$/.exec(markup`<a b="${text}">${text}</a>`.toString());
      for (const part of inside?.slice(1) ?? ['"']) {
        expect(part).not.toMatch(/[<>"'\u0000-\u001f\u007f-\u009f\ufffe\uffff]|&(?!(amp|lt|gt|quot|#39);)/);
        expect(part.isWellFormed()).toBe(true);
      }
    }),
  );
});
