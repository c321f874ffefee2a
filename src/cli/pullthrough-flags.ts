import * as Flags from '@oclif/core/flags';
import {
  durationFlag,
  outputFlags,
  parsedFlag,
  platformFlag,
  refuseUserInfo,
  registryFlags,
  settable,
} from './flags.ts';

/**
 * The flags of pullthrough-bench. Those the seed has keep its names, meaning and defaults; URLs may also have a
 * scheme here.
 */
export const pullthroughFlags = {
  ...settable({
    'pullthrough-url': parsedFlag(
      refuseUserInfo,
      'URL',
    )({ description: 'the pull-through cache that is measured: [http://]HOST[:PORT]' }),
    patterns: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'REGEX,…',
      description: 'one puller for each of these, for the images whose repo:tag it finds; again for more',
    }),
    'iteration-seconds': Flags.integer({
      min: 1,
      max: 604_800,
      default: 60,
      helpValue: 'N',
      description: 'how long a step of the ramp lasts',
    }),
    'tally-seconds': Flags.integer({
      min: 1,
      max: 604_800,
      default: 15,
      helpValue: 'N',
      description: 'how often the pull rate is told',
    }),
    'metrics-file': Flags.string({
      helpValue: 'FILE',
      description: 'write a line of time, images/s and pullers for each tally, with tabs between',
    }),
    filter: Flags.string({ helpValue: 'REGEX', description: 'only images whose repo:tag it finds' }),
    prune: Flags.boolean({
      allowNo: true,
      description: 'have the cache (ociregistry) forget the images after each pass of a puller',
    }),
    shuffle: Flags.boolean({ allowNo: true, description: 'a new order of the images on each pass' }),
    tags: Flags.string({
      default: 'first',
      helpValue: 'first|all|REGEX',
      description: 'which tags of each repository',
    }),
    scenario: Flags.option({ options: ['ramp', 'cold-vs-warm', 'herd'] as const })({
      default: 'ramp',
      description: 'pullers up and down; each image twice; or many clients for one image at once',
    }),
    'path-style': Flags.option({ options: ['in-path', 'mirror', 'ns-query'] as const })({
      default: 'in-path',
      description: "the upstream's host before the repository, the same path, or ?ns=HOST",
    }),
    'upstream-name': Flags.string({
      helpValue: 'HOST[:PORT]',
      description: "what the cache calls the upstream [default: the registry URL's host and port]",
    }),
    platform: platformFlag({
      description: "which image of an index is pulled [default: linux and this machine's architecture]",
    }),
    'layer-concurrency': Flags.integer({
      min: 1,
      max: 100,
      default: 3,
      helpValue: 'N',
      description: 'blobs of one image at once, as docker and containerd do; 1 as the seed',
    }),
    'on-error': Flags.option({ options: ['continue', 'backoff', 'stop'] as const })({
      default: 'backoff',
      description: 'what a puller does after a failed pull',
    }),
    'pullers-per-pattern': Flags.integer({
      min: 1,
      max: 10_000,
      default: 1,
      helpValue: 'N',
      description: 'pullers that each pattern adds',
    }),
    threads: Flags.integer({ min: 1, max: 256, default: 1, helpValue: 'N', description: 'worker threads' }),
    'max-in-flight': Flags.integer({
      min: 1,
      default: 1000,
      helpValue: 'N',
      description: 'with --rate: what is due beyond is dropped and counted',
    }),
    clients: Flags.integer({
      min: 1,
      max: 10_000,
      default: 50,
      helpValue: 'N',
      description: 'of a herd: how many ask for one image at once',
    }),
    'herd-images': Flags.integer({
      min: 1,
      max: 10_000,
      default: 10,
      helpValue: 'N',
      description: 'of a herd: for how many images, one after the other',
    }),
    threshold: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'LIMIT',
      description: "what must hold, like 'p99<2s', 'errors<1%', 'rate>100/s' (images); again for more",
    }),
  }),
  'dry-run': Flags.boolean({ description: 'show the plan and go through its ramp without pulling anything' }),
  'kill-one': Flags.boolean({
    description: 'of a herd: cut one more client off in mid-pull, then ask for an unrelated image',
  }),
  duration: durationFlag({
    description:
      'with --rate and cold-vs-warm: how long to go on [default: the ramp’s time; until all is pulled]',
  }),
  wait: durationFlag({
    description: 'wait so long for the cache to come up [default: 30s with --upstream, else not at all]',
  }),
  'max-pulls': Flags.integer({ min: 1, helpValue: 'N', description: 'end after so many pulls' }),
  rate: Flags.string({
    helpValue: 'N/s',
    description: 'images that are asked for on schedule, however fast they come, instead of pullers',
  }),
  'cold-dir-hook': Flags.string({
    helpValue: 'COMMAND',
    description: 'make the cache forget with this after each pass; REGOPS_PATTERN says what',
    exclusive: ['prune'],
  }),
  upstream: Flags.string({
    helpValue: 'synthetic:SPEC',
    description: 'serve the upstream from here: endless distinct images, see testbed --synthetic',
    exclusive: ['registry-url'],
  }),
  'upstream-port': Flags.integer({
    min: 0,
    max: 65_535,
    helpValue: 'N',
    description: 'port of --upstream, which the cache has to know [default: a free one]',
    dependsOn: ['upstream'],
  }),
  seed: Flags.integer({
    min: 0,
    helpValue: 'N',
    description: 'repeats the random choices of the run that named it',
  }),
  'abort-on-fail': Flags.boolean({ description: 'stop as soon as a threshold is missed' }),
  ...settable({
    'pullthrough-username': Flags.string({
      helpValue: 'NAME',
      helpGroup: 'REGISTRY',
      description: 'user name for the cache; the others are for the upstream',
    }),
    'pullthrough-password': Flags.string({
      helpValue: 'PASSWORD',
      helpGroup: 'REGISTRY',
      description: 'password for the cache; REGOPS_PULLTHROUGH_PASSWORD is safer',
    }),
  }),
  ...registryFlags,
  ...outputFlags(['table', 'json', 'ndjson', 'junit', 'prometheus', 'html']),
};

const SEED_SWITCH = /^--(prune|shuffle|dry-run)=(true|false)$/;

/**
 * Arguments with switches as oclif knows them, for the seed's scripts also write `--prune=true`. `--prune=false`
 * switches off here; the seed prunes then, too.
 */
export function plainSwitches(argv: readonly string[]): string[] {
  return argv.flatMap((argument) => {
    const [, name, value] = SEED_SWITCH.exec(argument) ?? [];
    if (name === undefined) return [argument];
    if (value === 'true') return [`--${name}`];
    return name === 'dry-run' ? [] : [`--no-${name}`];
  });
}
