import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { readAnswer } from '../support/json-answer.ts';
import { runCli, runShell } from '../support/run-cli.ts';
import { loadConfig } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';

const folder = useTempFolder();

/** Settings so many that listing them fills any pipe. */
async function manySettings(count: number): Promise<{ XDG_CONFIG_HOME: string }> {
  const profiles = Object.fromEntries(
    Array.from({ length: count }, (_, n) => [`p${n}`, { timeout: `${n}s` }]),
  );
  await mkdir(folder('regops'), { recursive: true });
  await writeFile(folder('regops', 'config.json'), JSON.stringify({ profiles }));
  return { XDG_CONFIG_HOME: folder() };
}

describe('what it is', () => {
  test.each(['--version', '-V', 'version'])('%s', async (flag) => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    const run = await runCli([flag]);
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toMatch(new RegExp(`^regops/${version} `));
  });

  test.each([[[]], [['--help']], [['-h']], [['help']]])('%j lists the commands', async (argv) => {
    const run = await runCli(argv);
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toMatch(/^ {2}completion +print a completion script/m);
    expect(run.stdout).toMatch(/^ {2}config +.*\(get, list, path, set,\s+unset\)$/m);
    expect(run.stdout).toMatch(/^ {2}pullthrough-bench +[^(]*\(compare\)$/m);
  });

  test.each([
    ['config', 'config set    keep a default'],
    ['config --help', 'config set    keep a default'],
    ['config set --help', '$ regops config set KEY VALUE... [FLAGS]'],
    ['config set -h', 'EXIT STATUS'],
    ['help config set', 'ENVIRONMENT'],
  ])('regops %s', async (words, expected) => {
    const run = await runCli(words.split(' '));
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toContain(expected);
  });

  test('NO_COLOR and FORCE_COLOR together are no colours, and no warning of Node’s', async () => {
    const run = await runCli(['inspect', 'nothing.tar'], { env: { NO_COLOR: '1', FORCE_COLOR: '1' } });
    expect(run).toMatchObject({ exitCode: 66, stdout: '' });
    expect(run.stderr).not.toMatch(/Warning|\u001b/);
  });

  test('help has colours only where they are wanted', async () => {
    expect((await runCli(['--help'])).stdout).not.toContain('\u001b');
    expect((await runCli(['--help'], { env: { FORCE_COLOR: '1' } })).stdout).toContain('\u001b[1m');
    const never = await runCli(['--help', '--no-color'], { env: { FORCE_COLOR: '1' } });
    expect(never.stdout + never.stderr).not.toContain('\u001b');
  });
});

test('the manifest it starts from is that of its commands', async () => {
  const manifest = JSON.parse(await readFile(new URL('../../oclif.manifest.json', import.meta.url), 'utf8'));
  const { commands } = await loadConfig();
  const shape = (all: readonly { id: string; flags: object }[]): unknown =>
    all.map(({ id, flags }) => [id, Object.keys(flags)]).toSorted();
  expect(shape(Object.values(manifest.commands))).toEqual(shape(commands));
});

describe('words that are no command', () => {
  test('are a usage error with a guess', async () => {
    const run = await runCli(['confg', 'list']);
    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).toBe(
      "error: unknown command 'confg'\nhint: Did you mean regops config?\nhint: See regops --help\n",
    );
    expect(await runCli(['confg', '--help'])).toMatchObject({ exitCode: 64, stdout: '' });
    expect((await runCli(['config', 'lst'])).stderr).toContain('Did you mean regops config list?');
  });

  test('under --json are an answer', async () => {
    const run = await runCli(['inspct', '--json']);
    expect(run.exitCode).toBe(64);
    expect(readAnswer(run.stdout)).toMatchObject({ schema: 'regops.cli/1', error: { code: 'USAGE' } });
  });
});

test('a usage error under --json is a small answer without secrets', async () => {
  const run = await runCli(['config', 'list', '--json', '--pasword=geheim123']);
  expect(run.exitCode).toBe(64);
  expect(readAnswer(run.stdout)).toMatchObject({
    schema: 'regops.config.list/1',
    error: { code: 'USAGE', message: 'unknown flag --pasword' },
  });
  expect(run.stdout + run.stderr).not.toContain('geheim123');
  expect(run.stdout.length).toBeLessThan(600);
});

describe('in a pipe', () => {
  test('| head ends it silently', async () => {
    const env = await manySettings(5000);
    for (const program of ['regops config list --json', 'regops config list --json 2>&1']) {
      const run = await runShell(`${program} | head -1; echo "\${PIPESTATUS[*]}"`, env);
      expect(run).toMatchObject({ stdout: '{\n0 0\n', stderr: '' });
    }
  });

  test('a full disk behind stdout is exit 73', async () => {
    const run = await runShell('regops config list --json > /dev/full; echo $?', await manySettings(10));
    expect(run.stdout).toBe('73\n');
    expect(run.stderr).toMatch(/^error: cannot write to standard output: ENOSPC.*\n$/);
  });

  test('--output /dev/stdout keeps what the file behind it holds', async () => {
    const run = await runShell(
      'cd "$XDG_CONFIG_HOME"; echo first > log; regops config list --json -o /dev/stdout >> log; head -2 log',
      await manySettings(10),
    );
    expect(run.stdout).toBe('first\n{\n');
  });

  test('ten thousand lines arrive whole, read slowly', async () => {
    const run = await runShell('regops config list --json | (sleep 1; cat)', await manySettings(3000));
    expect(run.stderr).toBe('');
    expect(run.stdout.split('\n').length).toBeGreaterThan(10_000);
    expect(readAnswer(run.stdout).result.settings.length).toBe(3000);
  });

  test.each(['*', 'oclif:*'])(
    'with DEBUG=%s a password on the command line is not repeated',
    async (DEBUG) => {
      const run = await runCli(['inspect', 'nothing.tar', '--password', 'geheim123'], { env: { DEBUG } });
      expect(run.stderr).toContain('oclif:');
      expect(run.stderr).not.toContain('geheim123');
    },
  );

  test('with DEBUG on, secrets are still not shown', async () => {
    const run = await runCli(['login', '--nonsense'], {
      env: { DEBUG: 'regops:*', REGOPS_PASSWORD: 'geheim123' },
    });
    expect(run.stdout + run.stderr).not.toContain('geheim123');
  });
});
