import type { TaskResult, Verdict } from '../../../alts/index.ts';
import { counted } from '../../../base/index.ts';
import type { Check, Report } from '../../../report/model.ts';
import { reportPackageTest } from '../report.ts';
import type { TaskOutcome } from '../result.ts';
import type { LedgerEntry } from './ledger.ts';
import type { RemoteResult, RemoteTest } from './result.ts';
import { labelOf } from './tracked.ts';

/** Tests that were waited or asked for: a row for each, and what failed, as for tests that were run here. */
export function reportRemote({ tasks }: RemoteResult): Report {
  return reportPackageTest(tasks.map(outcomeOf));
}

/** Tests that were only queued. A pipe gets their ids, one a line. */
export function reportSubmitted({ scheduler, tasks }: RemoteResult): Report {
  const queued = tasks.filter(({ id }) => id !== undefined);
  const missing = tasks.length - queued.length;
  return {
    title: 'package test',
    lines: queued.flatMap(({ id }) => id ?? []),
    sections: [
      {
        table: {
          columns: [
            { title: 'PACKAGE' },
            { title: 'SYSTEM' },
            { title: 'ARCH' },
            { title: 'TASK' },
            { title: 'REASON', shrink: true },
          ],
          rows: tasks.map((test) => [
            `${test.package}${test.version === undefined ? '' : `=${test.version}`}`,
            test.distribution ?? '',
            test.architecture ?? '',
            test.id ?? 'not submitted',
            test.id === undefined ? test.verdict.reason : '',
          ]),
        },
      },
    ],
    checks: tasks.map(
      (test): Check => ({
        name: labelOf(test),
        status: test.id === undefined ? 'fail' : 'pass',
        message: test.id ?? test.verdict.reason,
      }),
    ),
    summary: `${counted(queued.length, 'test')} submitted to ${scheduler}${missing > 0 ? `, ${missing} not` : ''}`,
  };
}

/** Tests that are remembered. A pipe gets their ids. */
export function reportLedger(entries: readonly LedgerEntry[]): Report {
  return {
    title: 'package tests',
    lines: entries.map(({ id }) => id),
    sections: [
      {
        table: {
          columns: [
            { title: 'SUBMITTED' },
            { title: 'PACKAGE' },
            { title: 'SYSTEM' },
            { title: 'ARCH' },
            { title: 'STATE' },
            { title: 'OUTCOME' },
            { title: 'TASK' },
            { title: 'SCHEDULER', shrink: true },
          ],
          rows: entries.map((entry) => [
            entry.submittedAt,
            `${entry.package}${entry.version === undefined ? '' : `=${entry.version}`}`,
            entry.distribution,
            entry.architecture,
            entry.state ?? '',
            entry.outcome ?? '',
            entry.id,
            entry.scheduler,
          ]),
        },
      },
    ],
    summary: counted(entries.length, 'test'),
  };
}

/** A test as the report of all package tests takes it. */
function outcomeOf({ verdict, logs, ...test }: RemoteTest): TaskOutcome {
  const result: TaskResult = { stages: [], logs, skippedTests: [], revoked: false, ignored: [] };
  return {
    ...test,
    package: test.package ?? 'unknown',
    distribution: test.distribution ?? '',
    architecture: test.architecture ?? '',
    verdict: { ...verdict, ...reported(verdict) },
    result,
  };
}

function reported({ outcome, reason }: RemoteTest['verdict']): Pick<Verdict, 'outcome' | 'reason'> {
  if (outcome === 'submitted') return { outcome: 'pending', reason };
  return outcome === 'not-submitted'
    ? { outcome: 'infrastructure', reason: `not submitted: ${reason}` }
    : { outcome, reason };
}
