import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import { completionScript, SHELLS } from '../../../src/cli/completion.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { commands } from './models.ts';

const run = promisify(execFile);
const folder = useTempFolder();

test.each(SHELLS)('the script for %s is the same every time and names every command and flag', (shell) => {
  const script = completionScript(shell, 'regops', commands);
  expect(completionScript(shell, 'regops', commands)).toBe(script);
  for (const { words, flags } of commands) {
    for (const word of words) expect(script).toContain(word);
    for (const { name } of flags) expect(script).toContain(name);
  }
});

describe('in a real bash', () => {
  beforeEach(async () => {
    await mkdir(folder('some-dir'));
    await writeFile(folder('some-file'), '');
    await writeFile(folder('script.bash'), completionScript('bash', 'regops', commands));
  });

  /** What bash would offer after these words, the last of which is being typed. */
  async function offered(...words: string[]): Promise<string[]> {
    const { stdout } = await run(
      'bash',
      [
        '--norc',
        '-c',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own
        'source script.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _regops; printf "%s\\n" "${COMPREPLY[@]}"',
        'bash',
        'regops',
        ...words,
      ],
      { cwd: folder() },
    );
    return stdout.trimEnd().split('\n');
  }

  test('the script is valid', async () => {
    await run('bash', ['-n', folder('script.bash')]);
  });

  test.each([
    [[''], ['config', 'push-tar', 'completion']],
    [['pu'], ['push-tar']],
    [['config', ''], ['set']],
    [['config', 's'], ['set']],
    [['--'], ['--help', '--version']],
    [
      ['completion', ''],
      ['bash', 'zsh'],
    ],
    [
      ['push-tar', '--c'],
      ['--cache', '--certs-dir'],
    ],
    [['push-tar', '--no'], ['--no-cache']],
    [['push-tar', 'x.tar', '--fo'], ['--format']],
    [
      ['push-tar', '--format', ''],
      ['table', 'json', 'nagios'],
    ],
    [['push-tar', '--format', '=', 'n'], ['nagios']],
    [
      ['push-tar', '--format', '='],
      ['table', 'json', 'nagios'],
    ],
    [['config', 'set', '--format', 'n'], ['']],
    [['push-tar', '--certs-dir', 'some'], ['some-dir']],
    [['push-tar', '--to', ''], ['']],
    [['push-tar', ''], ['']],
    [
      ['nonsense', 'config', ''],
      ['config', 'push-tar', 'completion'],
    ],
  ])('%j', async (words, expected) => {
    expect(await offered(...words)).toEqual(expected);
  });
});
