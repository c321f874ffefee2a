import * as Flags from '@oclif/core/flags';
import { parseDuration, RegopsError } from '../base/index.ts';
import {
  durationFlag,
  outputFlags,
  parsedFlag,
  platformFlag,
  registryFlags,
  repositoryFlag,
  settable,
  sizeFlag,
} from './flags.ts';

/**
 * The flags of the torture commands, in groups. Their defaults are the seed's: duration, intervals, ten
 * concurrent requests, a registry on port 7000.
 */
const regexFlag = parsedFlag((text) => {
  try {
    return new RegExp(text);
  } catch {
    throw new RegopsError('USAGE', `'${text.slice(0, 100)}' is not a regular expression`);
  }
}, 'REGEX');

const SECOND = 1000;
/** Timers count up to 2^31 ms. */
const MOST_MS = 24 * 24 * 60 * 60 * SECOND;

/** A time that has to pass: `0s` between two probes would be an attack. */
const periodFlag = parsedFlag((text) => {
  const ms = parseDuration(text);
  if (ms > 0 && ms <= MOST_MS) return ms;
  throw new RegopsError('USAGE', `'${text.slice(0, 100)}' is not a time from 1ms to 24d`);
}, 'DURATION');

/** The same flag with another default; its type stays, so that commands see one flag. */
function withDefault<F extends object>(flag: F, value: unknown): F {
  return { ...flag, default: value };
}

/** All torture commands take a seed; what it does is said by each. */
export function seedFlag(description: string) {
  return { seed: Flags.integer({ min: 0, helpValue: 'N', description }) };
}

/** What every torture command has. */
export const tortureFlags = {
  ...settable({
    duration: periodFlag({
      default: 60 * SECOND,
      defaultHelp: async () => '60s',
      description: 'how long to go on',
    }),
    api: Flags.option({ options: ['auto', 'nscr', 'oci'] as const })({
      default: 'auto',
      description: 'the NSCR admin API, or what /v2/ of any registry shows; auto asks',
    }),
    'max-repositories': Flags.integer({
      min: 1,
      default: 10_000,
      helpValue: 'N',
      description: 'look at no more than these',
    }),
  }),
  repository: regexFlag({ description: 'only repositories whose name it finds' }),
  ...seedFlag('repeats the random choices of the stress run that named it, and the order of its checks'),
  ...registryFlags,
  'registry-url': withDefault(registryFlags['registry-url'], 'http://localhost:7000'),
  // What a retry hides is what is looked for here.
  retries: withDefault(registryFlags.retries, 0),
  ...outputFlags(['table', 'json', 'ndjson', 'junit', 'prometheus', 'html', 'nagios']),
};

export const monitorFlags = settable({
  'state-interval': periodFlag({
    default: 5 * SECOND,
    defaultHelp: async () => '5s',
    description: 'ask for the state this often',
  }),
  'health-interval': periodFlag({
    default: 10 * SECOND,
    defaultHelp: async () => '10s',
    description: 'ask for the health this often',
  }),
  'session-interval': periodFlag({
    default: 20 * SECOND,
    defaultHelp: async () => '20s',
    description: 'ask for uploads under way this often',
  }),
  'long-session': durationFlag({
    default: 300 * SECOND,
    defaultHelp: async () => '5m',
    description: 'warn of an upload older than this',
  }),
  'slow-probe': durationFlag({
    default: 2 * SECOND,
    defaultHelp: async () => '2s',
    description: 'warn of a probe that took longer than this',
  }),
  'on-alert': Flags.string({
    helpValue: 'COMMAND',
    description: 'run this with each alert as JSON on its standard input',
  }),
});

export const consistencyFlags = settable({
  interval: periodFlag({
    default: 15 * SECOND,
    defaultHelp: async () => '15s',
    description: 'begin a pass this often',
  }),
  deep: Flags.boolean({ description: 'read and hash every blob' }),
  'slow-reply': durationFlag({
    default: 5 * SECOND,
    defaultHelp: async () => '5s',
    description: 'report a reply that took longer than this to begin',
  }),
});

export const onceFlag = {
  once: Flags.boolean({ description: 'look once instead of for a duration' }),
};

export const stressFlags = {
  ...settable({
    'concurrent-requests': Flags.integer({
      char: 'c',
      min: 1,
      max: 10_000,
      default: 10,
      helpValue: 'N',
      description: 'clients that wait for their answers',
    }),
    rate: Flags.string({
      helpValue: 'N/s',
      exclusive: ['stages'],
      description: 'operations that start on schedule, however fast they are answered',
    }),
    stages: Flags.string({
      helpValue: 'RATE:TIME,…',
      description: 'a schedule of rates; ..RATE changes evenly from the one before',
    }),
    'max-in-flight': Flags.integer({
      min: 1,
      default: 1000,
      helpValue: 'N',
      description: 'with --rate and --stages: what is due beyond is dropped and counted',
    }),
    threads: Flags.integer({ min: 1, max: 256, default: 1, helpValue: 'N', description: 'worker threads' }),
    threshold: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'LIMIT',
      description: "what must hold, like 'p99<200ms', 'errors<1%', 'rate>100/s'; again for more",
    }),
    workload: Flags.option({ options: ['admin', 'pull', 'push', 'mixed', 'delete'] as const })({
      default: 'admin',
      description: 'what the clients do',
    }),
    weights: Flags.string({ default: 'pull:3,push:1', helpValue: 'W', description: 'of the mixed workload' }),
    'blob-size': Flags.string({
      default: '64KiB:8,1MiB:2',
      helpValue: 'SIZE:WEIGHT,…',
      description: 'sizes of pushed blobs and how often each comes',
    }),
    'chunk-size': sizeFlag({
      default: 4 * 1024 * 1024,
      defaultHelp: async () => '4MiB',
      description: 'of blobs that are pushed in chunks',
    }),
    warmup: durationFlag({
      default: 0,
      defaultHelp: async () => '0s',
      description: 'leave the first part of the run out of the figures',
    }),
    platform: platformFlag({
      description: "which image of an index is pulled [default: linux and this machine's architecture]",
    }),
    'write-prefix': repositoryFlag({ description: 'write only below this [default: regops-torture/RUN]' }),
  }),
  count: Flags.integer({ min: 1, helpValue: 'N', description: 'end after so many operations' }),
  'abort-on-fail': Flags.boolean({ description: 'stop as soon as a threshold is missed' }),
  'yes-write': Flags.boolean({
    description: 'allow workloads that write; what they wrote is removed at the end',
  }),
};
