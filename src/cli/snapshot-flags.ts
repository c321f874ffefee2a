import * as Flags from '@oclif/core/flags';
import type { FlagInput } from '@oclif/core/interfaces';
import { RegopsError } from '../base/index.ts';
import {
  durationFlag,
  outputFlags,
  parsedFlag,
  registryFlags,
  repositoryFlag,
  settable,
  sizeFlag,
} from './flags.ts';

/** The snapshot commands' own settings: `REGOPS_SNAPSHOT_` and the flag's name. */
function snapshotSettable<F extends FlagInput>(flags: F): F {
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [
      name,
      { ...flag, env: `REGOPS_SNAPSHOT_${name.toUpperCase().replaceAll('-', '_')}` },
    ]),
  ) as F;
}

const regexFlag = parsedFlag((text) => {
  try {
    return new RegExp(text, 'i');
  } catch {
    throw new RegopsError('USAGE', `'${text.slice(0, 100)}' is not a regular expression`);
  }
}, 'REGEX');

/** Which repository holds the snapshots, how it is reached, how the answer is given: all snapshot commands have these. */
export const snapshotFlags = {
  ...snapshotSettable({
    repository: repositoryFlag({ description: 'the repository of --registry-url that holds snapshots' }),
  }),
  config: Flags.string({
    helpValue: 'FILE',
    description:
      'take registry, repository and credentials from the snapshot_registry block of this YAML file',
  }),
  ...registryFlags,
};

/** Who carries the image: push and pull have it. */
export const transportFlag = snapshotSettable({
  transport: Flags.option({ options: ['daemon', 'direct'] as const })({
    default: 'daemon',
    description: 'who talks to the registry: the engine, or regops itself (direct)',
  }),
});

/** What snapshot push has beside. */
export const snapshotPushFlags = {
  'snapshot-id': Flags.string({ helpValue: 'ID', description: 'its ID [default: a new one]' }),
  tag: Flags.string({ helpValue: 'TAG', description: 'its tag [default: CONTAINER-ID]' }),
  'from-image': Flags.string({
    helpValue: 'REF',
    description: 'push a snapshot that is in the engine already',
    exclusive: ['snapshot-id', 'label'],
  }),
  pause: Flags.boolean({
    allowNo: true,
    default: true,
    description: 'pause the container while it is committed',
  }),
  label: Flags.string({
    multiple: true,
    multipleNonGreedy: true,
    helpValue: 'KEY=VALUE',
    description: 'give the image this label too; again for more',
  }),
  ...snapshotSettable({
    ttl: durationFlag({
      default: 14 * 86_400_000,
      defaultHelp: async () => '14d',
      description: 'how long it is wanted; prune --expired takes it then (0: for ever)',
    }),
    'scrub-env': regexFlag({
      multiple: true,
      multipleNonGreedy: true,
      description: 'empty variables whose name matches in the image; again for more',
    }),
    also: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'URL/PATH',
      description: 'push it to this repository as well; again for more',
    }),
  }),
  'remove-local': Flags.boolean({ description: 'take it out of the engine when every registry has it' }),
  ...settable({
    compression: Flags.option({ options: ['gzip', 'zstd', 'none'] as const })({
      default: 'gzip',
      description: 'for its layers, with --transport direct',
    }),
  }),
  ...transportFlag,
  ...snapshotFlags,
  ...outputFlags(['table', 'json']),
};

/** Where list and prune look. */
const placeFlags = {
  local: Flags.boolean({ description: 'only in the engine' }),
};

/** What snapshot list has. */
export const snapshotListFlags = {
  ...placeFlags,
  expired: Flags.boolean({ description: 'only those whose time is over' }),
  ...snapshotFlags,
  ...outputFlags(['table', 'json', 'prometheus']),
};

/** What snapshot prune has. */
export const snapshotPruneFlags = {
  'dry-run': Flags.boolean({ description: 'say what would go, and delete nothing' }),
  ...placeFlags,
  expired: Flags.boolean({ description: 'those whose time is over go' }),
  ...snapshotSettable({
    keep: Flags.integer({
      min: 1,
      max: 1_000_000,
      helpValue: 'N',
      description: 'the newest N of every container stay; without the two below all others go',
    }),
    'max-age': durationFlag({ description: 'what is older goes' }),
    'max-total-size': sizeFlag({ description: 'the oldest go until the rest is no larger, in each place' }),
  }),
  ...snapshotFlags,
  ...outputFlags(['table', 'json']),
};
