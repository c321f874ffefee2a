import { parsePackage, parseRepository, type StageRecord, type TaskResult } from '../alts/index.ts';
import { isRegopsError, RegopsError } from '../base/index.ts';
import { ALTS_LIMITS, runPackageTests } from '../jobs/package-test/run/index.ts';
import { parseReference } from '../oci/index.ts';
import { silentProgress } from '../progress/index.ts';
import type { AltsPayload, RunTask } from '../testbed/index.ts';
import type { CommandContext } from './context.ts';
import { engineOf } from './engine.ts';
import { openRegistries } from './registries.ts';

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
    const { result, error } = await runPackageTests(optionsOf(payload), {
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
    const hasScripts = (payload.test_configuration?.tests ?? []).length > 0;
    // They are in git, which is not spoken here.
    return wireResult(hasScripts ? { ...task, skippedTests: [...task.skippedTests, 'third_party'] } : task);
  };
}

function optionsOf(payload: AltsPayload): Parameters<typeof runPackageTests>[0] {
  const { dist_name: name, dist_version: version, package_name, package_version } = payload;
  const repositories = payload.repositories.map(({ name: own, baseurl }) =>
    parseRepository(own ? `${own}=${baseurl}` : baseurl),
  );
  // A folder of this machine is for who types its name here, not for who can reach the testbed.
  if (repositories.some(({ url }) => /\bfile:/i.test(url))) {
    throw new RegopsError('USAGE', 'a test that was submitted has no repository in a folder');
  }
  return {
    packages: [parsePackage(package_version ? `${package_name}=${package_version}` : package_name)],
    image: parseReference(`${name}:${version}`.toLowerCase()),
    distribution: { name, version },
    repositories,
    files: [],
    scripts: [],
    keep: 'never',
    concurrency: 1,
    network: 'host',
    limits: ALTS_LIMITS,
  };
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
