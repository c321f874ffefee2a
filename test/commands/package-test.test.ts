import { createHmac } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../../src/base/index.ts';
import { startTestbed, type Testbed, type TestbedOptions } from '../../src/testbed/index.ts';
import { freePort } from '../support/free-port.ts';
import { type RunOptions, type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { parseXml } from '../support/xml.ts';
import { ended } from './support.ts';

const SECRET = 'a-secret-of-the-scheduler';
const folder = useTempFolder();

/** A token made by hand: what the program makes and the testbed checks shares no code with it. */
function token(claims: object, secret = SECRET, algorithm: 'HS256' | 'HS384' | 'HS512' = 'HS256'): string {
  const encoded = [{ alg: algorithm, typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signed = encoded.join('.');
  const hash = algorithm.replace('HS', 'sha');
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`;
}

/** Lets time fly, for the program and the testbed alike: polling every 5 s takes no minutes. */
function hurry(factor = 200): void {
  const { now, sleep } = systemClock;
  const began = now();
  const nowSpy = vi.spyOn(systemClock, 'now').mockImplementation(() => began + (now() - began) * factor);
  const sleepSpy = vi
    .spyOn(systemClock, 'sleep')
    .mockImplementation((ms, signal) => sleep(ms / factor, signal));
  onTestFinished(() => {
    nowSpy.mockRestore();
    sleepSpy.mockRestore();
  });
}

async function openScheduler(options: TestbedOptions = {}): Promise<Testbed> {
  const testbed = await startTestbed({ ...options, alts: { secret: SECRET, ...options.alts } });
  onTestFinished(() => testbed.close());
  return testbed;
}

function run(
  words: string,
  argv: readonly string[],
  { env, ...options }: RunOptions = {},
): Promise<RunResult> {
  return runCommand(`package-test ${words}`, argv, {
    ...options,
    env: {
      XDG_STATE_HOME: folder('state'),
      REGOPS_ALTS_TOKEN: token({ email: 'me@example.com' }),
      ...env,
    },
  });
}

const ON_DEBIAN = ['--dist', 'debian:12', '--arch', 'amd64'];
const at = ({ url }: Testbed): string[] => ['--scheduler-url', url];

describe('submit', () => {
  test('gives the ids, one a line, and remembers them for list and wait', async () => {
    hurry();
    const scheduler = await openScheduler();
    const submitted = ended(0, await run('submit', ['curl', 'jq=1.6-2.1', ...ON_DEBIAN, ...at(scheduler)]));
    const ids = submitted.stdout.trimEnd().split('\n');
    expect(ids).toHaveLength(2);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);

    const files = await readdir(folder('state', 'regops', 'package-tests'));
    expect(files.toSorted()).toEqual(ids.map((id) => `${id}.json`).toSorted());
    for (const file of files) {
      const { mode } = await stat(folder('state', 'regops', 'package-tests', file));
      expect(mode & 0o777).toBe(0o600);
    }
    const listed = ended(0, await run('list', ['--json'])).json().result.tasks;
    expect(listed.map(({ id }: { id: string }) => id).toSorted()).toEqual(ids.toSorted());
    expect(listed).toContainEqual(
      expect.objectContaining({ package: 'jq', version: '1.6-2.1', distribution: 'debian:12' }),
    );

    const waited = ended(0, await run('wait', ['--json'])).json().result;
    expect(waited.scheduler).toBe(`${scheduler.url}/`);
    expect(waited.tasks.map((task: { verdict: { outcome: string } }) => task.verdict.outcome)).toEqual([
      'passed',
      'passed',
    ]);
    expect(ended(0, await run('list', ['--unfinished', '--json'])).json().result.tasks).toEqual([]);
  });

  test('--wait takes a matrix of twenty to its end, and says which failed, where and why', async () => {
    hurry();
    const scheduler = await openScheduler();
    await writeFile(
      folder('matrix.yaml'),
      `packages: [curl, jq, bash=5.2, lib-fails-install, tool-fails-tests]
distributions: ["debian:12", "ubuntu:22.04"]
architectures: [amd64, arm64]
repositories: ["mine=deb https://user:hidden-word@packages.example.com/debian bookworm main"]
`,
    );
    const argv = ['--matrix', folder('matrix.yaml'), '--wait', ...at(scheduler)];
    const { tasks } = ended(1, await run('submit', [...argv, '--json'])).json().result;
    expect(tasks).toHaveLength(20);
    const outcomes = Map.groupBy(tasks, (task: { package: string; verdict: { outcome: string } }) => {
      return `${task.package} ${task.verdict.outcome}`;
    });
    expect([...outcomes].map(([name, members]) => `${members.length} ${name}`)).toEqual([
      '4 curl passed',
      '4 jq passed',
      '4 bash passed',
      '4 lib-fails-install failed',
      '4 tool-fails-tests failed',
    ]);

    const junit = await run('submit', [...argv, '--format', 'junit']);
    const suites = parseXml(ended(1, junit).stdout);
    expect(JSON.stringify(suites)).toContain('Unable to locate package lib-fails-install');
    expect(junit.stdout).toContain('tests/package_integrity_tests: 2 files');
    expect(junit.stdout.match(/<testsuite /g)).toHaveLength(20);
    expect(junit.stdout + junit.stderr).not.toContain('hidden-word');
  });

  test.each([
    ['-fails-start', 69, 'infrastructure', 'no space left on device'],
    ['-fails-provision', 69, 'infrastructure', 'cannot reach the mirror'],
    ['-fails-script', 1, 'failed', '1 of 2 tests failed: answers'],
    ['-fails-uninstall', 1, 'failed', 'prerm: command failed'],
    ['-dies', 69, 'infrastructure', 'the worker failed; the scheduler does not say why'],
    ['-returns-nothing', 69, 'incomplete', 'the worker returned no result'],
    ['-revoked', 69, 'revoked', 'called off'],
    ['-skipped', 0, 'passed', ''],
    ['-unrecorded', 0, 'passed', 'could not write it down'],
    ['-stays-pending', 75, 'timeout', 'still PENDING'],
    ['-hangs', 75, 'timeout', 'its last state was STARTED'],
    ['-forgotten', 69, 'lost', 'no longer knows it'],
  ])('a package named tool%s ends with %i: %s', async (ending, exitCode, outcome, said) => {
    hurry(500);
    // Only what was seen at work is known to be lost.
    const scheduler = await openScheduler({ alts: { taskMs: outcome === 'lost' ? 1_000_000 : 8000 } });
    const wanted = [`tool${ending}`, '--test-repo', 'https://git.example.com/t.git#smoke', '--wait'];
    const timeout = ['--timeout', outcome === 'timeout' ? '30m' : '10h'];
    const argv = [...wanted, ...ON_DEBIAN, ...at(scheduler), ...timeout];
    const answer = await run('submit', [...argv, '--json']);
    const json = ended(exitCode, answer).json();
    expect(json.result.tasks[0].verdict.outcome).toBe(outcome);
    expect(answer.stdout).toContain(said);
    if (exitCode === 75) {
      expect(json.error.hints.join()).toContain(`package-test wait ${json.result.tasks[0].id}`);
    }
  });

  test('gives up sooner what was never anything but PENDING, if that is wanted', async () => {
    hurry(500);
    const scheduler = await openScheduler();
    const argv = ['x-stays-pending', ...ON_DEBIAN, ...at(scheduler), '--wait', '--pending-timeout', '1m'];
    const { result } = ended(69, await run('submit', [...argv, '--json'])).json();
    expect(result.tasks[0].verdict).toMatchObject({ outcome: 'lost' });
  });

  test('third-party tests with their variables, and a callback, in the fields that ALTS reads', async () => {
    const scheduler = await openScheduler();
    const argv = ['curl', ...ON_DEBIAN, ...at(scheduler), '--dry-run', '--json'].concat(
      ['--test-repo', 'https://me:hidden-word@git.example.com/tests.git#curl/basic@v1'],
      ['--test-repo', 'https://git.example.com/more#curl'],
      ['--test-env', 'MODE=full', '--test-env', 'API_TOKEN=hidden-word'],
    );
    const answer = ended(0, await run('submit', [...argv, '--callback', '/api/v1/tests/7/']));
    const [payload] = answer.json().result.payloads;
    expect(payload).toMatchObject({
      callback_href: '/api/v1/tests/7/',
      test_configuration: {
        tests: [
          {
            url: 'https://REDACTED@git.example.com/tests.git',
            test_dir: 'curl/basic',
            git_ref: 'v1',
          },
          { url: 'https://git.example.com/more', test_dir: 'curl' },
        ],
        test_env: { extra_env_vars: ['MODE=full', 'API_TOKEN=REDACTED'] },
      },
    });
    expect(answer.stdout + answer.stderr).not.toContain('hidden-word');
    expect(answer.json().warnings).toEqual([expect.stringContaining('passes over the test repository')]);
    const url = ended(
      0,
      await run('submit', [...argv, '--callback', 'https://me:hidden-word@bs.example.com/']),
    );
    expect(url.json().result.payloads[0].callback_url).toBe('https://REDACTED@bs.example.com/');
    for (const bad of [
      ['--test-env', 'A B=1'],
      ['--test-env', 'A'],
      ['--callback', 'ftp://x/'],
      ['--test-repo', 'x#y'],
    ]) {
      ended(64, await run('submit', [...argv, ...bad]));
    }
  });

  test('what is wanted for all tests stands in flags, for some in the matrix', async () => {
    const scheduler = await openScheduler();
    const matrix = folder('tests.csv');
    await writeFile(
      matrix,
      'package,test-repo,test-env,callback\n' +
        'one,https://git.example.com/a.git#d,A=1;B=2,/done\ntwo,https://git.example.com/b.git#e,,\n',
    );
    const argv = [
      '--matrix',
      matrix,
      ...ON_DEBIAN,
      ...at(scheduler),
      '--test-env',
      'C=3',
      '--dry-run',
      '--json',
    ];
    const { payloads } = ended(0, await run('submit', argv)).json().result;
    expect(payloads).toMatchObject([
      { callback_href: '/done', test_configuration: { test_env: { extra_env_vars: ['A=1', 'B=2'] } } },
      { test_configuration: { tests: [{ test_dir: 'e' }], test_env: { extra_env_vars: ['C=3'] } } },
    ]);
    expect(payloads[1]).not.toHaveProperty('callback_href');
  });

  test('what cannot be tested names the file it stands in', async () => {
    const matrix = folder('wrong.csv');
    await writeFile(matrix, 'package,dist,arch\none,debian:12,amd64\ntwo,debian:12,sparc\n');
    const argv = ['--matrix', matrix, ...at(await openScheduler()), '--dry-run', '--json'];
    const { error } = ended(65, await run('submit', argv)).json();
    expect(error.message).toBe(`${matrix}: block 2: ALTS knows no architecture 'sparc'`);
  });

  test('--dry-run prints exactly what would be sent, but for secrets, and sends nothing', async () => {
    const scheduler = await openScheduler();
    const argv = ['curl=7.88', '--dist', 'AlmaLinux:9', '--arch', 'x86_64', ...at(scheduler)].concat(
      ['--repository', 'mine=https://user:hidden-word@packages.example.com/el9/'],
      ['--module', 'nodejs:18:8060', '--channel', 'beta', '--runner', 'docker', '--dry-run'],
    );
    const printed = ended(0, await run('submit', argv));
    const url = 'https://REDACTED@packages.example.com/el9/';
    const payload = {
      runner_type: 'docker',
      dist_name: 'almalinux',
      dist_version: '9',
      dist_arch: 'x86_64',
      package_name: 'curl',
      package_version: '7.88',
      repositories: [{ name: 'mine', baseurl: url, url }],
      module_name: 'nodejs',
      module_stream: '18',
      module_version: '8060',
      package_channel: 'beta',
    };
    expect(JSON.parse(printed.stdout)).toEqual(payload);
    const { result } = ended(0, await run('submit', [...argv, '--json'])).json();
    expect(result).toEqual({
      dryRun: true,
      method: 'POST',
      url: `${scheduler.url}/tasks/schedule`,
      payloads: [payload],
    });
    expect(await readdir(folder())).toEqual([]);
  });

  test('gives a line for every change with ndjson', async () => {
    hurry();
    // Long enough to be asked about meanwhile, also by a machine that is busy.
    const scheduler = await openScheduler({ alts: { taskMs: 400_000 } });
    const argv = ['curl', ...ON_DEBIAN, ...at(scheduler), '--wait', '--format', 'ndjson'];
    const events = ended(0, await run('submit', argv)).events('package-test.events');
    expect(events.map(({ type, task }) => task?.state ?? task?.verdict.outcome ?? type)).toEqual([
      'submitted',
      'STARTED',
      'SUCCESS',
      'result',
    ]);
  });

  test('shows how many tests are in each state on a terminal', async () => {
    hurry();
    const scheduler = await openScheduler();
    const argv = ['a', 'b', 'c-fails-install', ...ON_DEBIAN, ...at(scheduler), '--wait'];
    const { stderr } = ended(1, await run('submit', argv, { tty: 100 }));
    expect(stderr).toMatch(/passed \d/);
    expect(stderr).toContain('failed c-fails-install on debian:12 amd64');
  });
});

describe('what a scheduler answers', () => {
  const submit = (scheduler: Testbed, more: readonly string[] = [], options: RunOptions = {}) =>
    run('submit', ['curl', ...ON_DEBIAN, ...at(scheduler), '--retries', '0', ...more, '--json'], options);

  test.each([
    [400, 69, 'SERVER_ERROR', 'broker is not available', 'message broker'],
    [422, 76, 'REQUEST_REFUSED', 'verbose: field required', 'other fields'],
    [500, 69, 'SERVER_ERROR', 'Internal Server Error', '--arch, --dist and --runner'],
    [503, 75, 'RATE_LIMITED', 'Service Unavailable', 'too much to do'],
    [404, 76, 'UNSUPPORTED_BY_SERVER', 'answered 404', 'proxy'],
    [401, 77, 'AUTHENTICATION_FAILED', 'Could not validate credentials', 'secret and algorithm'],
    [403, 77, 'AUTHENTICATION_FAILED', 'Not authenticated', 'Authorization header'],
  ])('%i is exit %i, %s', async (status, exitCode, code, said, hint) => {
    const scheduler = await openScheduler();
    scheduler.faults.add(`POST /tasks/schedule status=${status}`);
    const { error, result } = ended(exitCode, await submit(scheduler)).json();
    expect(error).toMatchObject({ code, details: { status } });
    expect(error.message).toContain(said);
    expect(error.hints.join()).toContain(hint);
    expect(result.tasks[0].verdict.outcome).toBe('not-submitted');
  });

  test('a distribution that no runner has is told before anything is sent, or by a bare 500', async () => {
    const scheduler = await openScheduler();
    const elsewhere = ['curl', '--dist', 'debian:12', '--arch', 'riscv64', ...at(scheduler), '--json'];
    expect(ended(64, await run('submit', elsewhere)).json().error.message).toContain("'riscv64'");
    const { error } = ended(69, await run('submit', [...elsewhere, '--unchecked'])).json();
    expect(error.hints.join()).toContain('check --arch, --dist and --runner');
  });

  test.each([
    ['no token', undefined, 'Give a token with --token or REGOPS_ALTS_TOKEN.'],
    [
      'one of another secret',
      token({ email: 'a@example.com' }, 'another'),
      'was not signed with this scheduler',
    ],
    [
      'one that has expired',
      token({ email: 'a@example.com', exp: 1_600_000_000 }),
      'The token expired at 2020',
    ],
    ['none at all', 'nonsense', 'was not signed'],
  ])('%s is exit 77', async (_, bad, hint) => {
    const scheduler = await openScheduler();
    const answer = await submit(scheduler, [], { env: { REGOPS_ALTS_TOKEN: bad } });
    expect(ended(77, answer).json().error.hints.join()).toContain(hint);
    if (bad) expect(answer.stdout + answer.stderr).not.toContain(bad);
  });

  test.each(['Token: ', 'Bearer ', 'Authorization: Bearer '])(
    'a token pasted with "%s" will do',
    async (with_) => {
      const scheduler = await openScheduler();
      const answer = await submit(scheduler, ['--token', `${with_}${token({ email: 'a@example.com' })}`], {
        env: { REGOPS_ALTS_TOKEN: undefined },
      });
      ended(0, answer);
      expect(answer.stderr).toContain('REGOPS_ALTS_TOKEN does not');
    },
  );

  test('a scheduler that takes no submissions any more is told apart from a wrong URL', async () => {
    const modern = await openScheduler({ alts: { submissions: false } });
    const { error } = ended(76, await submit(modern)).json();
    expect(error.message).toContain('this scheduler no longer takes submissions');
    expect(error.hints.join()).toContain('package-test run');

    const registry = await startTestbed();
    onTestFinished(() => registry.close());
    const wrong = ended(76, await submit(registry)).json();
    expect(wrong.error.message).toContain('there is no ALTS scheduler at this URL');
  });

  test('what stops one test stops only that one; what stops all stops the rest', async () => {
    const scheduler = await openScheduler();
    scheduler.faults.add('POST /tasks/schedule status=500 nth=2');
    const three = ['a', 'b', 'c', ...ON_DEBIAN, ...at(scheduler), '-c', '1', '--json'];
    const some = ended(69, await run('submit', three)).json();
    const outcomesOf = (json: typeof some) =>
      json.result.tasks.map((task: { verdict: { outcome: string } }) => task.verdict.outcome);
    expect(outcomesOf(some)).toEqual(['submitted', 'not-submitted', 'submitted']);

    scheduler.faults.clear();
    scheduler.faults.add('POST /tasks/schedule status=401 name=denied');
    const none = ended(77, await run('submit', three)).json();
    expect(outcomesOf(none)).toEqual(['not-submitted', 'not-submitted', 'not-submitted']);
    expect(scheduler.faults.counts()).toMatchObject([{ name: 'denied', matched: 1 }]);
    expect(none.warnings).toEqual(['2 further tests not sent: the scheduler would refuse all']);
  });

  test('a scheduler that is not there is exit 69', async () => {
    const gone = await startTestbed();
    await gone.close();
    const { error } = ended(69, await submit(gone)).json();
    expect(error.code).toBe('CONNECTION_FAILED');
  });
});

describe('a wait', () => {
  test('that is interrupted says how to take it up again, which wait does', async () => {
    hurry(50);
    const scheduler = await openScheduler({ alts: { taskMs: 30_000, workers: 20 } });
    const packages = Array.from({ length: 8 }, (_, at) => `tool${at}`);
    const argv = [...packages, ...ON_DEBIAN, ...at(scheduler), '--wait', '--json'];
    const stopped = await run('submit', argv, {
      whileRunning: async (send, _stdout, stderr) => {
        await expect.poll(stderr).toContain('waiting for 8 tests');
        send('SIGINT');
      },
    });
    const { error, interrupted, result } = ended(130, stopped).json();
    expect(interrupted).toBe(true);
    expect(error.hints.join()).toContain(`regops package-test wait --scheduler-url ${scheduler.url}/`);
    expect(result.tasks.every(({ id }: { id?: string }) => id !== undefined)).toBe(true);

    const resumed = ended(0, await run('wait', ['--json'])).json().result.tasks;
    expect(resumed.map((task: { package: string }) => task.package).toSorted()).toEqual(packages);
  });

  test('outlives a scheduler that is started anew', async () => {
    hurry(50);
    const alts = { secret: SECRET, taskMs: 40_000, workers: 3 };
    const port = await freePort();
    const first = await startTestbed({ dir: folder('kept'), port, alts });
    let second: Testbed | undefined;
    onTestFinished(async () => {
      await first.close();
      await second?.close();
    });
    const packages = Array.from({ length: 6 }, (_, at) => `tool${at}`);
    const argv = [...packages, ...ON_DEBIAN, ...at(first), '--wait', '--json'];
    const waited = await run('submit', argv, {
      whileRunning: async (_send, _stdout, stderr) => {
        await expect.poll(stderr).toContain('waiting for 6 tests');
        await first.close();
        await expect.poll(stderr).toContain('the scheduler cannot be asked');
        second = await startTestbed({ dir: folder('kept'), port, alts });
      },
    });
    const { tasks } = ended(0, waited).json().result;
    expect(tasks.map((task: { verdict: { outcome: string } }) => task.verdict.outcome)).toEqual(
      packages.map(() => 'passed'),
    );
    expect(waited.stderr).toContain('the scheduler answers again');
  });

  test('for nothing is refused', async () => {
    expect(ended(64, await run('wait', [])).stderr).toContain('no test is remembered');
  });

  test('is never for a test of another scheduler, which would be PENDING for ever', async () => {
    const [one, other] = [await openScheduler(), await openScheduler()];
    const id = ended(0, await run('submit', ['a', ...ON_DEBIAN, ...at(one)])).stdout.trim();
    const refused = ended(64, await run('wait', [id, ...at(other)]));
    expect(refused.stderr).toContain(`was submitted to ${one.url}`);
  });

  test.each(['4s', '0', 'x'])('refuses to ask every %s', async (interval) => {
    ended(64, await run('wait', ['--poll-interval', interval]));
  });
});

describe('result', () => {
  test('tells of a test that goes on (75), has failed (1), or is not known here', async () => {
    hurry(50);
    const scheduler = await openScheduler({ alts: { taskMs: 20_000 } });
    const id = ended(
      0,
      await run('submit', ['x-fails-install', ...ON_DEBIAN, ...at(scheduler)]),
    ).stdout.trim();
    const open = ended(75, await run('result', [id, '--json'])).json();
    expect(open.result.tasks[0].verdict.outcome).toBe('pending');
    expect(open.error.hints.join()).toContain(`package-test wait ${id}`);
    await expect.poll(async () => (await run('result', [id])).exitCode).toBe(1);
    const table = ended(1, await run('result', [`  ${id.toUpperCase()} `])).stdout;
    expect(table).toContain('Unable to locate package x-fails-install');

    const stranger = '0b0c1f0e-6f0b-4f6e-9a55-6ad6b8a7a7a1';
    expect(ended(64, await run('result', [stranger])).stderr).toContain('which scheduler?');
    const unknown = ended(75, await run('result', [stranger, ...at(scheduler), '--json'])).json();
    expect(unknown.result.tasks).toMatchObject([{ id: stranger, state: 'PENDING' }]);
    ended(64, await run('result', ['no-id', ...at(scheduler)]));
  });
});

describe('token', () => {
  test.each(['HS256', 'HS384', 'HS512'] as const)('is what HMAC makes of it with %s', async (algorithm) => {
    await writeFile(folder('secret'), `${SECRET}\n`);
    const argv = ['--email', 'me@example.com', '--secret-file', folder('secret'), '--algorithm', algorithm];
    const { stdout } = ended(0, await run('token', argv));
    expect(stdout).toBe(`${token({ email: 'me@example.com' }, SECRET, algorithm)}\n`);
  });

  test('is let in by the scheduler, until it expires', async () => {
    const scheduler = await openScheduler();
    const argv = ['--email', 'me@example.com', '--secret-stdin', '--expires', '1h', '--json'];
    const { result } = ended(0, await run('token', argv, { stdin: `${SECRET}\n` })).json();
    const hours = (Date.parse(result.expiresAt) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(0.9);
    const submitted = await run('submit', ['curl', ...ON_DEBIAN, ...at(scheduler)], {
      env: { REGOPS_ALTS_TOKEN: result.token },
    });
    ended(0, submitted);
  });

  test("takes secret and algorithm from the scheduler's configuration", async () => {
    await writeFile(folder('alts.yaml'), `jwt_secret: ${SECRET}\nhashing_algorithm: HS512\n`);
    const argv = ['--email', 'me@example.com', '--config', folder('alts.yaml')];
    const { stdout } = ended(0, await run('token', argv));
    expect(stdout).toBe(`${token({ email: 'me@example.com' }, SECRET, 'HS512')}\n`);
    const scheduler = await openScheduler();
    const env = { REGOPS_ALTS_TOKEN: stdout };
    ended(0, await run('submit', ['curl', ...ON_DEBIAN, ...at(scheduler)], { env }));
    const told = ended(0, await run('token', [...argv, '--algorithm', 'HS256'])).stdout;
    expect(told).toBe(`${token({ email: 'me@example.com' })}\n`);
  });

  test.each([
    ['no secret', 64, []],
    ['two', 64, ['--secret-stdin', '--config', 'x']],
    ['a file that is not there', 66, ['--secret-file', '/nonexistent/secret']],
    ['an unknown algorithm', 64, ['--secret-stdin', '--algorithm', 'none']],
    ['an empty secret', 64, ['--secret-stdin']],
    ['an end that no date can say', 64, ['--secret-stdin', '--expires', '99999999d']],
  ])('refuses %s', async (what, exitCode, argv) => {
    const stdin = what === 'an empty secret' ? '' : SECRET;
    const refused = ended(exitCode, await run('token', ['--email', 'a@example.com', ...argv], { stdin }));
    expect(refused.stdout + refused.stderr).not.toContain(SECRET);
    // Once is enough to be told what excludes what.
    expect(refused.stderr.split('cannot be used together').length).toBeLessThan(3);
  });
});

test('no remembered file holds a secret', async () => {
  const scheduler = await openScheduler();
  const repository = 'mine=deb https://user:hidden-word@packages.example.com/debian bookworm main';
  const argv = ['curl', ...ON_DEBIAN, ...at(scheduler), '--repository', repository, '-v'];
  const answer = ended(0, await run('submit', [...argv, '--log-file', folder('log')]));
  const [file = ''] = await readdir(folder('state', 'regops', 'package-tests'));
  const kept = await readFile(folder('state', 'regops', 'package-tests', file), 'utf8');
  const said = [answer.stdout, answer.stderr, kept, await readFile(folder('log'), 'utf8')].join();
  expect(said).not.toContain('hidden-word');
  expect(said).not.toContain(token({ email: 'me@example.com' }));
});
