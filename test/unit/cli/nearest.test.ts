import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nearest } from '../../../src/cli/nearest.ts';

const commands = ['push-tar', 'inspect', 'delete', 'login', 'logout', 'config', 'testbed'];

test.each([
  ['inspct', 'inspect'],
  ['ispnect', 'inspect'],
  ['puhs-tar', 'push-tar'],
  ['logni', 'login'],
  ['dlete', 'delete'],
  ['x', undefined],
  ['snapshot', undefined],
  ['', undefined],
])('%j most likely means %s', (word, meant) => {
  expect(nearest(word, commands)).toBe(meant);
});

test('of nothing there is no nearest, and of equals the first', () => {
  expect(nearest('a', [])).toBeUndefined();
  expect(nearest('bat', ['cat', 'hat'])).toBe('cat');
});

test('one slip in a word is always forgiven', () => {
  fc.assert(
    fc.property(fc.constantFrom(...commands), fc.nat(), (command, at) => {
      const index = at % command.length;
      expect(nearest(command.slice(0, index) + command.slice(index + 1), [command])).toBe(command);
      expect(nearest(`${command.slice(0, index)}q${command.slice(index)}`, [command])).toBe(command);
    }),
  );
});

test('a very long word takes no long time and is no match', () => {
  expect(nearest('x'.repeat(1e6), commands)).toBeUndefined();
});
