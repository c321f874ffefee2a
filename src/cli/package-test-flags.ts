import * as Flags from '@oclif/core/flags';
import { durationFlag, outputFlags, parsedFlag, registryFlags, settable } from './flags.ts';

// Loaded when such a flag is given: `package-test list` does not pay for a client.
const alts = () => import('../alts/index.ts');

const SCHEDULER = 'SCHEDULER';
/** A test of ALTS takes two hours at most. */
const TIMEOUT_MS = 2 * 3_600_000;
const MIN_POLL_MS = 5000;

/** `https://git.example.com/tests.git#curl@main`. */
export const testRepositoryFlag = parsedFlag(
  async (text) => (await alts()).parseTestRepository(text),
  'URL#DIR[@REF]',
);
/** `NAME=VALUE`. */
export const testVariableFlag = parsedFlag(
  async (text) => (await alts()).parseTestVariable(text),
  'NAME=VALUE',
);

const schedulerUrl = {
  ...settable({
    'scheduler-url': parsedFlag(
      async (text) => (await alts()).parseSchedulerUrl(text).href,
      'URL',
    )({
      description: 'the ALTS scheduler: https://HOST, http://HOST:PORT or HOST[:PORT]',
      helpGroup: SCHEDULER,
    }),
  }),
};

/** Which scheduler, as whom, over what kind of connection. */
const schedulerFlags = {
  ...schedulerUrl,
  token: Flags.string({
    env: 'REGOPS_ALTS_TOKEN',
    helpValue: 'TOKEN',
    description: 'its token, as package-test token makes it; REGOPS_ALTS_TOKEN is safer',
    helpGroup: SCHEDULER,
  }),
  ...(Object.fromEntries(
    (['ca-file', 'cert-file', 'key-file', 'insecure', 'retries'] as const).map((name) => [
      name,
      { ...registryFlags[name], helpGroup: SCHEDULER },
    ]),
  ) as Pick<typeof registryFlags, 'ca-file' | 'cert-file' | 'key-file' | 'insecure' | 'retries'>),
};

/** How a test is waited for. No setting is read for them: `timeout` means another thing elsewhere. */
const waitFlags = {
  timeout: durationFlag({
    default: TIMEOUT_MS,
    defaultHelp: async () => '2h',
    description: 'stop waiting after so long; the tests go on',
  }),
  'poll-interval': parsedFlag(async (text) => {
    const { parseDuration, RegopsError } = await import('../base/index.ts');
    const ms = parseDuration(text);
    if (ms >= MIN_POLL_MS) return ms;
    throw new RegopsError('USAGE', 'a scheduler is asked for a test every 5s at most', {
      hints: ['Each question blocks it for up to a second.'],
    });
  }, 'DURATION')({
    default: MIN_POLL_MS,
    defaultHelp: async () => '5s',
    description: 'ask for a test so often at first, more rarely while nothing changes',
  }),
  'pending-timeout': durationFlag({
    description: 'give up a test that was never anything but PENDING for so long',
  }),
};

const several = { multiple: true, multipleNonGreedy: true } as const;
const formats = outputFlags(['table', 'json', 'ndjson', 'junit', 'html']);

/** package-test submit. */
export const packageTestSubmitFlags = {
  dist: parsedFlag(
    async (text) => (await alts()).parseDistribution(text),
    'NAME:VERSION',
  )({ ...several, description: 'test on this distribution, as in debian:12; again for more' }),
  arch: Flags.string({
    ...several,
    helpValue: 'ARCH',
    description: 'test on this architecture, as in amd64 or x86_64; again for more',
  }),
  runner: Flags.string({
    helpValue: 'any|docker|opennebula',
    description: 'who makes the environment [default: any]',
  }),
  repository: parsedFlag(
    async (text) => (await alts()).parseRepository(text),
    'NAME=URL',
  )({
    ...several,
    description: 'take packages from here too: a base URL (rpm) or an apt line (deb); again for more',
  }),
  module: parsedFlag(
    async (text) => (await alts()).parseModule(text),
    'NAME:STREAM:VERSION',
  )({ description: 'enable this module of AppStream' }),
  channel: Flags.string({ helpValue: 'stable|beta', description: 'channel of the package' }),
  'test-repo': testRepositoryFlag({
    ...several,
    description: 'run the tests of this directory of a git repository too; again for more',
  }),
  'test-env': testVariableFlag({
    ...several,
    description: 'a variable for the tests of --test-repo; again for more',
  }),
  callback: Flags.string({
    helpValue: 'PATH|URL',
    description: 'where the worker reports its end: a path at its build system, or a URL',
  }),
  matrix: Flags.string({
    helpValue: 'FILE',
    description: 'submit a batch: packages × distributions × architectures (YAML, JSON or CSV)',
  }),
  unchecked: Flags.boolean({
    description: 'also send runners, distributions and architectures that no known ALTS has',
  }),
  concurrency: Flags.integer({
    char: 'c',
    min: 1,
    max: 4,
    default: 4,
    helpValue: 'N',
    description: 'submit so many at once',
  }),
  'dry-run': Flags.boolean({ description: 'print what would be sent, and send nothing' }),
  wait: Flags.boolean({ description: 'wait until every test has ended, and judge them' }),
  ...waitFlags,
  ...schedulerFlags,
  ...formats,
};

/** package-test result. */
export const packageTestResultFlags = { ...schedulerFlags, ...formats };

/** package-test wait. */
export const packageTestWaitFlags = { ...waitFlags, ...schedulerFlags, ...formats };

/** package-test list. */
export const packageTestListFlags = {
  unfinished: Flags.boolean({ description: 'only those whose end was not seen' }),
  ...schedulerUrl,
  ...outputFlags(['table', 'json']),
};

/** package-test token. */
export const packageTestTokenFlags = {
  email: Flags.string({ required: true, helpValue: 'EMAIL', description: 'whose token it is' }),
  'secret-file': Flags.string({
    helpValue: 'FILE',
    description: "the scheduler's jwt_secret, alone in a file",
    exclusive: ['secret-stdin', 'config'],
  }),
  'secret-stdin': Flags.boolean({
    description: 'read the secret from standard input',
    exclusive: ['config'],
  }),
  config: Flags.string({
    helpValue: 'FILE',
    description: "the scheduler's alts_config.yaml, which has secret and algorithm",
  }),
  algorithm: Flags.string({
    helpValue: 'HS256|HS384|HS512',
    description: "how it is signed [default: the configuration's, or HS256]",
  }),
  expires: durationFlag({ description: 'it is good for so long [default: for ever]' }),
  ...outputFlags(['table', 'json']),
};
