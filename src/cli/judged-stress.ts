import { RegopsError } from '../base/index.ts';
import { isVerdictWorkload, type Requirement, type VerdictWorkload } from '../jobs/torture/verdict/index.ts';
import type { CommandContext } from './context.ts';
import type { TortureFlagValues } from './torture.ts';
import { runUserCommand } from './user-command.ts';

/** A garbage collection reads a whole registry. */
const GC_TIMEOUT_MS = 600_000;

/** Values of the flags that are for judged workloads alone. */
export interface JudgedFlagValues {
  readonly require?: Requirement['level'];
  readonly allow?: readonly string[] | undefined;
  readonly settle?: number;
  readonly 'delete-grace'?: number;
  readonly strict?: boolean;
  readonly history?: string | undefined;
  readonly repro?: string | undefined;
  readonly 'gc-hook'?: string | undefined;
}

/** What a judged workload does at no schedule, for no figures. */
const FOREIGN = ['rate', 'stages', 'threshold', 'count', 'abort-on-fail'] as const;

/**
 * The workload if it is one that is judged. Throws USAGE for flags that do not go with it, or with the others.
 */
export function judgedWorkload(flags: TortureFlagValues): VerdictWorkload | undefined {
  const { workload = 'admin' } = flags;
  if (!isVerdictWorkload(workload)) {
    for (const name of ['history', 'repro', 'gc-hook', 'allow'] as const) {
      if (flags[name] !== undefined) throw mismatch(name, workload);
    }
    return undefined;
  }
  for (const name of FOREIGN) if (flags[name]) throw mismatch(name, workload);
  if (flags['gc-hook'] !== undefined && workload !== 'gc-race') throw mismatch('gc-hook', workload);
  return workload;
}

/** The user's command for a garbage collection; what it says goes to stderr. */
export function garbageCollector(
  command: string | undefined,
  environment: CommandContext['environment'],
): ((signal: AbortSignal) => Promise<void>) | undefined {
  if (command === undefined) return undefined;
  return (signal) => runUserCommand(command, { environment, timeoutMs: GC_TIMEOUT_MS, signal });
}

function mismatch(flag: string, workload: string): RegopsError {
  return new RegopsError('USAGE', `--${flag} does not go with the workload '${workload}'`);
}
