import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { openFront } from '../support/http-front.ts';
import { makeImage, writeDockerArchive } from '../support/image-archives.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { pushImage } from '../support/testbed-client.ts';
import { ended, openRegistry } from './support.ts';

const folder = useTempFolder();

/** One secret of every kind, each recognisable wherever it turns up. */
const SECRETS = {
  password: 'GEHEIM-passwort',
  stored: 'GEHEIM-gespeichert',
  inline: 'GEHEIM-inline',
  token: 'GEHEIM-token',
  url: 'GEHEIM-in-der-url',
} as const;

/** The secret as it is, and as Basic and JSON have it. */
function spellings(secret: string): string[] {
  const base64 = (text: string): string => Buffer.from(text).toString('base64').replace(/=+$/, '');
  return [secret, base64(secret), base64(`ci:${secret}`), encodeURIComponent(secret)];
}

function expectNoSecret(...texts: string[]): void {
  for (const text of texts) {
    for (const secret of Object.values(SECRETS)) {
      for (const spelling of spellings(secret)) expect(text).not.toContain(spelling);
    }
  }
}

/** An environment with secrets in every place regops reads them from. */
async function environment(host: string): Promise<Record<string, string>> {
  const entry = (secret: string) => ({ auth: Buffer.from(`ci:${secret}`).toString('base64') });
  const home = folder('home');
  await mkdir(folder('home', '.docker'), { recursive: true });
  await writeFile(
    folder('home', '.docker', 'config.json'),
    JSON.stringify({ auths: { [host]: entry(SECRETS.stored), 'other.example.com': entry(SECRETS.stored) } }),
  );
  return {
    HOME: home,
    DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { 'inline.example.com': entry(SECRETS.inline) } }),
  };
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Failure {
  readonly exitCode: number;
  readonly code: string;
  /** Parts of the message. */
  readonly says: readonly string[];
  readonly hint?: string;
  /** Sets the scene and gives the command line, and the host that credentials are stored for. */
  readonly make: () => Promise<{ words: string; argv: string[]; host?: string; stdin?: string }>;
}

async function archive(): Promise<string> {
  await writeDockerArchive(folder('a.tar'), [await makeImage({ seed: 'errors', names: ['app:1'] })]);
  return folder('a.tar');
}

const FAILURES: Record<string, Failure> = {
  'wrong password': {
    exitCode: 77,
    code: 'AUTHENTICATION_FAILED',
    says: ['answered 401'],
    hint: 'regops login',
    make: async () => {
      const registry = await openRegistry({ auth: { username: 'ci', password: 'another-one' } });
      const argv = [await archive(), '--registry-url', registry.url, '-u', 'ci', '--password-stdin'];
      return { words: 'push-tar', argv, host: registry.name, stdin: SECRETS.password };
    },
  },
  'wrong password at a token service': {
    exitCode: 77,
    code: 'AUTHENTICATION_FAILED',
    says: ['401'],
    hint: 'regops login',
    make: async () => {
      const registry = await openRegistry({
        auth: { username: 'ci', password: 'another-one' },
        tokenAuth: true,
      });
      const argv = [`${registry.name}/app:1`, '-u', 'ci', '--password', SECRETS.password];
      return { words: 'inspect', argv, host: registry.name };
    },
  },
  'wrong stored password': {
    exitCode: 77,
    code: 'AUTHENTICATION_FAILED',
    says: ['answered 401'],
    make: async () => {
      const registry = await openRegistry({ auth: { username: 'ci', password: 'another-one' } });
      return { words: 'inspect', argv: [`${registry.name}/app:1`], host: registry.name };
    },
  },
  'unknown CA': {
    exitCode: 69,
    code: 'TLS_UNTRUSTED',
    says: ['unknown certificate authority'],
    hint: '--ca-file',
    make: async () => {
      const registry = await openRegistry({ tls: true });
      return {
        words: 'inspect',
        argv: [`${registry.name}/app:1`, '--password', SECRETS.password, '-u', 'ci'],
      };
    },
  },
  'closed port': {
    exitCode: 69,
    code: 'CONNECTION_FAILED',
    says: ['connection refused'],
    make: async () => {
      const argv = [await archive(), '--registry-url', `http://127.0.0.1:${await closedPort()}`];
      return { words: 'push-tar', argv: [...argv, '--retries', '0', '--token', SECRETS.token] };
    },
  },
  'missing file': {
    exitCode: 66,
    code: 'FILE_NOT_FOUND',
    says: ['nowhere.tar: no such file or folder'],
    make: async () => ({
      words: 'push-tar',
      argv: [folder('nowhere.tar'), '--to', 'registry.example.com/app:1', '--token', SECRETS.token],
    }),
  },
  'broken tar': {
    exitCode: 65,
    code: 'ARCHIVE_INVALID',
    says: ['broken.tar'],
    make: async () => {
      await writeFile(folder('broken.tar'), Buffer.alloc(4096, 'no tar at all '));
      return { words: 'push-tar', argv: [folder('broken.tar'), '--to', 'registry.example.com/app:1'] };
    },
  },
  'tar without an image': {
    exitCode: 65,
    code: 'ARCHIVE_INVALID',
    says: ['it is empty'],
    make: async () => {
      await writeFile(folder('empty.tar'), Buffer.alloc(10_240));
      return { words: 'inspect', argv: [folder('empty.tar')] };
    },
  },
  'unknown tag': {
    exitCode: 66,
    code: 'MANIFEST_NOT_FOUND',
    says: ['app:none', 'answered 404'],
    make: async () => {
      const registry = await openRegistry();
      await pushImage(registry, 'app', '1');
      return { words: 'inspect', argv: [`${registry.name}/app:none`], host: registry.name };
    },
  },
  'unknown repository': {
    exitCode: 66,
    code: 'REPOSITORY_NOT_FOUND',
    says: ['none/such', 'answered 404'],
    make: async () => {
      const registry = await openRegistry();
      return { words: 'inspect', argv: ['--registry-url', registry.url, '--repository', 'none/such'] };
    },
  },
  'bad flag': {
    exitCode: 64,
    code: 'USAGE',
    says: ['unknown flag --regstry-url'],
    hint: 'Did you mean --registry-url?',
    make: async () => ({
      words: 'push-tar',
      argv: ['a.tar', '--regstry-url', 'x', `--token=${SECRETS.token}`],
    }),
  },
  'bad value': {
    exitCode: 64,
    code: 'USAGE',
    says: ["--timeout: invalid duration 'soon'"],
    hint: 'Write it like 30s',
    make: async () => ({
      words: 'inspect',
      argv: ['registry.example.com/app', '--timeout', 'soon', '--token', SECRETS.token],
    }),
  },
  'credentials in the URL': {
    exitCode: 64,
    code: 'USAGE',
    says: ['must not hold a user name or password'],
    hint: '--password-stdin',
    make: async () => ({
      words: 'inspect',
      argv: ['--registry-url', `https://ci:${SECRETS.url}@registry.example.com`],
    }),
  },
  'missing certificate file': {
    exitCode: 78,
    code: 'TLS_CONFIG_INVALID',
    says: ['no-ca.pem: no such file'],
    make: async () => ({
      words: 'inspect',
      argv: ['registry.example.com/app:1', '--ca-file', folder('no-ca.pem'), '--token', SECRETS.token],
    }),
  },
};

async function fail(failure: Failure, more: string[] = [], tty?: number): Promise<RunResult> {
  const { words, argv, host, stdin } = await failure.make();
  return runCommand(words, [...argv, ...more], {
    env: await environment(host ?? 'nobody.example.com'),
    ...(stdin === undefined ? {} : { stdin }),
    ...(tty === undefined ? {} : { tty }),
  });
}

describe.each(Object.entries(FAILURES))('%s', (_, failure) => {
  test('as text: one clear line on stderr, nothing on stdout', async () => {
    const run = ended(failure.exitCode, await fail(failure));
    expect(run.stdout).toBe('');
    const lines = run.stderr.trimEnd().split('\n');
    const errors = lines.filter((line) => line.startsWith('error: '));
    expect(errors).toHaveLength(1);
    for (const part of failure.says) expect(errors[0]).toContain(part);
    if (failure.hint)
      expect(lines.some((line) => line.startsWith('hint: ') && line.includes(failure.hint as string))).toBe(
        true,
      );
    expect(run.stderr).not.toMatch(/^\s+at |node:internal|\.ts:\d/m);
    expectNoSecret(run.stdout, run.stderr);
  });

  test('on a terminal: the same, in red', async () => {
    const run = ended(failure.exitCode, await fail(failure, [], 80));
    // At most a sum of how far it came.
    expect(run.stdout).toMatch(/^(0 tags, .*\n)?$/);
    const line = run.stderr.split('\n').find((one) => one.includes('\u001b[31merror:\u001b[39m '));
    for (const part of failure.says) expect(line).toContain(part);
    expectNoSecret(run.stderr);
  });

  test('as JSON: the same in the answer', async () => {
    const run = ended(failure.exitCode, await fail(failure, ['--json']));
    const answer = run.json();
    expect(answer).toMatchObject({ ok: false, exitCode: failure.exitCode, error: { code: failure.code } });
    for (const part of failure.says) expect(answer.error.message).toContain(part);
    if (failure.hint) expect(answer.error.hints.join('\n')).toContain(failure.hint);
    expectNoSecret(run.stdout, run.stderr);
  });

  test('under -v and in the log file there is more, and still no secret', async () => {
    const run = ended(failure.exitCode, await fail(failure, ['-v', '--log-file', folder('log')]));
    const log = await readFile(folder('log'), 'utf8').catch(() => '');
    expectNoSecret(run.stdout, run.stderr, log);
    if (failure.exitCode !== 64) expect(log).toContain(` error ${failure.code} `);
  });
});

test('a server that repeats all it is sent tells no secret through us', async () => {
  const registry = await openRegistry();
  const front = await openFront(registry, (request, response) => {
    const header = request.headers.authorization ?? '';
    const sent = header.replace(/^\w+ /, '');
    const plain = header.startsWith('Basic') ? Buffer.from(sent, 'base64').toString() : sent;
    response.writeHead(header ? 400 : 401, {
      'www-authenticate': 'Basic realm="echo"',
      'content-type': 'application/json',
      warning: `299 - "you sent ${plain}"`,
    });
    const message = `you are ${plain}, also known as ${header} (${sent})`;
    response.end(JSON.stringify({ errors: [{ code: 'DENIED', message, detail: { plain, header } }] }));
    return true;
  });
  const reference = `${front.host}/app:1`;
  const ways: [string[], { stdin?: string; env?: Record<string, string> }][] = [
    [['-u', 'ci', '--password', SECRETS.password], {}],
    [['-u', 'ci', '--password-stdin'], { stdin: `${SECRETS.password}\n` }],
    [[], { env: { REGOPS_USERNAME: 'ci', REGOPS_PASSWORD: SECRETS.password } }],
    [[], { env: await environment(front.host) }],
    [['--token', SECRETS.token], {}],
  ];
  for (const [flags, options] of ways) {
    for (const form of [[], ['--json'], ['-v', '--log-file', folder('echo.log')]]) {
      const run = await runCommand('inspect', [reference, ...flags, ...form], options);
      expect(run.exitCode).not.toBe(0);
      expect(run.stdout + run.stderr).toContain('you are');
      expectNoSecret(run.stdout, run.stderr);
    }
  }
  expectNoSecret(await readFile(folder('echo.log'), 'utf8'));
});

test('what a registry writes cannot command a terminal', async () => {
  const registry = await openRegistry();
  const front = await openFront(registry, (_, response) => {
    response.writeHead(400, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ errors: [{ code: 'DENIED', message: '\u001b]0;owned\u0007\u202etxt' }] }));
    return true;
  });
  const run = await runCommand('inspect', [`${front.host}/app:1`, '-v']);
  expect(run.stderr).toContain('\\x1b]0;owned\\x07\\u{202e}txt');
  expect(run.stdout + run.stderr).not.toMatch(/[\u001b\u0007\u202e]/);
});

describe('credentials of the command line belong to one registry', () => {
  test('two registries and one password are a usage error', async () => {
    const [one, two] = [await openRegistry(), await openRegistry()];
    const argv = [`${one.name}/a:1`, `${two.name}/a:1`, '-u', 'ci', '--password', SECRETS.password];
    await pushImage(one, 'a', '1');
    const run = ended(64, await runCommand('inspect', argv));
    expect(run.stderr).toContain('credentials were given, but there are two registries');
    expect(two.requests).toEqual([]);
    expectNoSecret(run.stdout, run.stderr);
  });

  test('those for --registry-url go nowhere else', async () => {
    const auth = { username: 'ci', password: SECRETS.password };
    const [named, other] = [await openRegistry({ auth }), await openRegistry({ auth })];
    const headers = { authorization: `Basic ${Buffer.from(`ci:${SECRETS.password}`).toString('base64')}` };
    await pushImage(named, 'a', '1', {}, { headers });
    await pushImage(other, 'a', '1', {}, { headers });
    const flags = ['--registry-url', named.url, '-u', 'ci', '--password', SECRETS.password];
    ended(0, await runCommand('inspect', ['a:1', ...flags]));
    const before = other.requests.length;
    ended(77, await runCommand('inspect', [`${other.name}/a:1`, ...flags]));
    expect(other.requests.slice(before).every(({ status }) => status === 401)).toBe(true);
  });
});

describe('standard input is read once', () => {
  test.each([
    ['two archives', ['push-tar', '-', '-', '--to', 'localhost:1/a:1']],
    [
      'an archive and a password',
      ['push-tar', '-', '--to', 'localhost:1/a:1', '-u', 'ci', '--password-stdin'],
    ],
    ['two archives to inspect', ['inspect', '-', '-']],
  ])('%s are a usage error', async (_what, [command = '', ...argv]) => {
    const run = ended(64, await runCommand(command, argv, { stdin: 'x' }));
    expect(run.stderr).toContain('standard input is asked for more than once');
  });

  test('--referrers is not for archives', async () => {
    ended(64, await runCommand('inspect', ['./x.tar', '--referrers']));
  });
});
