import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import {
  type Distribution,
  familyOf,
  parsePackage,
  type Repository,
  type TestRepository,
} from '../alts/index.ts';
import { counted, RegopsError, readNamedFile, redactUrl, unreadable } from '../base/index.ts';
import {
  type Keep,
  type PackageFile,
  type PackageTestRunResult,
  reportPackageTest,
  runPackageTests,
  type TestFolder,
  type TestScript,
} from '../jobs/package-test/run/index.ts';
import { type Platform, parseReference, type Reference } from '../oci/index.ts';
import type { CommandContext, Outcome } from './context.ts';
import { engineOf } from './engine.ts';
import { EXIT_FOUND } from './exit-codes.ts';
import { openRegistries } from './registries.ts';
import { fetchTests } from './test-repositories.ts';

const MAX_SCRIPT_BYTES = 1024 * 1024;

/** Values of `packageTestRunFlags`. */
export interface PackageTestRunFlagValues {
  readonly image?: Reference | undefined;
  readonly dist?: Distribution | undefined;
  readonly platform?: Platform | undefined;
  readonly repository?: readonly Repository[] | undefined;
  readonly file?: readonly string[] | undefined;
  readonly script?: readonly string[] | undefined;
  readonly 'test-repo'?: readonly TestRepository[] | undefined;
  readonly 'test-env'?: readonly (readonly [name: string, value: string])[] | undefined;
  readonly keep: Keep;
  readonly jobs: number;
  readonly network: 'bridge' | 'host';
  readonly 'log-dir'?: string | undefined;
  readonly 'prepare-timeout': number;
  readonly 'install-timeout': number;
  readonly 'test-timeout': number;
  readonly 'uninstall-timeout': number;
  readonly 'package-timeout': number;
}

/** package-test run. A package that fails is a problem found: exit 1. */
export async function packageTestRun(
  packages: readonly string[],
  flags: PackageTestRunFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const registries = await openRegistries({}, context);
  const files = await Promise.all((flags.file ?? []).map(openFile));
  if (packages.length === 0 && files.length === 0) {
    throw new RegopsError('USAGE', 'test what? Name a PACKAGE, or give a --file');
  }
  const wanted = packages.map(parsePackage);
  const scripts = await Promise.all((flags.script ?? []).map(readScript));
  const { result, error } = await runPackageTests(
    {
      packages: wanted,
      ...imageOf(flags),
      platform: flags.platform,
      repositories: flags.repository ?? [],
      files,
      scripts,
      testFolders: await testFolders(flags, context),
      testVariables: Object.fromEntries(flags['test-env'] ?? []),
      keep: flags.keep,
      concurrency: flags.jobs,
      network: flags.network,
      logFolder: flags['log-dir'],
      limits: {
        prepareMs: flags['prepare-timeout'],
        installMs: flags['install-timeout'],
        testMs: flags['test-timeout'],
        uninstallMs: flags['uninstall-timeout'],
        packageMs: flags['package-timeout'],
      },
    },
    {
      ...context,
      engine: engineOf(context),
      credential: (domain, repository) => registries.credential(domain, repository),
      ended: (task) => context.event({ type: 'task', task }),
    },
  );
  const failed = result.tasks.some(({ verdict }) => !['passed', 'skipped'].includes(verdict.outcome));
  return {
    result,
    report: reportOf(result),
    exitCode: failed ? EXIT_FOUND : 0,
    ...(error ? { error } : {}),
  };
}

/** The tests of all repositories; they are gone when the command ends. */
async function testFolders(
  flags: PackageTestRunFlagValues,
  { environment, signal, progress, defer }: CommandContext,
): Promise<TestFolder[]> {
  const folders: TestFolder[] = [];
  for (const repository of flags['test-repo'] ?? []) {
    progress.phase(`fetching tests from ${redactUrl(repository.url)}`);
    const timeoutMs = flags['prepare-timeout'];
    const { tests, remove } = await fetchTests(repository, {
      environment,
      signal,
      timeoutMs,
      foreign: false,
    });
    defer(remove);
    folders.push(tests);
  }
  return folders;
}

function reportOf(result: PackageTestRunResult) {
  const report = reportPackageTest(result.tasks);
  const { kept } = result;
  if (kept.length === 0) return report;
  return {
    ...report,
    sections: [
      ...(report.sections ?? []),
      {
        title: `${counted(kept.length, 'container')} kept`,
        text: kept.map(({ package: name, enter }) => `${name}: ${enter}`).join('\n'),
      },
    ],
  };
}

function imageOf({ image, dist }: PackageTestRunFlagValues): {
  readonly image: Reference;
  readonly distribution?: Distribution;
} {
  if (image) return { image };
  const { name, version } = dist as Distribution;
  if (familyOf(name) === undefined) {
    throw new RegopsError('USAGE', `no distribution '${name}' is known`, {
      hints: ['Name its image: --image REF.'],
    });
  }
  return {
    image: parseReference(`${name}:${version}`.toLowerCase()),
    distribution: { name, version },
  };
}

async function openFile(path: string): Promise<PackageFile> {
  const name = basename(path);
  if (!/\.(?:deb|rpm)$/.test(name))
    throw new RegopsError('USAGE', `--file ${path}: neither a .deb nor a .rpm`);
  const found = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (!found.isFile()) throw new RegopsError('USAGE', `--file ${path}: not a file`);
  return { name, size: found.size, open: () => createReadStream(path) };
}

async function readScript(path: string): Promise<TestScript> {
  const name = basename(path);
  if (!/\.(?:sh|bats)$/.test(name)) {
    throw new RegopsError('USAGE', `--script ${path}: neither a .sh nor a .bats`);
  }
  const content = await readNamedFile(path, {
    maxBytes: MAX_SCRIPT_BYTES,
    tooLarge: () => new RegopsError('INPUT_INVALID', `--script ${path}: more than ${MAX_SCRIPT_BYTES} bytes`),
  });
  return { name, content };
}
