import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ERROR_KINDS } from '../../src/base/index.ts';
import { COMMON_EXIT_STATUS, EXIT_CODES, EXIT_FOUND, SIGNAL_CODES } from '../../src/cli/exit-codes.ts';
import { sourceFiles } from '../support/imports.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What scripts rely on: never to be changed, only added to. */
const CONTRACT = [0, 1, 64, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78, 130, 143];

const numbers = (cells: readonly string[]): number[] => cells.flatMap((cell) => cell.split(', ').map(Number));

test('the program’s table has the contract’s codes, no more and no fewer', () => {
  const all = [0, EXIT_FOUND, ...Object.values(EXIT_CODES), ...Object.values(SIGNAL_CODES)];
  expect([...new Set(all)].toSorted((a, b) => a - b)).toEqual(CONTRACT);
});

test('help pages and the README explain just these', async () => {
  expect(numbers(COMMON_EXIT_STATUS.map(([code]) => code))).toEqual(CONTRACT);
  const readme = await readFile(`${root}/README.md`, 'utf8');
  const table =
    /### Exit codes\n\n\| code \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)/.exec(readme)?.[1] ?? '';
  const rows = table
    .trimEnd()
    .split('\n')
    .map((row) => row.split('|').map((cell) => cell.trim()));
  expect(numbers(rows.map(([, code]) => code as string))).toEqual(CONTRACT);
  for (const [, code, meaning] of rows) expect(meaning, code).toMatch(/\w/);
});

test('only exit-codes.ts knows numbers: everything else exits through it', async () => {
  const files = await sourceFiles(root, 'src', 'commands');
  const setting = files.flatMap(({ path, code }) =>
    [...code.matchAll(/process\.exit(?:Code\s*=|\()\s*(\d+)/g)].map(([text]) => `${path}: ${text}`),
  );
  expect(setting).toEqual([]);
});

describe('every code of the error table', async () => {
  const files = (await sourceFiles(root, 'src', 'commands')).filter(
    ({ path }) => path !== 'src/base/errors.ts',
  );
  /** Lines that only look for a code: they prove nothing. */
  const looking = /case '|isRegopsError\(|\.code [!=]== '|\.includes\(/;
  const lines = files.flatMap(({ code }) => code.split('\n')).filter((line) => !looking.test(line));
  const inTable = await readFile(`${root}/src/base/errors.ts`, 'utf8');
  const own = inTable.slice(inTable.indexOf('} as const'));

  test.each(Object.keys(ERROR_KINDS))('%s is thrown somewhere', (code) => {
    expect([...lines, own].some((line) => line.includes(`'${code}'`))).toBe(true);
  });

  test.each(Object.entries(ERROR_KINDS))('%s (%s) has an exit code', (_, kind) => {
    expect(CONTRACT).toContain(EXIT_CODES[kind]);
    expect(EXIT_CODES[kind]).toBeGreaterThanOrEqual(64);
  });
});
