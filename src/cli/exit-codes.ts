import type { ErrorKind, RegopsError } from '../base/index.ts';

/** The command worked and found a problem: neither success nor failure of regops itself. */
export const EXIT_FOUND = 1;

/** The exit code of each kind of failure, after sysexits(3); cli.md is the contract. */
export const EXIT_CODES: Readonly<Record<ErrorKind, number>> = {
  usage: 64,
  data: 65,
  missing: 66,
  unreachable: 69,
  bug: 70,
  'cannot-write': 73,
  io: 74,
  temporary: 75,
  protocol: 76,
  denied: 77,
  config: 78,
  interrupted: 130,
};

/** What a stopped program leaves with: 128 and the signal's number. */
export const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Monitoring-plugin codes, used instead of all others by `--format nagios`. */
export const NAGIOS = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;

/**
 * Failures seen by a monitoring system: what the other side did (or did not) is CRITICAL, what was wrong
 * with the call, this machine or regops is UNKNOWN. An unreachable registry is the very thing a check is
 * there to find (monitoring-plugins guidelines, "Plugin Return Codes").
 */
const NAGIOS_CODES: Readonly<Record<ErrorKind, number>> = {
  usage: NAGIOS.unknown,
  data: NAGIOS.critical,
  missing: NAGIOS.critical,
  unreachable: NAGIOS.critical,
  bug: NAGIOS.unknown,
  'cannot-write': NAGIOS.unknown,
  io: NAGIOS.unknown,
  temporary: NAGIOS.critical,
  protocol: NAGIOS.critical,
  denied: NAGIOS.critical,
  config: NAGIOS.unknown,
  interrupted: NAGIOS.unknown,
};

/** The process's exit code for a failure; `nagios` chooses the monitoring plugins' table. */
export function exitCodeOf(error: RegopsError, nagios = false): number {
  return nagios ? NAGIOS_CODES[error.kind] : EXIT_CODES[error.kind];
}

/** One line of a help page's EXIT STATUS section. */
export type ExitStatus = readonly [code: string, meaning: string];

/** What every command may leave with; a command that can say more exactly what its 1 means gives its own list. */
export const COMMON_EXIT_STATUS: readonly ExitStatus[] = [
  ['0', 'done, nothing wrong found'],
  ['1', 'the command worked and found a problem'],
  ['64', 'usage: unknown flag, bad value'],
  ['65', 'bad input data: broken archive, invalid manifest, digest mismatch'],
  ['66', 'input missing: no such file, image, tag or setting'],
  ['69', 'registry or engine unreachable'],
  ['70', 'a bug in regops'],
  ['73, 74', 'cannot write output; input or output error'],
  ['75', 'temporary: rate-limited or timed out after all retries'],
  ['76', 'the other side broke the protocol'],
  ['77', 'authentication or permission denied'],
  ['78', 'bad settings or environment'],
  ['130, 143', 'interrupted by SIGINT or SIGTERM'],
];
