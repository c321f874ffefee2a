import { type Markup, markup, textLines } from './markup.ts';
import type { Check, Ending, Report } from './model.ts';

/** One `testcase`; `body` is what tells how it went, nothing when it passed. */
interface Case {
  readonly name: string;
  readonly durationMs?: number | undefined;
  readonly kind: 'pass' | 'failure' | 'error' | 'skipped';
  readonly body?: Markup;
}

/**
 * The report as JUnit XML, in the shape that Jenkins, GitLab and GitHub's readers agree on: a suite for
 * each group of checks, side by side (nested suites are lost on some), a case for each check. JUnit knows no
 * warnings: where they are problems (the run ended as one that found some) they are failures, else they pass and
 * say so in their output. What could not be judged is skipped. A failure of the command itself is one more case,
 * an error; a command that judges nothing is its own only case. So a document is red whenever the exit code is.
 */
export function renderJunit(report: Report, ending: Ending): string {
  const root = ending.command.replaceAll(' ', '.');
  const checks = report.checks ?? [];
  const suites = new Map<string, readonly Case[]>();
  const isToldByChecks = ending.ok || ending.interrupted || checks.some((check) => isProblem(check, ending));
  if (ending.error || checks.length === 0 || !isToldByChecks) suites.set(root, [commandCase(report, ending)]);
  for (const [group, members] of Map.groupBy(checks, (check) => check.group)) {
    const name = group === undefined ? root : `${root}.${group}`;
    suites.set(name, [...(suites.get(name) ?? []), ...members.map((check) => checkCase(check, ending))]);
  }
  const all = [...suites.values()].flat();
  const drawn = [...suites].map(([name, cases], at) =>
    drawSuite(name, cases, ending.at, at === 0 ? remarks(report, ending) : []),
  );
  return markup`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="regops ${ending.command}" ${counts(all)}>
${drawn}</testsuites>
`.toString();
}

function isProblem({ status, advisory = false }: Check, { ok }: Ending): boolean {
  return status === 'fail' || (status === 'warn' && !advisory && !ok);
}

function checkCase(check: Check, ending: Ending): Case {
  const { name, status, message, evidence, durationMs } = check;
  const text = textLines(evidence === undefined ? message : `${message}\n${evidence}`);
  const one = { name, durationMs };
  if (isProblem(check, ending)) {
    const body = markup`<failure message="${message}" type="${status}">${text}</failure>`;
    return { ...one, kind: 'failure', body };
  }
  switch (status) {
    case 'warn':
      return { ...one, kind: 'pass', body: markup`<system-out>warning: ${text}</system-out>` };
    case 'unknown':
      return { ...one, kind: 'skipped', body: markup`<skipped message="${message}"/>` };
    default:
      return { ...one, kind: 'pass' };
  }
}

function commandCase({ summary = '' }: Report, { command, ok, interrupted, error }: Ending): Case {
  const name = command;
  if (error) {
    const text = textLines([error.message, ...error.hints].join('\n'));
    return {
      name,
      kind: 'error',
      body: markup`<error message="${error.message}" type="${error.code}">${text}</error>`,
    };
  }
  if (ok) return { name, kind: 'pass' };
  return interrupted
    ? { name, kind: 'skipped', body: markup`<skipped message="interrupted"/>` }
    : { name, kind: 'failure', body: markup`<failure message="${summary}" type="fail"/>` };
}

/** What is said of the whole; it stands in the first suite, for `testsuites` may hold nothing else. */
function remarks({ summary }: Report, { interrupted, warnings }: Ending): Markup[] {
  const said = [...(interrupted ? ['interrupted'] : []), ...(summary === undefined ? [] : [summary])];
  return [
    ...(said.length > 0 ? [markup`    <system-out>${textLines(said.join('\n'))}</system-out>\n`] : []),
    ...(warnings.length > 0
      ? [markup`    <system-err>${textLines(warnings.join('\n'))}</system-err>\n`]
      : []),
  ];
}

function drawSuite(name: string, cases: readonly Case[], at: number, more: readonly Markup[]): Markup {
  const skipped = cases.filter(({ kind }) => kind === 'skipped').length;
  const timestamp = new Date(at).toISOString().slice(0, 19);
  return markup`  <testsuite name="${name}" ${counts(cases)} skipped="${skipped}" timestamp="${timestamp}">
${cases.map((one) => drawCase(one, name))}${more}  </testsuite>
`;
}

function drawCase(one: Case, suite: string): Markup {
  const start = markup`    <testcase name="${one.name}" classname="${suite}" time="${seconds([one])}"`;
  return one.body ? markup`${start}>${one.body}</testcase>\n` : markup`${start}/>\n`;
}

/** The attributes that suite and suites have in common. */
function counts(cases: readonly Case[]): Markup {
  const count = (kind: Case['kind']): number => cases.filter((one) => one.kind === kind).length;
  return markup`tests="${cases.length}" failures="${count('failure')}" errors="${count('error')}" time="${seconds(cases)}"`;
}

function seconds(cases: readonly Case[]): string {
  return (cases.reduce((sum, { durationMs = 0 }) => sum + durationMs, 0) / 1000).toFixed(3);
}
