import type { ChildProcess } from 'node:child_process';
import { expect, onTestFinished } from 'vitest';
import { readAnswer } from './json-answer.ts';
import { type Ended, runCli } from './run-cli.ts';

/**
 * cli.md gives an interrupted program 5 s. After 4.5 s by its own clock it leaves without a result, which these
 * tests would not let pass; so this only has to catch one that hangs, also on a machine that is very busy.
 */
const LIMIT_MS = 10_000;

/** Interrupts a program; one that does not end then is killed. */
export function interrupt(child: ChildProcess): void {
  child.kill('SIGINT');
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  child.once('exit', () => clearTimeout(limit));
}

/** Runs the program with --json and interrupts it at a moment, or when it says something. */
export function runInterrupted(
  argv: readonly string[],
  moment: Promise<void> | RegExp,
  env: Readonly<Record<string, string>>,
): Promise<Ended> {
  return runCli([...argv, '--json'], {
    env,
    started(child) {
      onTestFinished(() => void child.kill('SIGKILL'));
      if (!(moment instanceof RegExp)) void moment.then(() => interrupt(child));
    },
    ...(moment instanceof RegExp ? { when: [moment, interrupt] } : {}),
  });
}

/** The answer of a run that was interrupted and said so. */
// biome-ignore lint/suspicious/noExplicitAny: any command's answer
export function interruptedAnswer(run: Ended): any {
  expect(run, run.stderr).toMatchObject({ exitCode: 130, signal: null });
  const answer = readAnswer(run.stdout);
  expect(answer).toMatchObject({ ok: false, exitCode: 130, interrupted: true });
  return answer;
}
