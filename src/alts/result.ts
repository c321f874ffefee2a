import { RegopsError } from '../base/index.ts';

/** What one stage of a test says of itself, or a group of stages. */
export interface StageRecord {
  readonly name: string;
  /** Missing when the stage gave no verdict that can be read. */
  readonly success?: boolean;
  readonly exitCode?: number;
  /** What it wrote to its standard output; of tests, mostly TAP. */
  readonly output?: string;
  readonly errorOutput?: string;
  /** The stages inside: the checks of `tests`, the scripts of `third_party`. */
  readonly stages: readonly StageRecord[];
}

/** A log that was kept somewhere else. */
export interface LogLink {
  readonly name: string;
  /** A URL, or a path that only the build system's artifact store understands. */
  readonly href: string;
}

/** A test's result; the local runner makes the same, so that verdicts and reports are one. */
export interface TaskResult {
  readonly stages: readonly StageRecord[];
  readonly logs: readonly LogLink[];
  /** Stages that the scheduler's own list left out for this package. */
  readonly skippedTests: readonly string[];
  /** True for a test that was called off; Celery calls it a SUCCESS all the same. */
  readonly revoked: boolean;
  /** Names of parts that are neither stages nor anything known. */
  readonly ignored: readonly string[];
}

/** Stages of every ALTS version: whatever they hold, they are stages. */
const KNOWN_STAGES = new Set([
  'prepare_environment',
  'initialize_terraform',
  'start_environment',
  'initial_provision',
  'system_info',
  'install_package',
  'tests',
  'third_party_tests_wrapper',
  'third_party',
  'uninstall_package',
  'stop_environment',
  'Unexpected errors during tests',
]);

/** Stages that are groups, and may be empty. */
export const STAGE_GROUPS: ReadonlySet<string> = new Set(['tests', 'third_party']);

const NO_STAGES = new Set(['logs', 'skipped_tests', 'revoked', 'stats', 'api_version', 'task_id']);

const MAX_STAGES = 10_000;
const MAX_DEPTH = 8;
const MAX_ENTRIES = 10_000;
const MAX_NAME = 300;
const MAX_HREF = 4000;

/**
 * Reads a result of any ALTS version. What is unknown is passed over; an unknown part is a stage only when
 * there is a verdict in it.
 *
 * @param document the parsed JSON
 * @throws PROTOCOL_VIOLATION when it is no object, or has more or deeper stages than any test has
 */
export function parseResult(document: unknown): TaskResult {
  if (!isObject(document)) throw violation('is no JSON object');
  let left = MAX_STAGES;
  const ignored: string[] = [];

  const stage = (name: string, value: Record<string, unknown>, depth: number): StageRecord => {
    if (--left < 0) throw violation(`has more than ${MAX_STAGES} stages`);
    if (depth > MAX_DEPTH) throw violation(`has stages more than ${MAX_DEPTH} deep`);
    const exitCode = Number.isSafeInteger(value['exit_code']) ? (value['exit_code'] as number) : undefined;
    const success = verdictIn(value);
    // In a group everything is a stage; in a stage, only what has a verdict: the rest is about the stage itself.
    const group = success === undefined;
    const inner = Object.entries(value).flatMap(([key, child]) =>
      isObject(child) && (group || hasVerdict(child, depth)) ? [stage(key, child, depth + 1)] : [],
    );
    return {
      name: name.slice(0, MAX_NAME),
      ...(success === undefined ? {} : { success }),
      ...(exitCode === undefined ? {} : { exitCode }),
      ...optional('output', textIn(value, 'output') ?? textIn(value, 'stdout')),
      ...optional('errorOutput', textIn(value, 'stderr')),
      stages: inner,
    };
  };

  const stages: StageRecord[] = [];
  for (const [name, value] of Object.entries(document)) {
    if (NO_STAGES.has(name)) continue;
    if (KNOWN_STAGES.has(name)) stages.push(stage(name, isObject(value) ? value : {}, 1));
    else if (isObject(value) && hasVerdict(value, 1)) stages.push(stage(name, value, 1));
    else if (ignored.length < MAX_ENTRIES) ignored.push(name.slice(0, MAX_NAME));
  }
  return {
    stages,
    logs: logsIn(document['logs']),
    skippedTests: Array.isArray(document['skipped_tests'])
      ? document['skipped_tests']
          .filter((name) => typeof name === 'string')
          .slice(0, MAX_ENTRIES)
          .map((name) => name.slice(0, MAX_NAME))
      : [],
    revoked: document['revoked'] === true,
    ignored,
  };
}

/** `success`, or what the exit code says (workers that upload no artifacts send both). */
function verdictIn(value: Record<string, unknown>): boolean | undefined {
  if (typeof value['success'] === 'boolean') return value['success'];
  if ('success' in value) return undefined;
  return typeof value['exit_code'] === 'number' ? value['exit_code'] === 0 : undefined;
}

function hasVerdict(value: Record<string, unknown>, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  return (
    'success' in value ||
    verdictIn(value) !== undefined ||
    Object.values(value).some((child) => isObject(child) && hasVerdict(child, depth + 1))
  );
}

/** A list of `{name, href}` (Pulp), or an object of name and URL (the days of Azure). */
function logsIn(logs: unknown): LogLink[] {
  const links = Array.isArray(logs)
    ? logs.filter(isObject).map(({ name, href }) => [name, href])
    : Object.entries(isObject(logs) ? logs : {});
  return links
    .slice(0, MAX_ENTRIES)
    .flatMap(([name, href]) =>
      typeof name === 'string' && typeof href === 'string'
        ? [{ name: name.slice(0, MAX_NAME), href: href.slice(0, MAX_HREF) }]
        : [],
    );
}

function textIn(value: Record<string, unknown>, key: string): string | undefined {
  const text = value[key];
  return typeof text === 'string' && text !== '' ? text : undefined;
}

function optional<K extends string>(key: K, value: string | undefined): { readonly [P in K]?: string } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: string });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function violation(why: string): RegopsError {
  return new RegopsError('PROTOCOL_VIOLATION', `the result of a test ${why}`);
}
