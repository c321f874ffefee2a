import { counted, redactText } from '../base/index.ts';

/** One test point. */
export interface TapTest {
  /** As written, or its place in the stream when the producer wrote none. */
  readonly number: number;
  readonly ok: boolean;
  readonly description: string;
  readonly directive?: 'skip' | 'todo';
  /** What follows the directive. */
  readonly reason?: string;
  /** The `# …` lines after it, without their mark and without secrets. */
  readonly diagnostics: readonly string[];
  /** The YAML block after it, as text without secrets: its content is for people. */
  readonly yaml?: string;
  readonly subtests?: TapReport;
}

/** A stream in the Test Anything Protocol, version 12 to 14. */
export interface TapReport {
  readonly version?: number;
  /** `1..N`; a stream may be without one, since its exit code speaks too. */
  readonly plan?: { readonly count: number; readonly skipReason?: string };
  readonly tests: readonly TapTest[];
  /** Comments before the first test point. */
  readonly diagnostics: readonly string[];
  /** The reason given with `Bail out!`, which may be empty. */
  readonly bailOut?: string;
  /** Ways in which the stream contradicts itself: fewer tests than planned, a number twice … */
  readonly problems: readonly string[];
  /** No failed test, no bail out, no problem. */
  readonly ok: boolean;
}

const MAX_DEPTH = 16;
const MAX_TESTS = 100_000;
const MAX_LINES = 200;
const MAX_PROBLEMS = 100;
const SUBTEST_INDENT = /^(?: {4}|\t)/;

const VERSION = /^TAP version (\d{1,3})\s*$/i;
const PLAN = /^1\.\.(\d{1,9})(?:\s*#\s*(.*))?\s*$/s;
const TEST = /^(not )?ok(?:\s+(\d{1,9})(?=\s|$))?(?:\s+(.*))?$/s;
const DIRECTIVE = /(?:^|\s)#\s*(skip\S*|todo)(?=[\s:]|$):?\s*(.*)$/is;
const BAIL_OUT = /^Bail out!\s*(.*)$/is;
const SUBTEST_NAME = /^\s*# Subtest\b/;

/**
 * Reads what a test wrote. Undefined when it is no TAP: there is neither a plan nor a test point (a correct
 * parser finds no failure in any other text, so it must not be asked). A subtest's outcome counts through the
 * test point that closes it, its `Bail out!` for the whole (TAP 14, "Subtests"). Never throws; time grows with
 * the length alone.
 */
export function parseTap(text: string): TapReport | undefined {
  return parseStream(text.split(/\r?\n/), 0);
}

/** True for a test point that counts as a failure: `not ok` that is neither SKIP nor TODO. */
export function isTapFailure(test: Pick<TapTest, 'ok' | 'directive'>): boolean {
  return !test.ok && test.directive === undefined;
}

/** A test point while its diagnostics are still coming. */
type OpenTest = {
  -readonly [K in keyof Omit<TapTest, 'diagnostics'>]: TapTest[K];
} & { readonly diagnostics: string[] };

function parseStream(lines: readonly string[], depth: number): TapReport | undefined {
  let version: number | undefined;
  let plan: TapReport['plan'];
  let planAfter = 0;
  let bailOut: string | undefined;
  const tests: OpenTest[] = [];
  const diagnostics: string[] = [];
  const problems: string[] = [];
  const complain = (problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(problem);
  };
  let inner: string[] = [];
  /** Set while a `{` that opened a buffered subtest (node-tap) waits for its `}`. */
  let buffered: OpenTest | undefined;

  const closeSubtest = (parent: OpenTest | undefined): void => {
    const report = inner.length > 0 ? parseStream(inner, depth + 1) : undefined;
    inner = [];
    if (!report) return;
    bailOut ??= report.bailOut;
    if (parent) parent.subtests = report;
    else if (report.bailOut === undefined) complain('a subtest is not followed by its test point');
  };

  for (let at = 0; at < lines.length && bailOut === undefined; at++) {
    const line = lines[at] as string;
    const yaml = tests.length > 0 && inner.length === 0 ? yamlBlock(lines, at) : undefined;
    if (yaml) {
      (tests.at(-1) as OpenTest).yaml = yaml.text;
      at = yaml.last;
      continue;
    }
    if (SUBTEST_INDENT.test(line)) {
      if (depth < MAX_DEPTH) inner.push(line.replace(SUBTEST_INDENT, ''));
      continue;
    }
    if (buffered && /^\}\s*$/.test(line)) {
      closeSubtest(buffered);
      buffered = undefined;
      continue;
    }
    const test = TEST.exec(line);
    if (test) {
      if (tests.length >= MAX_TESTS) {
        complain(`more than ${MAX_TESTS} tests`);
        break;
      }
      const point = testPoint(test, tests.length + 1);
      const opens = /(?:^|\s)\{$/.test(point.description);
      if (opens && SUBTEST_INDENT.test(lines[at + 1] ?? '')) {
        closeSubtest(undefined);
        point.description = point.description.slice(0, -1).trimEnd();
        buffered = point;
      } else {
        closeSubtest(point);
      }
      tests.push(point);
      continue;
    }
    const planned = PLAN.exec(line);
    if (planned) {
      if (plan) complain('there is more than one plan');
      const skip = /^skip\S*\s*(.*)$/is.exec(planned[2] ?? '');
      plan ??= { count: Number(planned[1]), ...(skip ? { skipReason: (skip[1] ?? '').trim() } : {}) };
      planAfter = tests.length;
      continue;
    }
    bailOut = BAIL_OUT.exec(line)?.[1]?.trim();
    if (line.startsWith('#') && !SUBTEST_NAME.test(line)) {
      const said = tests.at(-1)?.diagnostics ?? diagnostics;
      if (said.length < MAX_LINES) said.push(redactText(line.replace(/^#+ ?/, '')));
    } else if (version === undefined) {
      const written = VERSION.exec(line)?.[1];
      if (written) version = Number(written);
    }
  }
  closeSubtest(buffered);

  const declared = version !== undefined && bailOut !== undefined;
  if (!plan && tests.length === 0 && !declared) return undefined;
  if (plan && bailOut === undefined) {
    if (plan.count !== tests.length) complain(`planned ${counted(plan.count, 'test')}, saw ${tests.length}`);
    else if (planAfter > 0 && planAfter < tests.length) complain('the plan stands between the tests');
  }
  for (const problem of wrongNumbers(tests, plan?.count)) complain(problem);
  return {
    ...(version === undefined ? {} : { version }),
    ...(plan ? { plan } : {}),
    tests,
    diagnostics,
    ...(bailOut === undefined ? {} : { bailOut }),
    problems,
    ok: bailOut === undefined && problems.length === 0 && !tests.some(isTapFailure),
  };
}

function testPoint(match: RegExpExecArray, place: number): OpenTest {
  const [, not, number, rest = ''] = match;
  const directive = DIRECTIVE.exec(rest);
  const description = (directive ? rest.slice(0, directive.index) : rest).trim().replace(/^-(?:\s+|$)/, '');
  return {
    number: number === undefined ? place : Number(number),
    ok: not === undefined,
    description: description.replaceAll(/\\([#\\])/g, '$1'),
    ...(directive
      ? {
          directive: /^skip/i.test(directive[1] ?? '') ? 'skip' : 'todo',
          ...(directive[2]?.trim() ? { reason: directive[2].trim() } : {}),
        }
      : {}),
    diagnostics: [],
  };
}

/** The YAML block that begins at a line, and its last line; it ends with `...` or where the indentation does. */
function yamlBlock(lines: readonly string[], at: number): { text: string; last: number } | undefined {
  const indent = /^(\s+)---\s*$/.exec(lines[at] as string)?.[1];
  if (indent === undefined) return undefined;
  const block: string[] = [];
  let last = at;
  for (let next = at + 1; next < lines.length; next++) {
    const line = lines[next] as string;
    if (line.trim() !== '' && !line.startsWith(indent)) break;
    last = next;
    if (line.trim() === '...') break;
    if (block.length < MAX_LINES) block.push(line.slice(indent.length));
  }
  return { text: redactText(block.join('\n')), last };
}

/** Test points may come in any order (TAP 14), but each number once and none beyond the plan. */
function* wrongNumbers(tests: readonly OpenTest[], planned: number | undefined): Generator<string> {
  const seen = new Set<number>();
  for (const { number } of tests) {
    if (seen.has(number)) yield `test number ${number} was used twice`;
    seen.add(number);
    if (planned !== undefined && planned === tests.length && (number < 1 || number > planned)) {
      yield `test number ${number} is not in the plan 1..${planned}`;
    }
  }
}
