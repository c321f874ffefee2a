import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { RegopsError } from '../../../src/base/index.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { probe } from './probe.ts';

const folder = useTempFolder();

/** Environment with a settings file of this content. */
async function withSettings(content: unknown): Promise<{ XDG_CONFIG_HOME: string }> {
  await mkdir(folder('regops'), { recursive: true });
  await writeFile(
    folder('regops', 'config.json'),
    typeof content === 'string' ? content : JSON.stringify(content),
  );
  return { XDG_CONFIG_HOME: folder() };
}

describe('where a value comes from', () => {
  const settings = {
    defaults: { size: '1KiB', level: 'high', insecure: true, many: ['x', 'y'] },
    profiles: { prod: { size: '2KiB' } },
  };

  test('the default of the flag comes last', async () => {
    const { flags } = (await probe(['--json'])).json().result;
    expect(flags).toMatchObject({ level: 'low', format: 'json' });
    expect(flags).not.toHaveProperty('size');
  });

  test('the settings file beats the default', async () => {
    const env = await withSettings(settings);
    const { flags } = (await probe(['--json'], { env })).json().result;
    expect(flags).toMatchObject({ size: 1024, level: 'high', insecure: true, many: ['x', 'y'] });
  });

  test('the profile beats the settings file, chosen by flag or by variable', async () => {
    const env = await withSettings(settings);
    for (const run of [
      await probe(['--json', '--profile', 'prod'], { env }),
      await probe(['--json', '--profile=prod'], { env }),
      await probe(['--json'], { env: { ...env, REGOPS_PROFILE: 'prod' } }),
    ]) {
      expect(run.json().result.flags).toMatchObject({ size: 2048, level: 'high' });
    }
  });

  test('a variable beats the profile, a flag beats the variable', async () => {
    const env = { ...(await withSettings(settings)), REGOPS_PROFILE: 'prod', REGOPS_SIZE: '3KiB' };
    expect((await probe(['--json'], { env })).json().result.flags.size).toBe(3072);
    expect((await probe(['--json', '--size', '4KiB'], { env })).json().result.flags.size).toBe(4096);
  });

  test('an empty variable is none', async () => {
    expect((await probe(['--json'], { env: { REGOPS_LEVEL: '' } })).json().result.flags.level).toBe('low');
  });

  test('a variable can turn a switch of the settings file off', async () => {
    const env = { ...(await withSettings(settings)), REGOPS_INSECURE: 'no' };
    expect((await probe(['--json'], { env })).json().result.flags.insecure).toBe(false);
  });

  test('a switch that is on by itself can be turned off everywhere', async () => {
    const cache = async (argv: string[], env = {}) =>
      (await probe(['--json', ...argv], { env })).json().result.flags.cache;
    expect(await cache([])).toBe(true);
    expect(await cache(['--no-cache'])).toBe(false);
    expect(await cache([], { REGOPS_CACHE: 'no' })).toBe(false);
    expect(await cache([], await withSettings({ defaults: { cache: false } }))).toBe(false);
    expect(await cache(['--cache'], { REGOPS_CACHE: 'no' })).toBe(true);
  });

  test('several values in a variable are separated by commas', async () => {
    const run = await probe(['--json'], { env: { REGOPS_MANY: 'a, b,c' } });
    expect(run.json().result.flags.many).toEqual(['a', 'b', 'c']);
  });

  test('a repeatable flag takes one word only; what follows is an argument', async () => {
    const run = await probe(['--json', '--many', 'a', '--many', 'b', 'word']);
    expect(run.json().result).toMatchObject({ flags: { many: ['a', 'b'] }, words: ['word'] });
  });

  test('a flag without a variable cannot be set from outside', async () => {
    const env = { ...(await withSettings({ defaults: { once: true } })), REGOPS_ONCE: '1' };
    expect((await probe(['--json'], { env })).json().result.flags.once).toBe(false);
  });

  test('-v tells where values come from, but not what a secret is', async () => {
    const env = { ...(await withSettings(settings)), REGOPS_LEVEL: 'high', REGOPS_PASSWORD: 'geheim123' };
    const { stderr, stdout } = await probe(['-v', '--size', '9'], { env });
    expect(stderr).toContain('setting: --level=high from REGOPS_LEVEL');
    expect(stderr).toContain(
      `setting: --insecure=true from defaults.insecure in ${folder('regops', 'config.json')}`,
    );
    expect(stderr).toContain('setting: --password from REGOPS_PASSWORD');
    expect(stderr).not.toContain('--size');
    expect(stderr + stdout).not.toContain('geheim123');
  });

  test('a stronger credential silences a weaker one; two that were typed are refused', async () => {
    const env = { REGOPS_USERNAME: 'me', REGOPS_PASSWORD: 'geheim123' };
    const { flags } = (await probe(['--json', '--token', 't0ken'], { env })).json().result;
    expect(flags).toMatchObject({ token: 't0ken' });
    expect(flags).not.toHaveProperty('username');
    expect(flags).not.toHaveProperty('password');
    const both = await probe(['--token', 't0kent0ken', '--password', 'geheim123']);
    expect(both.exitCode).toBe(64);
    expect(both.stderr).toContain('cannot be used together');
    expect(both.stderr).not.toMatch(/t0kent0ken|geheim123/);
  });
});

describe('bad values', () => {
  test('of a flag are a usage error that names the flag', async () => {
    const run = await probe(['--size', '5x']);
    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).toContain("error: --size: invalid size '5x'");
    expect(run.stderr).toContain('512, 5MB or 64MiB');
    expect(run.stderr).toContain('Usage: regops probe [WORD] [FLAGS]');
    expect(run.stderr).toContain('See regops probe --help');
  });

  test.each([
    [{ REGOPS_SIZE: '5x' }, 'REGOPS_SIZE: invalid size'],
    [{ REGOPS_INSECURE: 'maybe' }, 'REGOPS_INSECURE: expected true or false'],
    [{ REGOPS_LEVEL: 'middle' }, 'REGOPS_LEVEL: expected one of low, high'],
  ])('of a variable are a usage error that names the variable: %o', async (env, message) => {
    const run = await probe([], { env });
    expect(run.exitCode).toBe(64);
    expect(run.stderr).toContain(message);
  });

  test('of a variable do no harm when the flag is given', async () => {
    expect((await probe(['--size', '1'], { env: { REGOPS_SIZE: '5x' } })).exitCode).toBe(0);
  });

  test('of the settings file name the key and the file, and are exit 78', async () => {
    const env = await withSettings({ profiles: { prod: { size: '5x' } } });
    const run = await probe(['--profile', 'prod'], { env });
    expect(run.exitCode).toBe(78);
    expect(run.stderr).toContain(
      `profiles.prod.size in ${folder('regops', 'config.json')}: invalid size '5x'`,
    );
  });

  test.each([
    ['not json', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['{"defaults": 5}', "'defaults' is not an object"],
    ['{"profiles": {"p": {"size": {}}}}', "'profiles.p.size' is neither"],
  ])('a broken settings file is exit 78 and named: %s', async (content, message) => {
    const run = await probe(['--json'], { env: await withSettings(content) });
    expect(run.exitCode).toBe(78);
    expect(run.json().error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(run.json().error.message).toContain(message);
    expect(run.json().error.message).toContain(folder('regops', 'config.json'));
  });

  test('a secret in the settings file is refused and not repeated', async () => {
    const run = await probe([], { env: await withSettings({ defaults: { password: 'geheim123' } }) });
    expect(run.exitCode).toBe(78);
    expect(run.stderr).toContain('defaults.password is a secret');
    expect(run.stderr).not.toContain('geheim123');
  });

  test('an unknown profile names those there are', async () => {
    const env = await withSettings({ profiles: { prod: {}, test: {} } });
    const run = await probe(['--profile', 'prd'], { env });
    expect(run.exitCode).toBe(78);
    expect(run.stderr).toContain('Profiles: prod, test.');
  });

  test('an unknown setting is only warned of', async () => {
    const run = await probe(['--json'], { env: await withSettings({ defaults: { nonsense: 1 } }) });
    expect(run.exitCode).toBe(0);
    expect(run.json().warnings).toEqual([expect.stringContaining("no setting 'defaults.nonsense'")]);
  });
});

describe('usage errors', () => {
  test('under --json are the JSON answer, with nothing of oclif in it', async () => {
    for (const argv of [
      ['--json', '--nonsense'],
      ['--format', 'json', '--nonsense'],
      ['--nonsense', '--format=json'],
    ]) {
      const run = await probe(argv);
      expect(run.exitCode).toBe(64);
      expect(run.json()).toMatchObject({
        schema: 'regops.probe/1',
        ok: false,
        exitCode: 64,
        result: null,
        error: { code: 'USAGE', message: 'unknown flag --nonsense' },
      });
      expect(run.stdout.length).toBeLessThan(600);
    }
  });

  test('a misspelled secret is not repeated', async () => {
    for (const argv of [['--pasword=geheim123'], ['--pasword', 'geheim123', '--json'], ['-pgeheim123']]) {
      const run = await probe(argv);
      expect(run.exitCode).toBe(64);
      expect(run.stdout + run.stderr).not.toContain('geheim123');
    }
    expect((await probe(['--pasword=geheim123'])).stderr).toContain('Did you mean --password?');
  });

  test.each([
    [['a', 'b'], "unexpected argument 'b'"],
    [['--level', 'middle'], 'expected --level=middle to be one of: low, high'],
    [['--size'], 'flag --size expects a value'],
    [['--size', '1', '--size', '2'], 'flag --size can only be specified once'],
    [['--cert-file', 'x'], '--key-file'],
    [['--json', '--format', 'table'], '--format and --json cannot be used together'],
    [['--key-file', 'a.pem'], '--key-file needs --cert-file'],
    [['--retries', 'x'], '--retries: Expected an integer'],
  ])('%o', async (argv, message) => {
    const run = await probe(argv);
    expect(run.exitCode).toBe(64);
    expect(`${run.stderr}${run.stdout}`).toContain(message);
  });

  test('an unexpected argument beside a credential may be one: it is not repeated', async () => {
    const run = await probe(['a', 'geheim123', '--password-stdin']);
    expect(run.exitCode).toBe(64);
    expect(run.stderr).not.toContain('geheim123');
  });

  test('piped input does not become a missing argument', async () => {
    const run = await probe(['--json'], { stdin: 'from-stdin\n' });
    expect(run.json().result.words).toEqual([]);
  });
});

describe('what the body gives', () => {
  test('a problem it found is exit 1 and not ok', async () => {
    const run = await probe(['--json'], {
      body: async () => ({ result: { n: 1 }, report: {}, exitCode: 1 }),
    });
    expect(run.exitCode).toBe(1);
    expect(run.json()).toMatchObject({ ok: false, exitCode: 1, result: { n: 1 } });
  });

  test('a partial result is given along with the error, whose kind is the exit code', async () => {
    const body = async () => ({
      result: { done: 3 },
      report: { lines: ['three'] },
      error: new RegopsError('AUTHENTICATION_FAILED', 'wrong password', { hints: ['Log in.'] }),
    });
    const json = await probe(['--json'], { body });
    expect(json.exitCode).toBe(77);
    expect(json.json()).toMatchObject({
      result: { done: 3 },
      error: { code: 'AUTHENTICATION_FAILED', message: 'wrong password', hints: ['Log in.'] },
    });
    const text = await probe([], { body });
    expect(text).toMatchObject({ exitCode: 77, stdout: 'three\n' });
    expect(text.stderr).toBe('error: wrong password\nhint: Log in.\n');
    expect((await probe(['-q'], { body })).stderr).toBe('error: wrong password\n');
  });

  test('an error it throws gives a null result', async () => {
    const run = await probe(['--json'], {
      body: async () => {
        throw new RegopsError('IMAGE_NOT_FOUND', 'no such image', { details: { status: 404 } });
      },
    });
    expect(run.exitCode).toBe(66);
    expect(run.json()).toMatchObject({ result: null, error: { details: { status: 404 } } });
  });

  test('a usage error it throws shows the way to the help', async () => {
    const run = await probe(['--json'], {
      body: async () => {
        throw new RegopsError('USAGE', 'say where to', { hints: ['Give --to.'] });
      },
    });
    expect(run.exitCode).toBe(64);
    expect(run.json().error.hints).toEqual([
      'Give --to.',
      'Usage: regops probe [WORD] [FLAGS]',
      'See regops probe --help',
    ]);
  });

  test('anything else it throws is a bug: 70, and the stack only under -v', async () => {
    const body = async () => {
      throw new TypeError('x is undefined');
    };
    const run = await probe([], { body });
    expect(run.exitCode).toBe(70);
    expect(run.stderr).toContain('error: unexpected: x is undefined');
    expect(run.stderr).toContain('This is a bug in regops');
    expect(run.stderr).not.toContain('command.test.ts');
    expect((await probe(['-v'], { body })).stderr).toContain('command.test.ts');
  });

  test('warnings are on stderr and in the JSON answer, each once, also when quiet', async () => {
    const run = await probe(['--json', '-q'], {
      body: async ({ context }) => {
        context.log.warn('careful');
        context.log.warn('careful');
        context.log.info('by the way');
        return { result: {}, report: {} };
      },
    });
    expect(run.json().warnings).toEqual(['careful']);
    expect(run.stderr).toBe('warning: careful\n');
  });

  test('a secret that turns up in a message is taken out', async () => {
    const run = await probe(['--json'], {
      env: { REGOPS_PASSWORD: 'geheim123' },
      body: async ({ context }) => {
        context.log.warn('it said geheim123');
        throw new RegopsError('SERVER_ERROR', 'GET /geheim123', { hints: ['not geheim123'] });
      },
    });
    expect(run.stdout + run.stderr).not.toContain('geheim123');
    expect(run.json().error.message).toBe('GET /REDACTED');
  });

  test('text that a terminal would obey is escaped wherever it comes from', async () => {
    const body = async () => ({
      result: {},
      report: { lines: ['tag\u001b[31m'] },
      error: new RegopsError('SERVER_ERROR', 'it said \u001b]0;x\u0007\nerror: fake'),
    });
    const run = await probe([], { body });
    expect(run.stdout).toBe('tag\\x1b[31m\n');
    expect(run.stderr).toBe('error: it said \\x1b]0;x\\x07\\x0aerror: fake\n');
  });

  test('what it deferred is called in the end, the last first, however it ended', async () => {
    const calls: string[] = [];
    const run = await probe(['--json'], {
      body: async ({ context }) => {
        context.defer(() => void calls.push('first'));
        context.defer(async () => {
          calls.push('second');
          throw new Error('cannot close');
        });
        throw new RegopsError('IO_FAILED', 'broken');
      },
    });
    expect(calls).toEqual(['second', 'first']);
    expect(run.exitCode).toBe(74);
  });

  test('an answer given early is given once, and a later failure still counts', async () => {
    const run = await probe(['--json'], {
      body: async ({ context }) => {
        await context.present({ result: { url: 'here' }, report: {} });
        throw new RegopsError('IO_FAILED', 'broken');
      },
    });
    expect(run.json().result).toEqual({ url: 'here' });
    expect(run.stderr).toContain('error: broken');
    expect(run.exitCode).toBe(74);
  });

  test('--password on the command line hints at what is safer', async () => {
    expect((await probe(['--password', 'geheim123'])).stderr).toContain('--password-stdin');
    expect((await probe([], { env: { REGOPS_PASSWORD: 'geheim123' } })).stderr).toBe('');
  });

  test('a registry URL with a password is refused and not repeated', async () => {
    const run = await probe(['--registry-url', 'https://me:geheim123@registry.example.com']);
    expect(run.exitCode).toBe(64);
    expect(run.stderr).not.toContain('geheim123');
  });
});

describe('--output', () => {
  const body = async () => ({
    result: { n: 1 },
    report: { sections: [{ text: 'long' }], summary: 'in short' },
  });

  test('takes the formatted answer and leaves the summary on stdout', async () => {
    const path = folder('out.json');
    const run = await probe(['--json', '--output', path], { body });
    expect(run).toMatchObject({ exitCode: 0, stdout: 'in short\n' });
    expect(JSON.parse(await readFile(path, 'utf8')).result).toEqual({ n: 1 });
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    await probe(['-o', path], { body });
    expect(await readFile(path, 'utf8')).toBe('long\n\nin short\n');
  });

  test('- is stdout', async () => {
    expect((await probe(['-o', '-'], { body })).stdout).toBe('long\n\nin short\n');
  });

  test('writes to a device and through a link, and replaces neither', async () => {
    await symlink('/dev/null', folder('link'));
    expect((await probe(['-o', folder('link')], { body })).exitCode).toBe(0);
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
  });

  test('that cannot be written is exit 73, and the answer is not lost', async () => {
    await mkdir(folder('directory'));
    const run = await probe(['--json', '-o', folder('directory')], { body });
    expect(run.exitCode).toBe(73);
    expect(run.json()).toMatchObject({ ok: false, result: { n: 1 }, error: { code: 'OUTPUT_FAILED' } });
    expect(run.stderr).toContain(folder('directory'));
    const text = await probe(['-o', folder('directory')], { body });
    expect(text).toMatchObject({ exitCode: 73, stdout: 'long\n\nin short\n' });
  });

  test.each(['--output', '--log-file'])('%s without a name is refused before the work', async (flag) => {
    let worked = false;
    const run = await probe([flag, ''], {
      body: async () => {
        worked = true;
        return body();
      },
    });
    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).toContain(`${flag}: the name of the file is empty`);
    expect(worked).toBe(false);
  });

  test('takes the error as well', async () => {
    const path = folder('out.json');
    const run = await probe(['--json', '-o', path], {
      body: async () => {
        throw new RegopsError('IMAGE_NOT_FOUND', 'no such image');
      },
    });
    expect(run).toMatchObject({ exitCode: 66, stdout: '' });
    expect(JSON.parse(await readFile(path, 'utf8')).error.code).toBe('IMAGE_NOT_FOUND');
  });
});

describe('--log-file', () => {
  test('gets everything, is appended to, and nobody else may read it', async () => {
    const path = folder('log');
    const body = async ({ context }: { context: { log: { trace(text: string): void } } }) => {
      context.log.trace('detail');
      throw new RegopsError('IO_FAILED', 'broken', { hints: ['Mend it.'] });
    };
    const run = await probe(['-q', '--log-file', path], { body });
    await probe(['-q', '--log-file', path], { body });
    expect(run.stderr).toBe('error: broken\n');
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/^\S+Z /, ''))).toEqual([
      ...['trace detail', 'error IO_FAILED broken', 'hint Mend it.'],
      ...['trace detail', 'error IO_FAILED broken', 'hint Mend it.'],
    ]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('that has no more room ends with a warning, and the work goes on', async () => {
    const run = await probe(['--json', '--log-file', '/dev/full'], {
      body: async ({ context }) => {
        context.log.trace('one');
        context.log.trace('two');
        return { result: { done: true }, report: {} };
      },
    });
    expect(run.json()).toMatchObject({
      ok: true,
      result: { done: true },
      warnings: [expect.stringMatching(/^the log file ends here: ENOSPC/)],
    });
  });

  test('that cannot be opened is exit 73 before any work is done', async () => {
    let worked = false;
    const run = await probe(['--log-file', folder('no', 'such', 'folder')], {
      body: async () => {
        worked = true;
        return { result: {}, report: {} };
      },
    });
    expect(run.exitCode).toBe(73);
    expect(worked).toBe(false);
  });
});

describe('--format nagios', () => {
  test('gives one line and the plugin codes', async () => {
    const run = await probe(['--format', 'nagios'], {
      body: async () => ({
        result: {},
        exitCode: 1,
        report: { summary: 'all read', checks: [{ name: 'blobs', status: 'warn', message: '1 slow' }] },
      }),
    });
    expect(run).toMatchObject({ exitCode: 1, stdout: 'PROBE WARNING - blobs: 1 slow; all read\n' });
  });

  test.each([
    ['CONNECTION_FAILED', 2, 'PROBE CRITICAL - it failed\n'],
    ['TIMED_OUT', 2, 'PROBE CRITICAL - it failed\n'],
    ['CONFIG_INVALID', 3, 'PROBE UNKNOWN - it failed\n'],
    ['BUG', 3, 'PROBE UNKNOWN - it failed\n'],
  ] as const)('%s', async (code, exitCode, stdout) => {
    const run = await probe(['--format=nagios'], {
      body: async () => {
        throw new RegopsError(code, 'it failed');
      },
    });
    expect(run).toMatchObject({ exitCode, stdout });
  });

  test('turns a usage error into UNKNOWN', async () => {
    const run = await probe(['--format', 'nagios', '--nonsense']);
    expect(run).toMatchObject({ exitCode: 3, stdout: 'PROBE UNKNOWN - unknown flag --nonsense\n' });
  });
});

describe('signals', () => {
  /** A body that works until it is stopped, then gives what it has. */
  const patient = async ({ context }: { context: { signal: AbortSignal } }) => {
    await new Promise((resolve) => context.signal.addEventListener('abort', resolve, { once: true }));
    return { result: { done: 2 }, report: { lines: ['two'] }, error: context.signal.reason };
  };

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s stops the work, and the partial result is given', async (name, exitCode) => {
    const whileRunning = async (send: (name: 'SIGINT' | 'SIGTERM') => void) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      send(name);
    };
    const run = await probe(['--json'], { body: patient, whileRunning });
    expect(run.exitCode).toBe(exitCode);
    expect(run.json()).toMatchObject({
      ok: false,
      exitCode,
      interrupted: true,
      result: { done: 2 },
      error: { code: 'INTERRUPTED', message: `interrupted by ${name}` },
    });
    expect(run.stderr).toMatch(/^stopping/);
    expect(process.listenerCount(name)).toBe(0);
  });

  test('are the ordinary end of a server', async () => {
    const run = await probe(['--json'], {
      work: { endsOnSignal: true },
      body: async ({ context }) => {
        await context.present({ result: { url: 'here' }, report: {} });
        return patient({ context });
      },
      whileRunning: async (send) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        send('SIGINT');
      },
    });
    expect(run.exitCode).toBe(0);
    expect(run.stderr).toBe('');
    expect(run.json().result).toEqual({ url: 'here' });
  });
});
