/** Third-party tests that lie in git repositories: fetched by the git program, and never checked out on this machine. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { TestRepository } from '../alts/index.ts';
import {
  counted,
  type ErrorCode,
  escapeText,
  messageOf,
  RegopsError,
  redactText,
  redactUrl,
} from '../base/index.ts';
import type { TestFolder } from '../jobs/package-test/run/index.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface FetchOptions {
  readonly environment: Environment;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Whoever asks is not who runs this: then none of the user's settings, keys and passwords are used. */
  readonly foreign: boolean;
}

/** Tests that were fetched; they are there until they are removed. */
export interface FetchedTests {
  readonly tests: TestFolder;
  remove(): Promise<void>;
}

const MOST_FILES = 20_000;
const MOST_BYTES = 256 * 1024 * 1024;
const MOST_SCRIPTS = 500;
const MOST_LISTING = 16 * 1024 * 1024;
const MOST_COMPLAINTS = 8 * 1024;

/** Ends git with a signal when a file of it (the pack of all that it fetched) grows beyond; in blocks of 512 bytes. */
const LIMITED = `ulimit -f ${(2 * MOST_BYTES) / 512} && exec git "$@"`;

/** The protocols of `--test-repo`; ssh would be with the keys of whoever runs this. */
const PROTOCOLS = { own: 'https:http:ssh:git', foreign: 'https:http:git' };
/** All that git is told of the machine when somebody else asks. */
const FOREIGN_VARIABLES = /^(?:PATH|TMPDIR|SSL_CERT_(?:FILE|DIR)|(?:https?|all|no)_proxy)$/i;
/** Which settings, and how to connect. Others (GIT_DIR, which is set in hooks) would name another repository. */
const OWN_VARIABLES = /^(?!GIT_)|^GIT_(?:SSH|SSL_|HTTP_|PROXY_|CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM)$)/;

/**
 * Fetches one commit of a repository, without its history, and finds the tests of a directory: its `.sh` and `.bats`
 * files, not those of folders in it, as ALTS does. Nobody is asked for a password.
 *
 * @throws REPOSITORY_NOT_FOUND, AUTHENTICATION_FAILED, NAME_NOT_RESOLVED, CONNECTION_FAILED, TIMED_OUT; INPUT_INVALID for
 * a directory without tests and for a repository that is too large; CONFIG_INVALID when there is no git
 */
export async function fetchTests(repository: TestRepository, options: FetchOptions): Promise<FetchedTests> {
  const { url, directory, ref } = repository;
  const name = `${redactUrl(url)}#${directory}${ref === undefined ? '' : `@${ref}`}`;
  const folder = await mkdtemp(join(tmpdir(), 'regops-tests-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const git = gitIn(folder, name, options);
    await git.run(['init', '--quiet', '--bare', '--template=', folder]);
    await mkdir(join(folder, 'info'), { recursive: true });
    // Many repositories leave their tests out of archives.
    await writeFile(join(folder, 'info/attributes'), '* -export-ignore -export-subst\n');
    await git.run([
      'fetch',
      '--quiet',
      '--depth=1',
      '--no-tags',
      '--no-recurse-submodules',
      '--',
      url,
      ref ?? 'HEAD',
    ]);
    const tree = (await git.run(['rev-parse', '--verify', '--end-of-options', 'FETCH_HEAD^{tree}'])).trim();
    const listing = await git.run(['ls-tree', '-r', '-z', '-l', '--full-tree', tree]);
    const found = findTests(parseListing(listing, name), repository, name);
    return { tests: { name, ...found, archive: () => git.open(['archive', '--format=tar', tree]) }, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Reads `git ls-tree -r -z -l`, and gives the paths of all files. Throws INPUT_INVALID for too much. */
export function parseListing(listing: string, name: string): string[] {
  let bytes = 0;
  const paths = listing
    .split('\0')
    .filter((entry) => entry !== '')
    .map((entry) => {
      // MODE TYPE OBJECT SIZE TAB PATH; a submodule has no size.
      const [, size = '-', path = ''] = /^\d+ \w+ [0-9a-f]+ +(\d+|-)\t(.*)$/s.exec(entry) ?? [];
      bytes += size === '-' ? 0 : Number(size);
      return path;
    });
  if (paths.length > MOST_FILES || bytes > MOST_BYTES) {
    throw new RegopsError('INPUT_INVALID', `the test repository ${name} is too large`, {
      hints: [`It may have ${MOST_FILES} files of ${MOST_BYTES / 1024 / 1024} MiB altogether.`],
    });
  }
  return paths;
}

/** The tests of a directory among all paths of a repository, in the order of their names. Throws INPUT_INVALID. Pure. */
export function findTests(
  paths: readonly string[],
  { directory, tests = [] }: Pick<TestRepository, 'directory' | 'tests'>,
  name: string,
): Pick<TestFolder, 'scripts' | 'leftOut'> {
  const parts = directory.split('/').filter((part) => part !== '' && part !== '.');
  const prefix = parts.map((part) => `${part}/`).join('');
  const files = paths
    .filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
    .map((path) => path.slice(prefix.length))
    // Names go into stages, logs and messages.
    .filter((file) => /^[ -~]{1,200}$/.test(file));
  const invalid = (why: string): RegopsError =>
    new RegopsError('INPUT_INVALID', `the test repository ${name} ${why}`);
  const missing = tests.find((test) => !files.includes(test));
  if (missing !== undefined) throw invalid(`has no test ${escapeText(missing)}`);
  const wanted = files.filter((file) => tests.length === 0 || tests.includes(file)).sort();
  const scripts = wanted.filter((file) => /\.(?:sh|bats)$/.test(file));
  const leftOut = wanted.filter(
    (file) => /\.(?:ya?ml|py)$/.test(file) || (tests.includes(file) && !scripts.includes(file)),
  );
  if (scripts.length === 0) throw invalid('has no .sh or .bats file there');
  if (scripts.length > MOST_SCRIPTS) throw invalid(`has ${counted(scripts.length, 'test')} there`);
  return { scripts: scripts.map((script) => `${prefix}${script}`), leftOut };
}

interface Git {
  /** Runs it and gives its output. */
  run(args: readonly string[]): Promise<string>;
  /** Runs it and gives its output as it comes; that it fails is the stream's error. */
  open(args: readonly string[]): Readable;
}

function gitIn(folder: string, name: string, { environment, signal, timeoutMs, foreign }: FetchOptions): Git {
  const env = gitEnvironment(environment, folder, foreign);
  const start = (args: readonly string[]) => {
    // In a session of its own: what it starts ends with it, and has no terminal to ask for a password on.
    const child = spawn(
      '/bin/sh',
      ['-c', LIMITED, 'sh', '-c', 'fetch.unpackLimit=1', '-c', 'gc.auto=0', ...args],
      {
        cwd: folder,
        env,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let complaints = '';
    child.stderr.on('data', (chunk: Buffer) => {
      complaints = (complaints + chunk.toString('utf8')).slice(-MOST_COMPLAINTS);
    });
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    };
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    limit.addEventListener('abort', kill, { once: true });
    if (limit.aborted) kill();
    const done = new Promise<void>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new RegopsError('IO_FAILED', `cannot start git: ${messageOf(error)}`)),
      );
      child.once('close', (code, ended) => {
        limit.removeEventListener('abort', kill);
        if (signal.aborted) reject(new RegopsError('INTERRUPTED', 'interrupted'));
        else if (limit.aborted)
          reject(
            new RegopsError(
              'TIMED_OUT',
              `the test repository ${name}: git did not end within ${timeoutMs / 1000} s`,
            ),
          );
        else if (code === 0) resolve();
        else reject(gitError(name, complaints, ended ?? `exit code ${code}`));
      });
    });
    return { child, done, kill };
  };
  return {
    async run(args) {
      const { child, done, kill } = start(args);
      const chunks: Buffer[] = [];
      let length = 0;
      child.stdout.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > MOST_LISTING) kill();
        else chunks.push(chunk);
      });
      try {
        await done;
      } catch (error) {
        if (length <= MOST_LISTING) throw error;
        throw new RegopsError('INPUT_INVALID', `the test repository ${name} is too large`, { cause: error });
      }
      return Buffer.concat(chunks).toString('utf8');
    },
    open(args) {
      const { child, done, kill } = start(args);
      // A failure is only known when all output has been read.
      done.catch(() => {});
      async function* output(): AsyncGenerator<Buffer> {
        try {
          yield* child.stdout;
          await done;
        } finally {
          kill();
        }
      }
      return Readable.from(output(), { objectMode: false });
    },
  };
}

/** No prompts, no protocols but these; and of the user's own surroundings what git may know. */
function gitEnvironment(environment: Environment, folder: string, foreign: boolean): NodeJS.ProcessEnv {
  const known = foreign ? FOREIGN_VARIABLES : OWN_VARIABLES;
  return {
    ...Object.fromEntries(Object.entries(environment).filter(([name]) => known.test(name))),
    ...(foreign
      ? { HOME: folder, XDG_CONFIG_HOME: folder, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }
      : {}),
    LC_ALL: 'C',
    GIT_ALLOW_PROTOCOL: foreign ? PROTOCOLS.foreign : PROTOCOLS.own,
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '',
    SSH_ASKPASS_REQUIRE: 'never',
  };
}

/** What git's words mean, the first that fits. */
const COMPLAINTS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/git: (?:command )?not found/, 'CONFIG_INVALID'],
  [
    /couldn't find remote ref|not our ref|repository .*not found|repository not exported|does not appear to be a git repository/i,
    'REPOSITORY_NOT_FOUND',
  ],
  [
    /authentication failed|could not read (?:username|password)|permission denied|error: 40[13]/i,
    'AUTHENTICATION_FAILED',
  ],
  [/could not resolve host|unable to look up/i, 'NAME_NOT_RESOLVED'],
  [/SIGXFSZ|died of signal 25|file too large/i, 'INPUT_INVALID'],
];

function gitError(name: string, complaints: string, ended: string): RegopsError {
  const lines = complaints.split('\n').filter((line) => line.trim() !== '');
  const begin = lines.findIndex((one) => /^(?:fatal|error|sh|\/bin\/sh|ssh): /.test(one));
  // Some go on in the next line.
  const words = lines.slice(begin).join(' ');
  const said = words === '' ? `git ended with ${ended}` : escapeText(redactText(words)).slice(0, 300);
  const code =
    COMPLAINTS.find(([pattern]) => pattern.test(`${complaints}\n${ended}`))?.[1] ?? 'CONNECTION_FAILED';
  return new RegopsError(code, `the test repository ${name} cannot be fetched: ${said}`, {
    hints:
      code === 'CONFIG_INVALID' ? ['Tests in repositories are fetched by the git program: install it.'] : [],
  });
}
