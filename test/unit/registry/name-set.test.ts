import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NameSet } from '../../../src/registry/name-set.ts';

test('each name is new once, whatever names there are and however many', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 3 }), { maxLength: 500 }), (names) => {
      const set = new NameSet();
      const seen = new Set<string>();
      for (const name of names) {
        expect(set.add(name)).toBe(!seen.has(name));
        seen.add(name);
      }
      expect(set.size).toBe(seen.size);
    }),
  );
  const set = new NameSet();
  const many = Array.from({ length: 5000 }, (_, at) => `team/app${at}`);
  expect(many.every((name) => set.add(name))).toBe(true);
  expect(many.some((name) => set.add(name))).toBe(false);
});
