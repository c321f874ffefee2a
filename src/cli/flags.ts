/**
 * The flags that commands share, as groups to spread into a command's `flags`, and flag types for the
 * values regops knows. Every flag that {@link settable} has seen can also be given as `REGOPS_…` and in
 * the settings file.
 */
import * as Flags from '@oclif/core/flags';
import type { FlagInput } from '@oclif/core/interfaces';
import { isRegopsError, parseDuration, parseRate, parseSize, RegopsError } from '../base/index.ts';

/** The forms an answer can take. */
export type OutputFormat = 'table' | 'json' | 'ndjson' | 'junit' | 'prometheus' | 'html' | 'nagios';

/** Flags whose values never appear in any message, in settings, or in help. */
export const SECRET_FLAGS: ReadonlySet<string> = new Set([
  'password',
  'pullthrough-password',
  'token',
  'secret',
  'auth',
]);

/** The environment variable of a flag: `REGOPS_` and its name in upper case. */
export function environmentName(flag: string): string {
  return `REGOPS_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Gives every flag of the group its `REGOPS_…` variable, and with it a place in the settings file.
 * Leave out flags that must be said each time (`--all-tags`, `--yes-write`).
 */
export function settable<F extends FlagInput>(flags: F): F {
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [name, { ...flag, env: environmentName(name) }]),
  ) as F;
}

/** A flag type from a parser that throws RegopsErrors; whatever it throws becomes a usage error. */
export function parsedFlag<T>(parse: (text: string) => T | Promise<T>, helpValue: string) {
  return Flags.custom<T>({
    helpValue,
    // oclif's type of a parser's result cannot be written for a T that is still open.
    parse: ((text: string) => asUsage(() => parse(text))) as never,
  });
}

async function asUsage<T>(parse: () => T | Promise<T>): Promise<T> {
  try {
    return await parse();
  } catch (error) {
    if (!isRegopsError(error) || error.kind === 'usage') throw error;
    throw new RegopsError('USAGE', error.message, { hints: error.hints, cause: error });
  }
}

// Loaded when such a flag is given: a command that needs no references does not pay for their grammar.
const oci = () => import('../oci/index.ts');

/** `64MiB`, in bytes. */
export const sizeFlag = parsedFlag(parseSize, 'SIZE');
/** `30s`, in milliseconds. */
export const durationFlag = parsedFlag(parseDuration, 'DURATION');
/** `200/s` or `10MiB/s`, per second. */
export const rateFlag = parsedFlag(parseRate, 'RATE');
/** `10MiB/s`, in bytes per second; below 1 KiB/s a request would take for a dead one. */
export const byteRateFlag = parsedFlag((text) => {
  const rate = parseRate(text);
  if (rate >= 1024) return rate;
  throw new RegopsError('USAGE', `${text} is too slow`, { hints: ['Give at least 1KiB/s.'] });
}, 'RATE');
/** A full reference. */
export const referenceFlag = parsedFlag(async (text) => (await oci()).parseReference(text), 'REF');
/** A repository's path, without a registry. */
export const repositoryFlag = parsedFlag(async (text) => (await oci()).parseRepository(text), 'REPOSITORY');
/** A tag. */
export const tagFlag = parsedFlag(async (text) => (await oci()).parseTag(text), 'TAG');
/** `linux/arm64`. */
export const platformFlag = parsedFlag(async (text) => (await oci()).parsePlatform(text), 'OS/ARCH');
/** `linux/arm64`, or `all`. */
export const platformOrAllFlag = parsedFlag(
  async (text) => (text === 'all' ? ('all' as const) : (await oci()).parsePlatform(text)),
  'OS/ARCH|all',
);

/** A file to write; `--output "$UNSET"` shall not be noticed only when the work is done. */
const fileFlag = parsedFlag((path) => {
  if (path !== '') return path;
  throw new RegopsError('USAGE', 'the name of the file is empty');
}, 'FILE');

/** A password in a URL would be shown wherever the URL is: refused before it can be stored or printed. */
export function refuseUserInfo(url: string): string {
  if (!/^[^/]*(\/\/)?[^/]*@/.test(url)) return url;
  throw new RegopsError('USAGE', 'a registry URL must not hold a user name or password', {
    hints: ['Use --username and --password-stdin, or regops login.'],
  });
}

/**
 * How the answer is given and what is said beside it: every command has these.
 * @param formats the forms this command offers; the first is the default
 */
export function outputFlags<const F extends OutputFormat>(formats: readonly [F, ...F[]]) {
  const group = 'OUTPUT';
  return settable({
    format: Flags.custom<F>({ options: formats })({
      default: formats[0],
      description: 'form of the answer',
      helpGroup: group,
    }),
    json: Flags.boolean({
      description: 'the same as --format json',
      helpGroup: group,
      exclusive: ['format'],
    }),
    output: fileFlag({
      char: 'o',
      description: 'write the answer to FILE, leave a summary on stdout (-: stdout)',
      helpGroup: group,
    }),
    quiet: Flags.boolean({ char: 'q', description: 'no progress and no hints', helpGroup: group }),
    verbose: Flags.boolean({
      char: 'v',
      description: 'one line per request, where settings came from, causes of errors',
      helpGroup: group,
    }),
    'no-color': Flags.boolean({ description: 'no colours (also: NO_COLOR)', helpGroup: group }),
    'log-file': fileFlag({
      description: 'append everything -v would say to FILE',
      helpGroup: group,
    }),
    profile: Flags.string({
      description: 'take defaults from this profile of the settings file',
      helpGroup: group,
      helpValue: 'NAME',
    }),
  });
}

const REGISTRY = 'REGISTRY';

/** Which registry, as whom, over what kind of connection: every command that talks to a registry has these. */
export const registryFlags = settable({
  'registry-url': parsedFlag(
    refuseUserInfo,
    'URL',
  )({
    description: 'the registry: https://HOST, http://HOST:PORT or HOST[:PORT]',
    helpGroup: REGISTRY,
  }),
  username: Flags.string({ char: 'u', description: 'user name', helpGroup: REGISTRY, helpValue: 'NAME' }),
  password: Flags.string({
    description: 'password; --password-stdin or REGOPS_PASSWORD is safer',
    helpGroup: REGISTRY,
    helpValue: 'PASSWORD',
  }),
  'password-stdin': Flags.boolean({
    description: 'read the password from standard input',
    helpGroup: REGISTRY,
    exclusive: ['password'],
  }),
  token: Flags.string({
    description: 'send this bearer token instead of asking for one',
    helpGroup: REGISTRY,
    helpValue: 'TOKEN',
    exclusive: ['username', 'password', 'password-stdin'],
  }),
  'allow-realm': Flags.string({
    multiple: true,
    multipleNonGreedy: true,
    description: 'accept this token service although its address is a private or loopback one',
    helpGroup: REGISTRY,
    helpValue: 'HOST:PORT',
  }),
  'ca-file': Flags.string({
    description: 'trust the certificate authorities in FILE as well (PEM)',
    helpGroup: REGISTRY,
    helpValue: 'FILE',
  }),
  'cert-file': Flags.string({
    description: 'client certificate (PEM)',
    helpGroup: REGISTRY,
    helpValue: 'FILE',
    dependsOn: ['key-file'],
  }),
  'key-file': Flags.string({
    description: 'key of the client certificate (PEM)',
    helpGroup: REGISTRY,
    helpValue: 'FILE',
    dependsOn: ['cert-file'],
  }),
  'certs-dir': Flags.string({
    description: 'certificates by host, as in /etc/docker/certs.d',
    helpGroup: REGISTRY,
    helpValue: 'DIR',
  }),
  insecure: Flags.boolean({ description: 'do not check certificates', helpGroup: REGISTRY }),
  'plain-http': Flags.boolean({ description: 'speak http, not https', helpGroup: REGISTRY }),
  timeout: durationFlag({
    default: 30_000,
    description: 'give up on a request that stands still this long',
    helpGroup: REGISTRY,
  }),
  retries: Flags.integer({
    default: 4,
    description: 'how often a failed request is repeated',
    helpGroup: REGISTRY,
    helpValue: 'N',
    min: 0,
    max: 100,
  }),
});
