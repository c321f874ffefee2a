// Writes what is made from the commands: man/*.1 and the command reference in README.md. Needs a build.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Config } from '@oclif/core/config';
import { documents } from '../dist/src/cli/documents.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const made = documents(await Config.load({ root }));

const man = join(root, 'man');
mkdirSync(man, { recursive: true });
for (const name of readdirSync(man)) {
  if (name.endsWith('.1') && !made.manPages.has(name)) rmSync(join(man, name));
}
for (const [name, page] of made.manPages) writeFileSync(join(man, name), page);

const readme = join(root, 'README.md');
if (existsSync(readme)) {
  const text = made.readme(readFileSync(readme, 'utf8'));
  if (text === undefined) throw new Error('README.md has no <!-- commands --> … <!-- commandsstop -->');
  writeFileSync(readme, text);
}
