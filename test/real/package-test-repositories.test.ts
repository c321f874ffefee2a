import { readdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { extract } from 'tar-stream';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { parseTestRepository, type TestRepository } from '../../src/alts/index.ts';
import { type FetchOptions, fetchTests } from '../../src/cli/test-repositories.ts';
import { type GitDaemon, startGitDaemon } from '../support/servers/git-daemon.ts';
import { temporaryFolder } from '../support/servers/processes.ts';
import { requireServers } from '../support/servers/requirements.ts';

// Third-party tests come from repositories of strangers, by the real git, over its real protocols.
const describeReal = requireServers('git');

describeReal('fetchTests', () => {
  let daemon: GitDaemon;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let first: string;
  let second: string;

  beforeAll(async () => {
    daemon = await startGitDaemon();
    first = await daemon.commit('tests', {
      'curl/one.sh': 'echo one\n',
      'curl/two.bats': '@test "two" { true; }\n',
      'curl/three.yml': '- hosts: all\n',
      'curl/README.md': 'no test\n',
      'curl/deeper/four.sh': 'exit 1\n',
      'library/common': 'common\n',
      // What an archive leaves out by its own word is a test all the same.
      '.gitattributes': 'curl export-ignore\n*.sh export-subst\n',
      'empty/README.md': 'nothing\n',
    });
    await daemon.git('tests', 'tag', 'v1');
    second = await daemon.commit('tests', { 'curl/later.sh': 'echo $Format:%H$\n' });
    await daemon.git('tests', 'branch', 'team/topic', 'v1');
  });
  afterAll(() => daemon?.close());
  beforeEach(async () => {
    folder = await temporaryFolder('fetch-tests');
    vi.stubEnv('TMPDIR', folder.path);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    // Whatever happened, nothing is left.
    expect((await readdir(folder.path)).filter((name) => name.startsWith('regops-tests-'))).toEqual([]);
    await folder.remove();
  });

  const OWN: FetchOptions = {
    environment: { PATH: process.env['PATH'], HOME: '/nonexistent' },
    signal: new AbortController().signal,
    timeoutMs: 30_000,
    foreign: false,
  };

  async function fetched(repository: TestRepository, options: Partial<FetchOptions> = {}) {
    const { tests, remove } = await fetchTests(repository, { ...OWN, ...options });
    onTestFinished(remove);
    const files: Record<string, string> = {};
    const archive = tests.archive().pipe(extract());
    for await (const entry of archive) files[entry.header.name] = (await buffer(entry)).toString();
    await remove();
    return { ...tests, files };
  }

  const at = (rest: string): TestRepository => parseTestRepository(`${daemon.url}/tests/.git#${rest}`);

  test.each([false, true])(
    'finds the tests of a directory, with all that lies beside (foreign: %s)',
    async (foreign) => {
      const { name, scripts, leftOut, files } = await fetched(at('curl'), { foreign });
      expect(name).toBe(`${daemon.url}/tests/.git#curl`);
      expect(scripts).toEqual(['curl/later.sh', 'curl/one.sh', 'curl/two.bats']);
      expect(leftOut).toEqual(['three.yml']);
      expect(files).toMatchObject({
        'curl/one.sh': 'echo one\n',
        'curl/deeper/four.sh': 'exit 1\n',
        'library/common': 'common\n',
        'curl/later.sh': 'echo $Format:%H$\n',
      });
    },
  );

  test('a branch, a tag, a commit, and only the tests that were named', async () => {
    const older = ['curl/one.sh', 'curl/two.bats'];
    for (const ref of ['v1', 'team/topic', first]) {
      expect((await fetched(at(`./curl/@${ref}`))).scripts).toEqual(older);
    }
    expect((await fetched(at(`curl@${second}`))).scripts).toHaveLength(3);
    const named = { ...at('curl'), tests: ['two.bats', 'three.yml'] };
    expect(await fetched(named)).toMatchObject({ scripts: ['curl/two.bats'], leftOut: ['three.yml'] });
  });

  test.each([
    ['curl@nowhere', 'REPOSITORY_NOT_FOUND', /couldn't find remote ref nowhere/],
    ['empty', 'INPUT_INVALID', /has no \.sh or \.bats file there/],
    ['nowhere', 'INPUT_INVALID', /has no \.sh or \.bats file there/],
  ])('%s: %s', async (rest, code, message) => {
    await expect(fetchTests(at(rest), OWN)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test('a test that is not there is no passed test', async () => {
    await expect(fetchTests({ ...at('curl'), tests: ['one.sh', 'no.sh'] }, OWN)).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('has no test no.sh'),
    });
  });

  test('a repository that is not there, a host that is not there, no git', async () => {
    const missing = parseTestRepository(`${daemon.url}/nowhere/.git#curl`);
    await expect(fetchTests(missing, OWN)).rejects.toMatchObject({ code: 'REPOSITORY_NOT_FOUND' });
    const closed = parseTestRepository('git://127.0.0.1:1/tests.git#curl');
    await expect(fetchTests(closed, OWN)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    const noGit = { ...OWN, environment: { PATH: folder.path } };
    await expect(fetchTests(at('curl'), noGit)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test('a repository that the environment names is not meant', async () => {
    const environment = { ...OWN.environment, GIT_DIR: '/nonexistent', GIT_INDEX_FILE: '/nonexistent' };
    expect((await fetched(at('curl'), { environment })).scripts).toHaveLength(3);
  });

  test.each(['file:///etc', 'ext::sh -c true', '-u./x', 'ssh://-oProxyCommand=x/y', 'https://-x@host/y'])(
    '%s is no URL of a repository',
    (url) => {
      expect(() => parseTestRepository(`${url}#curl`)).toThrow(/invalid URL/);
    },
  );

  /** A web server that wants to know who asks. */
  async function startAsking(): Promise<{ server: Server; url: string; asked: (string | undefined)[] }> {
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.headers.authorization);
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    return { server, url: `http://127.0.0.1:${port}/tests.git#curl`, asked };
  }

  test("nobody is asked for a password, and the user's own serve only the user", async () => {
    const { url, asked } = await startAsking();
    const { port } = new URL(url);
    await writeFile(
      join(folder.path, '.gitconfig'),
      `[credential]\n  helper = "!f() { echo username=me; echo password=GEHEIM; }; f"\n`,
    );
    await writeFile(join(folder.path, '.netrc'), `machine 127.0.0.1 login net password GEHEIM\n`);
    const environment = {
      ...OWN.environment,
      HOME: folder.path,
      GIT_CONFIG_GLOBAL: join(folder.path, '.gitconfig'),
    };
    const denied = { code: 'AUTHENTICATION_FAILED' };
    await expect(
      fetchTests(parseTestRepository(url), { ...OWN, environment, foreign: true }),
    ).rejects.toMatchObject(denied);
    expect(asked.filter(Boolean)).toEqual([]);
    await expect(fetchTests(parseTestRepository(url), { ...OWN, environment })).rejects.toMatchObject(denied);
    expect(asked.filter(Boolean)).not.toEqual([]);
    const known = parseTestRepository(`http://me:GEHEIM@127.0.0.1:${port}/tests.git#curl`);
    const error = await fetchTests(known, { ...OWN, foreign: true }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject(denied);
    expect(String(error)).not.toContain('GEHEIM');
  });

  test("a stranger does not get at the user's keys", async () => {
    const marker = join(folder.path, 'ssh-was-run');
    const environment = { ...OWN.environment, GIT_SSH_COMMAND: `touch ${marker}; false` };
    const repository = parseTestRepository('ssh://127.0.0.1/tests.git#curl');
    await expect(fetchTests(repository, { ...OWN, environment, foreign: true })).rejects.toMatchObject({
      message: expect.stringContaining("transport 'ssh' not allowed"),
    });
    expect(await readdir(folder.path)).not.toContain('ssh-was-run');
    await expect(fetchTests(repository, { ...OWN, environment })).rejects.toThrow();
    expect(await readdir(folder.path)).toContain('ssh-was-run');
  });

  test('a server that never answers is given up, and so is one when the command is interrupted', async () => {
    const silent = createTcpServer(() => {});
    const connected = new Promise<void>((resolve) => silent.once('connection', () => resolve()));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void silent.close());
    const repository = parseTestRepository(
      `git://127.0.0.1:${(silent.address() as AddressInfo).port}/x.git#curl`,
    );
    await expect(fetchTests(repository, { ...OWN, timeoutMs: 500 })).rejects.toMatchObject({
      code: 'TIMED_OUT',
    });
    await connected;
    const interruption = new AbortController();
    silent.once('connection', () => interruption.abort());
    await expect(fetchTests(repository, { ...OWN, signal: interruption.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
  });
});
