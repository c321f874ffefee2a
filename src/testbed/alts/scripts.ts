import type { AltsPayload } from './payload.ts';

/** What becomes of a test whose package's name ends so. */
export interface Script {
  /** For the documents, in a few words. */
  readonly meaning: string;
  /** It is queued, and yet the answer is a 400 that names its id: ALTS could not write it down. */
  readonly isUnrecorded?: true;
  /** It never comes to an end: no worker takes it, a worker hangs, or its broker forgets it. */
  readonly never?: 'taken' | 'ended' | 'kept';
  /** Celery's last state. */
  readonly state?: 'SUCCESS' | 'FAILURE' | 'REVOKED';
  /** The worker's result; without it the test passes. */
  readonly result?: (payload: AltsPayload) => unknown;
}

const OK = { success: true };
const STARTED = { initialize_terraform: OK, start_environment: OK, initial_provision: OK };
const INSTALLED = { ...STARTED, system_info: OK, install_package: OK };
const TIDIED = { uninstall_package: OK, stop_environment: OK };

const PASSING_TAP = 'ok 1 - installed\nok 2 - files\nok 3 - libraries\nok 4 - rpath\n1..4\n';

/** A test that passes, as a worker of ALTS reports it. */
export function passed({ package_name, package_version, test_configuration }: AltsPayload): unknown {
  const version = package_version ?? '1.0';
  return {
    ...INSTALLED,
    tests: {
      package_integrity_tests: { success: true, output: `# ${package_name} ${version}\n${PASSING_TAP}` },
    },
    ...(test_configuration?.tests.length && {
      third_party: { third_party_test_smoke: { success: true, output: 'ok 1 - smoke\n1..1\n' } },
    }),
    ...TIDIED,
    logs: [],
  };
}

const failure = (exitCode: number, stdout: string) => ({
  success: false,
  exit_code: exitCode,
  stdout,
  stderr: '',
});

/** By the ending of the package's name, without its hyphen. */
export const SCRIPTS: Readonly<Record<string, Script>> = {
  'fails-start': {
    meaning: 'the environment does not start',
    result: () => ({ initialize_terraform: OK, start_environment: failure(1, 'no space left on device') }),
  },
  'fails-provision': {
    meaning: 'the environment cannot be prepared',
    result: () => ({
      ...STARTED,
      initial_provision: failure(2, 'cannot reach the mirror'),
      stop_environment: OK,
    }),
  },
  'fails-install': {
    meaning: 'the package cannot be installed',
    result: ({ package_name }) => ({
      ...STARTED,
      system_info: OK,
      install_package: failure(100, `E: Unable to locate package ${package_name}`),
      stop_environment: OK,
    }),
  },
  'fails-tests': {
    meaning: 'an integrity test fails',
    result: ({ package_name }) => ({
      ...INSTALLED,
      tests: {
        package_integrity_tests: {
          success: false,
          output: `ok 1 - installed\nnot ok 2 - files\n# /usr/share/${package_name}/data is missing\nok 3 - libraries\n1..3\n`,
        },
      },
      ...TIDIED,
    }),
  },
  'fails-script': {
    meaning: 'a third-party test fails',
    result: () => ({
      ...INSTALLED,
      tests: { package_integrity_tests: { success: true, output: PASSING_TAP } },
      third_party: {
        third_party_test_smoke: {
          success: false,
          output: 'ok 1 - starts\nnot ok 2 - answers\n# timed out\n1..2\n',
        },
      },
      ...TIDIED,
    }),
  },
  'fails-uninstall': {
    meaning: 'the package cannot be removed',
    result: () => ({
      ...INSTALLED,
      tests: { package_integrity_tests: { success: true, output: PASSING_TAP } },
      uninstall_package: failure(1, 'prerm: command failed'),
      stop_environment: OK,
    }),
  },
  dies: { meaning: 'the worker fails without a reason (FAILURE)', state: 'FAILURE' },
  'returns-nothing': { meaning: 'the worker returns no result (null)', result: () => null },
  revoked: { meaning: 'it is called off', result: () => ({ revoked: true }) },
  skipped: {
    meaning: 'the integrity tests are left out',
    result: () => ({ ...INSTALLED, skipped_tests: ['run_package_integrity_tests'], ...TIDIED }),
  },
  unrecorded: { meaning: 'it is queued, but the answer is a 400 with its id', isUnrecorded: true },
  'stays-pending': { meaning: 'no worker takes it (PENDING for ever)', never: 'taken' },
  hangs: { meaning: 'its worker hangs (STARTED for ever)', never: 'ended' },
  forgotten: { meaning: 'it is STARTED, then PENDING for ever: the broker lost it', never: 'kept' },
};

/** The script of a package; undefined when its name follows none. */
export function scriptOf(packageName: string): Script | undefined {
  const ending = Object.keys(SCRIPTS).find((name) => packageName.endsWith(`-${name}`));
  return ending === undefined ? undefined : SCRIPTS[ending];
}
