import { escapeText, RegopsError, redactUrl } from '../base/index.ts';
import { ARCHITECTURES, CHANNELS, DISTRIBUTIONS, familyOf, OWN_NAMES, RUNNERS } from './choices.ts';
import { checkRepository, type Repository, shownRepository } from './repository.ts';

/** A test as it is asked for; every field is checked by {@link checkRequest}. */
export interface TaskRequest {
  /** Default: `any`. */
  readonly runner?: string;
  readonly distribution: Distribution;
  readonly architecture: string;
  readonly package: Package;
  readonly repositories?: readonly Repository[];
  readonly module?: Module;
  readonly channel?: string;
  readonly testRepositories?: readonly TestRepository[];
  /** Variables of the third-party tests. ALTS reads them since September 2023. */
  readonly testEnvironment?: Readonly<Record<string, string>>;
  /** Where the worker reports to when it is done: a path at the build system, or (until September 2021) a URL. */
  readonly callback?: string;
}

export interface Distribution {
  readonly name: string;
  readonly version: string;
}

export interface Package {
  readonly name: string;
  /** For rpm `version-release`, as the build system sends it. */
  readonly version?: string;
}

/** A module of AppStream: ALTS enables it only when all three are given. */
export interface Module {
  readonly name: string;
  readonly stream: string;
  readonly version: string;
}

/** Third-party tests. */
export interface TestRepository {
  readonly url: string;
  readonly directory: string;
  readonly ref?: string;
  /** Files of the directory; without them all are run. */
  readonly tests?: readonly string[];
}

const DIST_NAME = /^[a-z][a-z0-9_-]{0,63}$/;
const DIST_VERSION = /^[a-z0-9][a-z0-9._-]{0,63}$/i;
const WORD = /^[a-z0-9][a-z0-9_-]{0,63}$/i;
/** Debian policy 5.6.1 and rpm's own names; the worker writes it into command lines, so nothing else may pass. */
const PACKAGE_NAME = /^[a-z0-9][a-z0-9._+-]{0,199}$/i;
/** Debian policy 5.6.12 and rpm: `1:2.3~rc1-4^git5`. */
const PACKAGE_VERSION = /^[a-z0-9][a-z0-9.+~^:_-]{0,199}$/i;
const MODULE_PART = /^[a-z0-9][a-z0-9.+_-]{0,99}$/i;
const DIRECTORY = /^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))[a-z0-9._/+-]{1,500}$/i;
const GIT_REF = /^(?!.*\.\.)[a-z0-9_][a-z0-9._/+-]{0,199}$/i;
const TEST_FILE = DIRECTORY;
const ENVIRONMENT_NAME = /^[a-z_][a-z0-9_]{0,199}$/i;
/** No line break: ALTS hands them over as a list of lines. */
const ENVIRONMENT_VALUE = /^[^\0\r\n]{0,4000}$/;
/** What a shell and Python's `split('=')` leave alone. */
const PLAIN_VALUE = /^[\w.,:/@%+-]*$/;
/** No dash: ssh would take it for an option. */
const AUTHORITY = /^(?:[a-z0-9_][^@/]*@)?[a-z0-9_[][^@/]*$/i;
const MAX_REPOSITORIES = 100;
const MAX_VARIABLES = 100;

/** `debian:12`, `almalinux:10-kitten`. Throws USAGE. */
export function parseDistribution(text: string): Distribution {
  const [, name, version] = /^([^:]+):(.+)$/.exec(text.trim()) ?? [];
  if (name === undefined || version === undefined) {
    throw usage('distribution', text, 'Write NAME:VERSION, as in debian:12 or almalinux:9.');
  }
  return checkDistribution({ name: name.toLowerCase(), version });
}

/** `curl`, `curl=7.88.1-10`. Throws USAGE. */
export function parsePackage(text: string): Package {
  const at = text.indexOf('=');
  return checkPackage(at === -1 ? { name: text } : { name: text.slice(0, at), version: text.slice(at + 1) });
}

/** `nodejs:18:8060020221209` (name, stream, version). Throws USAGE. */
export function parseModule(text: string): Module {
  const [name = '', stream = '', version = '', ...rest] = text.split(':');
  if (rest.length > 0) throw usage('module', text, 'Write NAME:STREAM:VERSION.');
  return checkModule({ name, stream, version });
}

/** `https://git.example.com/tests.git#DIR` or `…#DIR@REF`. Throws USAGE. */
export function parseTestRepository(text: string): TestRepository {
  const [, url = '', directory = '', ref] = /^([^#]*)#([^@]*)(?:@(.*))?$/s.exec(text) ?? [];
  return checkTestRepository({ url, directory, ...(ref === undefined ? {} : { ref }) });
}

/** `NAME=VALUE`, a variable for third-party tests. Throws USAGE, which never quotes the value. */
export function parseTestVariable(text: string): readonly [name: string, value: string] {
  const at = text.indexOf('=');
  const [name, value] = at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  if (at === -1) throw usage('test variable', name, 'Write NAME=VALUE.');
  checkTestEnvironment({ [name]: value });
  return [name, value];
}

/**
 * Checks everything a scheduler would answer with an unexplained failure, and what must not get into its
 * command lines.
 *
 * @param options.unchecked lets runners, distributions and architectures pass that no ALTS version knows
 * @returns the request, its distribution in lower case as ALTS wants it
 * @throws USAGE for the first thing that is wrong
 */
export function checkRequest(
  request: TaskRequest,
  options: { readonly unchecked?: boolean } = {},
): TaskRequest {
  const distribution = checkDistribution({
    ...request.distribution,
    name: request.distribution.name.toLowerCase(),
  });
  const { runner, architecture, channel, repositories = [], testRepositories = [] } = request;
  const known = (what: string, value: string, list: readonly string[]): void => {
    if (!WORD.test(value)) throw usage(what, value, `One of: ${list.join(', ')}.`);
    if (!options.unchecked && !list.includes(value)) throw unknown(what, value, list);
  };
  if (runner !== undefined) known('runner', runner, RUNNERS);
  known('distribution', distribution.name, Object.keys(DISTRIBUTIONS));
  known('architecture', architecture, ARCHITECTURES);
  if (channel !== undefined) known('channel', channel, CHANNELS);
  checkPackage(request.package);
  if (request.module) checkModule(request.module);
  if (repositories.length > MAX_REPOSITORIES || testRepositories.length > MAX_REPOSITORIES) {
    throw new RegopsError('USAGE', `more than ${MAX_REPOSITORIES} repositories for one test`);
  }
  const family = familyOf(distribution.name);
  for (const repository of repositories) checkRepository(repository, family);
  for (const repository of testRepositories) checkTestRepository(repository);
  checkTestEnvironment(request.testEnvironment ?? {});
  if (request.callback !== undefined && !/^(?:https?:\/\/|\/)[!-~]{0,2000}$/.test(request.callback)) {
    throw usage('callback', request.callback, 'Write a path that begins with / or an http(s) URL.');
  }
  return { ...request, distribution };
}

/** What in a valid request is probably not meant so. Each is one line. */
export function requestWarnings(request: TaskRequest): string[] {
  const { distribution, architecture, repositories = [] } = request;
  const { testRepositories = [], testEnvironment = {} } = request;
  const family = familyOf(distribution.name.toLowerCase());
  const own = family && OWN_NAMES[family][architecture];
  return [
    ...(own ? [`${distribution.name} calls the architecture ${architecture} ${own}`] : []),
    // ALTS adds the build system's own token to the URL of a repository so named.
    ...repositories
      .filter(({ name }) => name?.includes('-br'))
      .map(
        (repository) =>
          `the name of the repository ${shownRepository(repository)} holds '-br': ALTS sends its build system's token there`,
      ),
    // Others are "an unknown repository format" to its worker, which says so in a debug line alone.
    ...testRepositories
      .filter(({ url }) => !url.endsWith('.git') && !url.includes('gerrit'))
      .map(
        ({ url }) =>
          `ALTS passes over the test repository ${redactUrl(url)}, whose URL does not end in .git: its tests are not run`,
      ),
    ...(testRepositories.length === 0 && Object.keys(testEnvironment).length > 0
      ? ['the test variables are for third-party tests, and there are none']
      : []),
    // In virtual machines they stand before the command in a shell's line.
    ...Object.entries(testEnvironment)
      .filter(([, value]) => !PLAIN_VALUE.test(value))
      .map(([name]) => `the value of ${name} has characters that ALTS hands to a shell without quotes`),
  ];
}

/** The body of `POST /tasks/schedule`. ALTS ignores keys that its version does not know. */
export interface SchedulePayload {
  readonly runner_type: string;
  readonly dist_name: string;
  readonly dist_version: string;
  readonly dist_arch: string;
  readonly package_name: string;
  readonly package_version?: string;
  /** The code reads `baseurl`, its documents say `url`: both are sent. */
  readonly repositories: readonly {
    readonly name?: string;
    readonly baseurl: string;
    readonly url: string;
  }[];
  readonly callback_href?: string;
  readonly callback_url?: string;
  readonly module_name?: string;
  readonly module_stream?: string;
  readonly module_version?: string;
  readonly package_channel?: string;
  readonly test_configuration?: {
    readonly tests: readonly {
      readonly url: string;
      readonly test_dir: string;
      readonly git_ref?: string;
      readonly tests_to_run?: readonly string[];
    }[];
    readonly test_env?: { readonly extra_env_vars: readonly string[] };
  };
}

/** A request as it goes over the wire. Pure; checks nothing. */
export function toPayload(request: TaskRequest): SchedulePayload {
  const { runner = 'any', distribution, architecture, module, channel, callback } = request;
  const { testRepositories = [], testEnvironment } = request;
  return {
    runner_type: runner,
    dist_name: distribution.name,
    dist_version: distribution.version,
    dist_arch: architecture,
    package_name: request.package.name,
    ...(request.package.version === undefined ? {} : { package_version: request.package.version }),
    repositories: (request.repositories ?? []).map(({ name, url }) => ({
      ...(name === undefined ? {} : { name }),
      baseurl: url,
      url,
    })),
    ...(module
      ? { module_name: module.name, module_stream: module.stream, module_version: module.version }
      : {}),
    ...(channel === undefined ? {} : { package_channel: channel }),
    ...(testRepositories.length > 0 || testEnvironment
      ? {
          test_configuration: {
            tests: testRepositories.map(({ url, directory, ref, tests }) => ({
              url,
              test_dir: directory,
              ...(ref === undefined ? {} : { git_ref: ref }),
              ...(tests ? { tests_to_run: tests } : {}),
            })),
            ...(testEnvironment
              ? {
                  test_env: {
                    extra_env_vars: Object.entries(testEnvironment).map(
                      ([name, value]) => `${name}=${value}`,
                    ),
                  },
                }
              : {}),
          },
        }
      : {}),
    ...(callback === undefined
      ? {}
      : callback.startsWith('/')
        ? { callback_href: callback }
        : { callback_url: callback }),
  };
}

function checkDistribution(distribution: Distribution): Distribution {
  const { name, version } = distribution;
  if (!DIST_NAME.test(name) || !DIST_VERSION.test(version)) {
    throw usage('distribution', `${name}:${version}`, 'Write NAME:VERSION, as in debian:12 or almalinux:9.');
  }
  return distribution;
}

function checkPackage(wanted: Package): Package {
  const { name, version } = wanted;
  if (!PACKAGE_NAME.test(name))
    throw usage('package', name, 'Write NAME or NAME=VERSION, as in curl=7.88.1-10.');
  if (version !== undefined && !PACKAGE_VERSION.test(version)) {
    throw usage(
      `version of ${name}`,
      version,
      'Write it as the package manager does, as in 7.88.1-10+deb12u5.',
    );
  }
  return wanted;
}

function checkModule(module: Module): Module {
  const parts = [module.name, module.stream, module.version];
  if (!parts.every((part) => MODULE_PART.test(part))) {
    throw usage(
      'module',
      parts.join(':'),
      'Write NAME:STREAM:VERSION; ALTS uses a module only with all three.',
    );
  }
  return module;
}

function checkTestEnvironment(variables: Readonly<Record<string, string>>): void {
  const entries = Object.entries(variables);
  if (entries.length > MAX_VARIABLES) {
    throw new RegopsError('USAGE', `more than ${MAX_VARIABLES} test variables`);
  }
  for (const [name, value] of entries) {
    if (!ENVIRONMENT_NAME.test(name)) {
      throw usage('test variable', name, 'Write NAME=VALUE; a name has letters, digits and underscores.');
    }
    if (!ENVIRONMENT_VALUE.test(value)) {
      throw usage('value of the test variable', name, 'A value is one line of at most 4000 characters.');
    }
  }
}

function checkTestRepository(repository: TestRepository): TestRepository {
  const { url, directory, ref, tests = [] } = repository;
  const hint = 'Write URL#DIR or URL#DIR@REF, as in https://git.example.com/tests.git#curl@main.';
  const parsed = URL.parse(url);
  const usable =
    parsed !== null &&
    ['https:', 'http:', 'ssh:', 'git:'].includes(parsed.protocol) &&
    AUTHORITY.test(url.replace(/^[a-z]+:\/\//i, '').replace(/[/?].*$/, '')) &&
    /^[!-~]{1,2000}$/.test(url);
  if (!usable) throw new RegopsError('USAGE', 'invalid URL of a test repository', { hints: [hint] });
  if (!DIRECTORY.test(directory)) throw usage('directory of a test repository', directory, hint);
  if (ref !== undefined && !GIT_REF.test(ref)) throw usage('git reference', ref, hint);
  for (const test of tests) {
    if (!TEST_FILE.test(test)) throw usage('test file', test, 'Name files inside the test directory.');
  }
  return repository;
}

function usage(what: string, text: string, ...hints: string[]): RegopsError {
  return new RegopsError('USAGE', `invalid ${what} '${escapeText(text.slice(0, 100))}'`, { hints });
}

function unknown(what: string, value: string, list: readonly string[]): RegopsError {
  return new RegopsError('USAGE', `ALTS knows no ${what} '${escapeText(value)}'`, {
    hints: [`Known: ${list.join(', ')}.`, 'A scheduler answers an unknown one with a bare 500.'],
  });
}
