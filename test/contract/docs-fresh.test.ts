import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { documents } from '../../src/cli/documents.ts';
import { loadConfig } from '../support/run-command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('the manual pages are those of the commands (npm run docs)', async () => {
  const { manPages } = documents(await loadConfig());
  const there = (await readdir(`${root}/man`)).filter((name) => name.endsWith('.1'));
  expect(there.toSorted()).toEqual([...manPages.keys()].toSorted());
  for (const [name, page] of manPages) expect(await readFile(`${root}/man/${name}`, 'utf8')).toBe(page);
});

test.skipIf(!existsSync(`${root}/README.md`))(
  'the README’s command reference is that of the commands (npm run docs)',
  async () => {
    const text = await readFile(`${root}/README.md`, 'utf8');
    expect(documents(await loadConfig()).readme(text)).toBe(text);
  },
);
