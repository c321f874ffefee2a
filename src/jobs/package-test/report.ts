import {
  isTapFailure,
  type JudgedStage,
  type Outcome,
  type TapReport,
  type TapTest,
} from '../../alts/index.ts';
import { counted, formatDuration } from '../../base/index.ts';
import type { Check, Report, Section } from '../../report/model.ts';
import type { TaskOutcome } from './result.ts';

/** A stage that writes more test points than this is told by the first of them. */
const MAX_TAP_CASES = 1000;
const MAX_EVIDENCE_LINES = 40;

const STATUS: Readonly<Record<JudgedStage['status'], Check['status']>> = {
  passed: 'pass',
  failed: 'fail',
  skipped: 'unknown',
  warning: 'warn',
};

/** Outcomes that are no news of the package: neither good nor bad. */
const UNDECIDED: ReadonlySet<Outcome> = new Set(['skipped', 'pending']);

/**
 * Tests of packages as a report: a row for each, a table of stages (of one test all, of several those that did not
 * pass), what failed stages wrote. As checks: a group for each test, in it a check for each stage and for each TAP
 * line, and one for an outcome that no stage explains.
 */
export function reportPackageTest(tasks: readonly TaskOutcome[]): Report {
  const groups = namesOf(tasks);
  const checks = tasks.flatMap((task, at) => checksOf(task, groups[at] as string));
  const summary = summaryOf(tasks);
  return {
    title: 'package test',
    sections: [...taskSections(tasks), ...stageSections(tasks, groups), ...evidenceSections(tasks, groups)],
    checks,
    summary,
  };
}

/** `3 packages: 2 passed, 1 failed`. */
function summaryOf(tasks: readonly TaskOutcome[]): string {
  const counts = Map.groupBy(tasks, ({ verdict }) => verdict.outcome);
  const parts = [...counts].map(([outcome, members]) => `${members.length} ${outcome}`);
  const [only] = tasks;
  if (tasks.length === 1 && only) return `${nameOf(only)}: ${only.verdict.outcome} (${only.verdict.reason})`;
  return `${counted(tasks.length, 'test')}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`;
}

function nameOf(task: TaskOutcome): string {
  const version = task.version === undefined ? '' : `=${task.version}`;
  const system = [task.distribution, task.architecture].filter((part) => part !== '').join(' ');
  return `${task.package}${version}${system === '' ? '' : ` on ${system}`}`;
}

/** Names that tell the tests apart: by their ids, or their places, where package and system are the same. */
function namesOf(tasks: readonly TaskOutcome[]): string[] {
  const names = tasks.map(nameOf);
  return names.map((name, at) =>
    names.indexOf(name) === names.lastIndexOf(name) ? name : `${name} (${tasks[at]?.id ?? at + 1})`,
  );
}

function taskSections(tasks: readonly TaskOutcome[]): Section[] {
  const withIds = tasks.some(({ id }) => id !== undefined);
  return [
    {
      table: {
        columns: [
          { title: 'PACKAGE' },
          { title: 'VERSION' },
          { title: 'SYSTEM' },
          { title: 'ARCH' },
          { title: 'OUTCOME' },
          { title: 'TIME', align: 'right' },
          ...(withIds ? [{ title: 'TASK' }] : []),
          { title: 'REASON', shrink: true },
        ],
        rows: tasks.map((task) => [
          task.package,
          task.version ?? '',
          task.distribution,
          task.architecture,
          task.verdict.outcome,
          task.durationMs === undefined ? '' : formatDuration(task.durationMs),
          ...(withIds ? [task.id ?? ''] : []),
          task.verdict.reason,
        ]),
      },
    },
  ];
}

function stageSections(tasks: readonly TaskOutcome[], groups: readonly string[]): Section[] {
  const single = tasks.length === 1;
  const rows = tasks.flatMap((task, at) =>
    task.verdict.stages
      .filter(({ status }) => single || status !== 'passed')
      .map((stage) => {
        const { durationMs } = detailOf(task, stage);
        return [
          ...(single ? [] : [groups[at] as string]),
          stage.path.join('/'),
          stage.status,
          durationMs === undefined ? '' : formatDuration(durationMs),
          messageOf(task, stage),
        ];
      }),
  );
  if (rows.length === 0) return [];
  return [
    {
      title: single ? 'stages' : 'stages that did not pass',
      table: {
        columns: [
          ...(single ? [] : [{ title: 'TEST' }]),
          { title: 'STAGE' },
          { title: 'STATUS' },
          { title: 'TIME', align: 'right' },
          { title: 'MESSAGE', shrink: true },
        ],
        rows,
      },
    },
  ];
}

/** What is known of failures, and what was warned of, for people. */
function evidenceSections(tasks: readonly TaskOutcome[], groups: readonly string[]): Section[] {
  return tasks.flatMap((task, at) => [
    ...task.verdict.stages
      .filter(({ status }) => status === 'failed')
      .map((stage) => ({
        title: `${groups[at]}: ${stage.path.join('/')}`,
        text: stage.tap ? failuresIn(stage.tap) || (stage.evidence ?? '') : (stage.evidence ?? ''),
      }))
      .filter(({ text }) => text !== ''),
    ...(task.verdict.warnings.length > 0
      ? [{ title: `${groups[at]}: warnings`, text: task.verdict.warnings.join('\n') }]
      : []),
  ]);
}

/** The failed test points of a stream with what they said. */
function failuresIn(tap: TapReport): string {
  const lines = tap.tests.filter(isTapFailure).flatMap((test) => [titleOf(test), ...diagnosticsOf(test)]);
  if (lines.length <= MAX_EVIDENCE_LINES) return lines.join('\n');
  return `${lines.slice(0, MAX_EVIDENCE_LINES).join('\n')}\n… and ${lines.length - MAX_EVIDENCE_LINES} more lines`;
}

function checksOf(task: TaskOutcome, group: string): Check[] {
  const stages = task.verdict.stages.flatMap((stage) => [
    stageCheck(task, stage, group),
    ...(stage.tap ? tapChecks(stage.tap, stage.path.join('/'), group) : []),
  ]);
  const { outcome, reason } = task.verdict;
  const explained = outcome === 'passed' || stages.some(({ status }) => status === 'fail');
  if (explained) return stages;
  return [
    ...stages,
    { name: 'outcome', group, status: UNDECIDED.has(outcome) ? 'unknown' : 'fail', message: reason },
  ];
}

function stageCheck(task: TaskOutcome, stage: JudgedStage, group: string): Check {
  const { durationMs } = detailOf(task, stage);
  return {
    name: stage.path.join('/'),
    group,
    status: STATUS[stage.status],
    ...(stage.status === 'warning' ? { advisory: true } : {}),
    message: messageOf(task, stage) || stage.status,
    ...(stage.evidence ? { evidence: stage.evidence } : {}),
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}

function tapChecks(tap: TapReport, stage: string, group: string): Check[] {
  const tests = [...pointsOf(tap, '')];
  const checks = tests.slice(0, MAX_TAP_CASES).map(({ test, within }): Check => {
    const diagnostics = diagnosticsOf(test);
    return {
      name: `${stage}: ${within}${titleOf(test)}`,
      group,
      ...judged(test),
      ...(diagnostics.length > 1 && !test.ok ? { evidence: diagnostics.join('\n') } : {}),
    };
  });
  if (tests.length <= MAX_TAP_CASES) return checks;
  const message = `${tests.length - MAX_TAP_CASES} more test points are not listed`;
  return [...checks, { name: `${stage}: …`, group, status: 'unknown', message }];
}

/** Every test point of a stream, a subtest's before the one that closes it. */
function* pointsOf(tap: TapReport, within: string): Generator<{ test: TapTest; within: string }> {
  for (const test of tap.tests) {
    if (test.subtests) yield* pointsOf(test.subtests, `${within}${titleOf(test)} > `);
    yield { test, within };
  }
}

function judged(test: TapTest): Pick<Check, 'status' | 'message' | 'advisory'> {
  const { directive, reason = '', diagnostics } = test;
  if (directive !== undefined) {
    return { status: 'unknown', message: `${directive.toUpperCase()} ${reason}`.trimEnd() };
  }
  if (!test.ok)
    return { status: 'fail', message: diagnostics.find((line) => line.trim() !== '') ?? 'not ok' };
  const warning = diagnostics.find((line) => line.startsWith('warning:'));
  return warning === undefined
    ? { status: 'pass', message: 'ok' }
    : { status: 'warn', advisory: true, message: warning.slice('warning:'.length).trim() };
}

function titleOf({ number, description }: TapTest): string {
  return `${number}${description ? ` ${description}` : ''}`;
}

function diagnosticsOf({ diagnostics, yaml }: TapTest): string[] {
  return [...diagnostics, ...(yaml ? yaml.split('\n') : [])];
}

function messageOf(task: TaskOutcome, stage: JudgedStage): string {
  return detailOf(task, stage).note ?? stage.message ?? '';
}

function detailOf({ details = {} }: TaskOutcome, { path }: JudgedStage) {
  const name = path.join('/');
  return Object.hasOwn(details, name) ? (details[name] ?? {}) : {};
}
