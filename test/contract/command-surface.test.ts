import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Command } from '@oclif/core/command';
import { expect, test } from 'vitest';
import { loadConfig } from '../support/run-command.ts';

const path = fileURLToPath(new URL('command-surface.json', import.meta.url));
const UPDATE =
  'UPDATE_SURFACE=1 npx vitest run --config test/vitest.config.ts test/contract/command-surface.test.ts && npm run format';

/** What scripts can depend on: commands, arguments, flags, their letters, variables, choices and defaults. */
function surfaceOf({ args, flags, aliases, hidden, strict }: Command.Loadable): object {
  return plain({
    aliases: aliases.length > 0 ? aliases : undefined,
    hidden: hidden || undefined,
    manyArguments: strict === false || undefined,
    args: Object.fromEntries(
      Object.values(args).map(({ name, required, multiple, options, default: standard }) => [
        name,
        { required: required ?? false, multiple: multiple || undefined, options, default: standard },
      ]),
    ),
    flags: Object.fromEntries(
      Object.entries(flags)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, flag]) => [
          name,
          {
            type: flag.type,
            char: flag.char,
            env: flag.env,
            required: flag.required || undefined,
            multiple: (flag.type === 'option' && flag.multiple) || undefined,
            negatable: (flag.type === 'boolean' && flag.allowNo) || undefined,
            options: flag.type === 'option' ? flag.options : undefined,
            default: flag.type === 'option' || flag.default ? flag.default : undefined,
            dependsOn: flag.dependsOn,
            exclusive: flag.exclusive,
          },
        ]),
    ),
  });
}

/** Without what is undefined, as it is read from a file. */
function plain(value: object): object {
  return JSON.parse(JSON.stringify(value));
}

test('commands, flags and their meaning are as they were', async () => {
  const { commands } = await loadConfig();
  const surface = Object.fromEntries(
    commands
      .map((command) => [command.id.replaceAll(':', ' '), surfaceOf(command)] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
  if (process.env['UPDATE_SURFACE']) await writeFile(path, `${JSON.stringify(surface, null, 2)}\n`);
  const kept = JSON.parse(await readFile(path, 'utf8'));
  expect(
    surface,
    `The command surface has changed, and scripts depend on it. If that is meant: ${UPDATE}`,
  ).toEqual(kept);
});
