import {
  checkHistory,
  invariantsNamed,
  isAccepted,
  type RequiredLevel,
  reportVerdict,
  withRepro,
} from '../jobs/torture/verdict/index.ts';
import type { CommandContext, Outcome } from './context.ts';

/** Values of the flags of `torture check`. */
export interface CheckFlagValues {
  readonly require: RequiredLevel;
  readonly allow?: readonly string[] | undefined;
  readonly settle: number;
  readonly 'delete-grace': number;
  readonly strict: boolean;
  readonly repro?: string | undefined;
  readonly finding?: number | undefined;
}

/** Judges a recorded history: that what was required was violated is a problem found (exit 1). */
export async function tortureCheck(
  file: string,
  flags: CheckFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const judged = await checkHistory(
    {
      file,
      required: { level: flags.require, allowed: invariantsNamed(flags.allow ?? []) },
      settleMs: flags.settle,
      deleteGraceMs: flags['delete-grace'],
    },
    context,
  );
  const { result, error } = await withRepro(judged, flags.repro, flags.finding);
  const exitCode = isAccepted(result, flags.strict) ? 0 : 1;
  return { result, report: reportVerdict(result), exitCode, ...(error ? { error } : {}) };
}
