import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Ended, runCli, runShell, type SpawnOptions } from '../support/run-cli.ts';

const program = fileURLToPath(new URL('fixture/run.ts', import.meta.url));

const behave = (argv: readonly string[], options: SpawnOptions = {}): Promise<Ended> =>
  runCli(['behave', ...argv], { program, ...options });

describe('a signal', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends work with its partial result', async (name, exitCode) => {
    const run = await behave(['politely', '--json'], { when: [/working/, (child) => void child.kill(name)] });
    expect(run).toMatchObject({ exitCode, signal: null, stderr: expect.stringContaining('stopping') });
    expect(JSON.parse(run.stdout)).toMatchObject({
      ok: false,
      exitCode,
      interrupted: true,
      result: { done: 2 },
      error: { code: 'INTERRUPTED' },
    });
  });

  test('ends work that has left something behind', async () => {
    const run = await behave(['untidily'], { when: [/working/, (child) => void child.kill('SIGINT')] });
    expect(run).toMatchObject({ exitCode: 130, stdout: 'two\n' });
  });

  test('ends work that does not stop, with an answer all the same', async () => {
    const run = await behave(['stubbornly', '--json'], {
      when: [/working/, (child) => void child.kill('SIGTERM')],
    });
    expect(run.exitCode).toBe(143);
    expect(JSON.parse(run.stdout)).toMatchObject({ interrupted: true, exitCode: 143, result: null });
  });

  test('that comes twice ends it at once', async () => {
    const run = await behave(['stubbornly'], {
      when: [
        /working/,
        async (child) => {
          child.kill('SIGINT');
          await new Promise((resolve) => setTimeout(resolve, 400));
          child.kill('SIGINT');
        },
      ],
    });
    expect(run).toMatchObject({ exitCode: 130, stdout: '' });
  });
});

describe('the exit code says no more than is true', () => {
  test('when work waits for what cannot happen', async () => {
    const run = await behave(['never']);
    expect(run).toMatchObject({ exitCode: 70, stdout: '' });
    expect(run.stderr).toContain('ended before its work was done');
  });

  test('when something is thrown where nobody can catch it', async () => {
    const run = await behave(['elsewhere', '--json']);
    expect(run.exitCode).toBe(70);
    expect(JSON.parse(run.stdout).error.message).toContain('thrown elsewhere');
  });
});

test('messages that nobody can be told do not end the work', async () => {
  const run = await runShell('regops inspect nothing.tar --json 2>/dev/full; echo $?');
  expect(run).toMatchObject({ stderr: '', stdout: expect.stringContaining('FILE_NOT_FOUND') });
  expect(run.stdout.trimEnd().split('\n').at(-1)).toBe('66');
});

test('a large answer arrives whole, and with its exit code, however slowly it is read', async () => {
  const run = await behave(['verbosely', '--json'], {
    when: [
      /./,
      async (child) => {
        child.stdout?.pause();
        await new Promise((resolve) => setTimeout(resolve, 500));
        child.stdout?.resume();
      },
    ],
  });
  expect(run.exitCode).toBe(1);
  expect(JSON.parse(run.stdout).result.lines.length).toBe(200_000);
});
