import { expect, test } from 'vitest';
import { forbidColor, wantsColor } from '../../../src/cli/color.ts';

test.each([
  [true, {}, false, true],
  [false, {}, false, false],
  [true, { TERM: 'dumb' }, false, false],
  [true, { NO_COLOR: '1' }, false, false],
  [true, { NO_COLOR: '' }, false, true],
  [false, { FORCE_COLOR: '1' }, false, true],
  [false, { FORCE_COLOR: '' }, false, true],
  [true, { FORCE_COLOR: '0' }, false, false],
  [true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false, false],
  [true, { FORCE_COLOR: '3' }, true, false],
])('terminal %s, %j, --no-color %s: %s', (isTTY, environment, flag, expected) => {
  expect(wantsColor({ isTTY }, environment, flag)).toBe(expected);
});

test('--no-color also holds for those who look at the environment alone', () => {
  const environment: NodeJS.ProcessEnv = { FORCE_COLOR: '1' };
  forbidColor(environment);
  expect(environment).toEqual({ NO_COLOR: '1' });
});
