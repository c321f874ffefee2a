import * as Flags from '@oclif/core/flags';
import { durationFlag, outputFlags, parsedFlag, platformFlag, referenceFlag, settable } from './flags.ts';
import { testRepositoryFlag, testVariableFlag } from './package-test-flags.ts';

const alts = () => import('../alts/index.ts');

/** `debian:12`. */
const distributionFlag = parsedFlag(async (text) => (await alts()).parseDistribution(text), 'NAME:VERSION');
/** `NAME=URL`, or an apt line. */
const packageRepositoryFlag = parsedFlag(
  async (text) => (await alts()).parseRepository(text),
  '[NAME=]URL|APT-LINE',
);

const again = { multiple: true, multipleNonGreedy: true } as const;
const LIMITS = 'LIMITS';

/** What package-test run has. */
export const packageTestRunFlags = {
  image: referenceFlag({
    description: 'the image to test in; it is pulled when the engine has it not',
    exactlyOne: ['image', 'dist'],
  }),
  dist: distributionFlag({ description: 'the distribution to test on: the image of that name' }),
  platform: platformFlag({
    description: "test in containers of this platform [default: the engine's own]",
  }),
  repository: packageRepositoryFlag({
    ...again,
    description: 'add this package repository, unsigned ones too; again for more',
  }),
  file: Flags.string({
    ...again,
    helpValue: 'FILE',
    description: 'install this .deb or .rpm too; without a PACKAGE it is what is tested; again for more',
  }),
  script: Flags.string({
    ...again,
    helpValue: 'FILE',
    description: 'run this .sh or .bats once it is installed; TAP is understood; again for more',
  }),
  'test-repo': testRepositoryFlag({
    ...again,
    description: 'run the .sh and .bats of this directory of a git repository too; again for more',
  }),
  'test-env': testVariableFlag({
    ...again,
    description: 'a variable in the environment of these tests; again for more',
  }),
  ...settable({
    keep: Flags.option({ options: ['on-failure', 'always', 'never'] as const })({
      default: 'never',
      description: 'leave the container running, and say how to get into it',
    }),
    jobs: Flags.integer({
      char: 'j',
      default: 1,
      min: 1,
      max: 64,
      helpValue: 'N',
      description: 'packages tested at the same time, each in its own container',
    }),
    network: Flags.option({ options: ['bridge', 'host'] as const })({
      default: 'bridge',
      description: "the container's network",
    }),
    'log-dir': Flags.string({
      helpValue: 'DIR',
      description: 'keep what every stage wrote in files of DIR/PACKAGE',
    }),
    'prepare-timeout': durationFlag({
      default: 600_000,
      defaultHelp: async () => '10m',
      description: 'for repositories and lists',
      helpGroup: LIMITS,
    }),
    'install-timeout': durationFlag({
      default: 600_000,
      defaultHelp: async () => '10m',
      description: 'for the installation',
      helpGroup: LIMITS,
    }),
    'test-timeout': durationFlag({
      default: 1_800_000,
      defaultHelp: async () => '30m',
      description: 'for the integrity checks, and for each script',
      helpGroup: LIMITS,
    }),
    'uninstall-timeout': durationFlag({
      default: 300_000,
      defaultHelp: async () => '5m',
      description: 'for the removal and the search for left-overs',
      helpGroup: LIMITS,
    }),
    'package-timeout': durationFlag({
      default: 7_200_000,
      defaultHelp: async () => '2h',
      description: 'for all of a package',
      helpGroup: LIMITS,
    }),
  }),
  ...outputFlags(['table', 'json', 'ndjson', 'junit', 'html']),
};
