import type { OutputFormat } from './flags.ts';

/** What must be known before the flags are parsed: where a failure of the parsing itself is to be told. */
export interface RawArgv {
  readonly format: string | undefined;
  readonly profile: string | undefined;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly noColor: boolean;
}

/** Looks at the arguments before any `--`, and at the variables that stand for the same flags. */
export function readRawArgv(argv: readonly string[], environment: NodeJS.ProcessEnv): RawArgv {
  const end = argv.indexOf('--');
  const flags = end === -1 ? argv : argv.slice(0, end);
  const has = (name: string, char?: string): boolean =>
    flags.some(
      (arg) => arg === `--${name}` || (char !== undefined && /^-[a-zA-Z]+$/.test(arg) && arg.includes(char)),
    );
  const textOf = (name: string): string | undefined => {
    const at = flags.findIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
    if (at === -1) return undefined;
    return flags[at]?.includes('=') ? flags[at].slice(name.length + 3) : flags[at + 1];
  };
  const json = has('json') || (textOf('format') === undefined && isTrue(environment['REGOPS_JSON']));
  return {
    format: json ? 'json' : (textOf('format') ?? environment['REGOPS_FORMAT']),
    profile: textOf('profile') ?? (environment['REGOPS_PROFILE'] || undefined),
    quiet: has('quiet', 'q') || isTrue(environment['REGOPS_QUIET']),
    verbose: has('verbose', 'v') || isTrue(environment['REGOPS_VERBOSE']),
    noColor: has('no-color') || isTrue(environment['REGOPS_NO_COLOR']),
  };
}

const FOR_PROGRAMS: readonly string[] = [
  'json',
  'ndjson',
  'junit',
  'prometheus',
  'nagios',
] satisfies OutputFormat[];

/** The form in which a failure of the parsing is told on stdout: as asked if programs read it, else none but stderr. */
export function refusalFormat({ format }: RawArgv): OutputFormat {
  return format !== undefined && FOR_PROGRAMS.includes(format) ? (format as OutputFormat) : 'table';
}

function isTrue(value: string | undefined): boolean {
  return /^(1|true|y|yes|on)$/i.test(value ?? '');
}
