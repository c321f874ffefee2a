import { expect, test } from 'vitest';
import { runCommand } from '../support/run-command.ts';

test.each(['bash', 'zsh', 'fish'])('prints the script for %s and nothing else', async (shell) => {
  const run = await runCommand('completion', [shell]);
  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  expect(run.stdout).toContain('config set');
  expect((await runCommand('completion', [shell, '--json'])).json().result).toEqual({
    shell,
    script: run.stdout,
  });
});

test.each([[['powershell']], [[]], [['bash', 'zsh']]])('refuses %j', async (argv) => {
  expect(await runCommand('completion', argv)).toMatchObject({ exitCode: 64, stdout: '' });
});
