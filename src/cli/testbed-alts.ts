import {
  checkRequest,
  parseTestVariable,
  type StageRecord,
  type TaskRequest,
  type TaskResult,
} from '../alts/index.ts';
import { isRegopsError, RegopsError } from '../base/index.ts';
import { ALTS_LIMITS, runPackageTests, type TestFolder } from '../jobs/package-test/run/index.ts';
import { type Platform, parsePlatform, parseReference } from '../oci/index.ts';
import { silentProgress } from '../progress/index.ts';
import type { AltsPayload, RunTask } from '../testbed/index.ts';
import type { CommandContext } from './context.ts';
import { engineOf } from './engine.ts';
import { openRegistries } from './registries.ts';
import { type FetchedTests, fetchTests } from './test-repositories.ts';

/**
 * What the testbed's scheduler runs tests with: containers of the engine that docker's environment names; undefined
 * when none answers.
 */
export async function localRunner(context: CommandContext): Promise<RunTask | undefined> {
  const engine = engineOf(context);
  try {
    await engine();
  } catch (error) {
    if (!isRegopsError(error) || error.code === 'INTERRUPTED') throw error;
    context.log.info(`no engine answers, so tests are not run for real: ${error.message}`);
    return undefined;
  }
  const registries = await openRegistries({}, context);
  return async (payload, signal) => {
    const request = requestOf(payload);
    const fetched: FetchedTests[] = [];
    try {
      for (const repository of request.testRepositories ?? []) {
        const { environment } = context;
        const timeoutMs = ALTS_LIMITS.prepareMs;
        fetched.push(await fetchTests(repository, { environment, signal, timeoutMs, foreign: true }));
      }
      const options = optionsOf(
        request,
        fetched.map(({ tests }) => tests),
      );
      const { result, error } = await runPackageTests(options, {
        signal,
        clock: context.clock,
        log: context.log,
        progress: silentProgress,
        engine,
        credential: (domain, repository) => registries.credential(domain, repository),
      });
      const task = result.tasks[0]?.result;
      // A result says itself what went wrong in its stages; without one the error does.
      if (!task) throw error ?? new RegopsError('ENGINE_FAILED', 'the test gave no result');
      return wireResult(task);
    } finally {
      await Promise.all(fetched.map(({ remove }) => remove()));
    }
  };
}

/** What was submitted, checked as if it had been typed here. Throws USAGE. */
function requestOf(payload: AltsPayload): TaskRequest {
  const { package_name: name, package_version: version, test_configuration: tests } = payload;
  const request = checkRequest(
    {
      distribution: { name: payload.dist_name, version: payload.dist_version },
      architecture: payload.dist_arch,
      package: { name, ...(version ? { version } : {}) },
      repositories: payload.repositories.map(({ name: own, baseurl }) => ({
        ...(own ? { name: own } : {}),
        url: baseurl,
      })),
      testRepositories: (tests?.tests ?? []).map(({ url, test_dir, git_ref, tests_to_run }) => ({
        url,
        directory: test_dir,
        ...(git_ref ? { ref: git_ref } : {}),
        ...(tests_to_run ? { tests: tests_to_run } : {}),
      })),
      testEnvironment: Object.fromEntries((tests?.test_env?.extra_env_vars ?? []).map(parseTestVariable)),
    },
    { unchecked: true },
  );
  // A folder of this machine is for who types its name here, not for who can reach the testbed.
  if (request.repositories?.some(({ url }) => /\bfile:/i.test(url))) {
    throw new RegopsError('USAGE', 'a test that was submitted has no repository in a folder');
  }
  return request;
}

function optionsOf(
  request: TaskRequest,
  testFolders: readonly TestFolder[],
): Parameters<typeof runPackageTests>[0] {
  const { distribution, architecture, repositories = [], testEnvironment = {} } = request;
  const { name, version } = distribution;
  return {
    packages: [request.package],
    image: parseReference(`${name}:${version}`.toLowerCase()),
    platform: platformOf(architecture),
    distribution,
    repositories,
    files: [],
    scripts: [],
    testFolders,
    testVariables: testEnvironment,
    keep: 'never',
    concurrency: 1,
    network: 'host',
    limits: ALTS_LIMITS,
  };
}

/** The platform that ALTS' docker runner takes for an architecture. */
export function platformOf(architecture: string): Platform {
  if (/^i\d86$/.test(architecture)) return parsePlatform('linux/386');
  return parsePlatform(`linux/${architecture === 'x86_64_v2' ? 'amd64/v2' : architecture}`);
}

/** A result as a worker of ALTS sends it. */
export function wireResult({ stages, skippedTests, logs }: TaskResult): object {
  return {
    ...Object.fromEntries(stages.map((stage) => [stage.name, wireStage(stage)])),
    logs,
    ...(skippedTests.length > 0 ? { skipped_tests: skippedTests } : {}),
  };
}

function wireStage({ success, exitCode, output, errorOutput, stages }: StageRecord): object {
  return {
    ...(success === undefined ? {} : { success }),
    ...(exitCode === undefined ? {} : { exit_code: exitCode }),
    ...(output === undefined ? {} : { output }),
    ...(errorOutput === undefined ? {} : { stderr: errorOutput }),
    ...Object.fromEntries(stages.map((stage) => [stage.name, wireStage(stage)])),
  };
}
