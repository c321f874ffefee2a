import * as Flags from '@oclif/core/flags';
import { durationFlag, outputFlags, registryFlags, settable } from './flags.ts';
import { stressFlags, tortureFlags } from './torture-flags.ts';

/** Flags of the commands that judge a history: what is required of the registry, and what it is allowed. */
export const verdictFlags = {
  ...settable({
    require: Flags.option({ options: ['linearizable', 'session', 'eventual'] as const })({
      default: 'session',
      description: 'the level every tag must meet; what the spec demands must hold with any',
    }),
    settle: durationFlag({
      default: 10_000,
      defaultHelp: async () => '10s',
      description: 'what lists and lagging replicas may take after the last change',
    }),
    'delete-grace': durationFlag({
      default: 0,
      defaultHelp: async () => '0s',
      description: 'how long what was deleted may still be found',
    }),
  }),
  allow: Flags.string({
    multiple: true,
    multipleNonGreedy: true,
    delimiter: ',',
    helpValue: 'FINDING,…',
    description: 'what the registry is known for: it is reported, and no reason to fail; again for more',
  }),
  strict: Flags.boolean({ description: 'unknown and inconclusive are exit 1 as well' }),
  repro: Flags.string({
    helpValue: 'FILE',
    description: 'write the gravest finding there, for torture replay',
  }),
};

/** Flags of `torture replay`. */
export const replayFlags = {
  ...settable({
    times: Flags.integer({
      min: 1,
      max: 10_000,
      default: 10,
      helpValue: 'N',
      description: 'play it so often',
    }),
    company: Flags.integer({
      min: 0,
      max: 100,
      default: 2,
      helpValue: 'N',
      description: 'clients that upload, push, pull and list beside the play',
    }),
    'write-prefix': stressFlags['write-prefix'],
  }),
  'yes-write': Flags.boolean({
    description: 'allow it to write; what it wrote is removed at the end',
  }),
  'gc-hook': Flags.string({
    helpValue: 'COMMAND',
    description: 'has the registry collect its garbage, where the play has that in it',
  }),
  ...registryFlags,
  'registry-url': tortureFlags['registry-url'],
  retries: tortureFlags.retries,
  ...outputFlags(['table', 'json', 'junit', 'prometheus', 'html', 'nagios']),
};
