import { replay, reportReplay } from '../jobs/torture/verdict/index.ts';
import type { CommandContext, Outcome } from './context.ts';
import { garbageCollector } from './judged-stress.ts';
import { openRegistries, type Registries, type RegistryFlagValues } from './registries.ts';

/** Values of `replayFlags`. */
export interface ReplayFlagValues extends RegistryFlagValues {
  readonly times: number;
  readonly company: number;
  readonly 'write-prefix'?: string | undefined;
  readonly 'yes-write': boolean;
  readonly 'gc-hook'?: string | undefined;
}

/** Plays a repro file against the registry: that it comes true again, in whichever round, is a problem found (exit 1). */
export async function tortureReplay(
  file: string,
  flags: ReplayFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const registries = await openRegistries(flags, context);
  const { result, error } = await replay(
    {
      domain: (registries.named as NonNullable<Registries['named']>).domain,
      file,
      times: flags.times,
      company: flags.company,
      writePrefix: flags['write-prefix'],
      yesWrite: flags['yes-write'],
    },
    {
      ...context,
      registry: (domain) => registries.client(domain),
      collectGarbage: garbageCollector(flags['gc-hook'], context.environment),
    },
  );
  const exitCode = result.reproduced > 0 ? 1 : 0;
  return { result, report: reportReplay(result), exitCode, ...(error ? { error } : {}) };
}
