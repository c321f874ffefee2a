import type { ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { readAnswer } from '../support/json-answer.ts';
import { type Ended, runCli, runShell } from '../support/run-cli.ts';
import { useTempFolder } from '../support/temp-folder.ts';

const SECRET = 'a-secret-of-the-scheduler';
const folder = useTempFolder();

/** A scheduler in a process of its own; gives a way to stop it in order. */
async function startScheduler(port: number, taskTime: string): Promise<() => Promise<Ended>> {
  let child: ChildProcess | undefined;
  let ended: Promise<Ended> | undefined;
  await new Promise<void>((resolve, reject) => {
    ended = runCli(
      ['testbed', '--port', String(port), '--dir', folder('kept'), '--alts', '--alts-scripted'].concat(
        '--alts-task-time',
        taskTime,
      ),
      {
        env: { REGOPS_ALTS_SECRET: SECRET },
        started: (started) => {
          child = started;
        },
        when: [/^http:/m, () => resolve()],
      },
    );
    ended.then(({ stderr }) => reject(new Error(stderr)), reject);
  });
  const stop = async (): Promise<Ended> => {
    child?.kill('SIGTERM');
    return ended as Promise<Ended>;
  };
  onTestFinished(() => void child?.kill('SIGKILL'));
  return stop;
}

test('twenty tests: interrupted, the scheduler started anew, taken up again, judged', async () => {
  const port = await freePort();
  const made = await runCli(['package-test', 'token', '--email', 'ci@example.com', '--secret-stdin'], {
    stdin: SECRET,
  });
  expect([made.exitCode, made.stderr]).toEqual([0, '']);
  expect(made.stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  const env = { XDG_STATE_HOME: folder('state'), REGOPS_ALTS_TOKEN: made.stdout.trim() };
  const url = `http://127.0.0.1:${port}`;
  await writeFile(
    folder('matrix.csv'),
    'package,version,distribution,architecture\ncurl,7.88,debian:12;ubuntu:22.04,amd64;arm64\n' +
      'jq;bash;sed,,debian:12;ubuntu:22.04,amd64;arm64\nlib-fails-install,,debian:12,amd64;arm64;i386;i686\n',
  );

  const stopFirst = await startScheduler(port, '30s');
  const stopped = await runCli(
    ['package-test', 'submit', '--matrix', folder('matrix.csv'), '--scheduler-url', url, '--wait', '--json'],
    { env, when: [/waiting for 20 tests/, (child) => void child.kill('SIGINT')] },
  );
  expect(stopped.exitCode, stopped.stderr).toBe(130);
  const partial = readAnswer(stopped.stdout);
  expect(partial).toMatchObject({ interrupted: true, error: { code: 'INTERRUPTED' } });
  expect(stopped.stderr).toContain('Take the wait up again: regops package-test wait');
  expect((await stopFirst()).exitCode).toBe(0);

  const stopSecond = await startScheduler(port, '100ms');
  const resumed = await runCli(
    ['package-test', 'wait', '--format', 'junit', '--output', folder('tests.xml')],
    {
      env,
    },
  );
  expect(resumed.exitCode, resumed.stderr).toBe(1);
  expect(resumed.stdout).toBe('20 tests: 16 passed, 4 failed\n');

  const listed = await runShell('regops package-test list --json', env);
  const ids = readAnswer(listed.stdout).result.tasks.map(({ id }: { id: string }) => id);
  expect(ids.toSorted()).toEqual(partial.result.tasks.map(({ id }: { id: string }) => id).toSorted());
  const asked = await runShell(`regops package-test result $(regops package-test list | head -2)`, env);
  expect(asked.stdout).toContain('PACKAGE');
  expect((await stopSecond()).exitCode).toBe(0);
});
