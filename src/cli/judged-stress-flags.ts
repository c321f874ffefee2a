import * as Flags from '@oclif/core/flags';
import { settable } from './flags.ts';
import { verdictFlags } from './verdict-flags.ts';

/** Flags of the stress workloads whose history is judged, in the place of those the other workloads have. */
export const judgedStressFlags = {
  ...settable({
    workload: Flags.option({
      options: [
        ...(['admin', 'pull', 'push', 'mixed', 'delete'] as const),
        ...(['register', 'ledger', 'herd', 'delete-retag'] as const),
        ...(['list-lag', 'referrers', 'session-hop', 'gc-race'] as const),
      ] as const,
    })({
      default: 'admin',
      helpValue: 'NAME',
      description:
        'what the clients do: admin, pull, push, mixed or delete; or, recorded and judged, register, ledger, herd, delete-retag, list-lag, referrers, session-hop or gc-race',
    }),
  }),
  ...verdictFlags,
  history: Flags.string({ helpValue: 'FILE', description: 'write the record there, for torture check' }),
  'gc-hook': Flags.string({
    helpValue: 'COMMAND',
    description: 'with gc-race: has the registry collect its garbage, again and again',
  }),
};
