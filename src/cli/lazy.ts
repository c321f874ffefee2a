/**
 * What only the commands that talk to a registry need, loaded when they do: `regops config` and `--help`
 * must not pay for TLS, undici and credential stores.
 */
import { join } from 'node:path';
import type { LayerCache } from '../archive/index.ts';
import type { Target } from '../jobs/inspect/index.ts';
import type { UploadJournal } from '../registry/index.ts';
import type { CommandContext, Outcome } from './context.ts';
import type { LoginOptions, LoginResult, LogoutResult } from './login.ts';
import type { Registries, RegistryFlagValues } from './registries.ts';
import { stateFolder } from './settings.ts';
import type { TestbedFlagValues, TestbedResult } from './testbed.ts';

/** See `registries.ts`. */
export async function openRegistries(
  flags: RegistryFlagValues,
  context: CommandContext,
): Promise<Registries> {
  return (await import('./registries.ts')).openRegistries(flags, context);
}

/** See `login.ts`. */
export async function login(options: LoginOptions, context: CommandContext): Promise<LoginResult> {
  return (await import('./login.ts')).login(options, context);
}

/** See `login.ts`. */
export async function logout(
  options: Pick<LoginOptions, 'registry' | 'store'>,
  context: CommandContext,
): Promise<LogoutResult> {
  return (await import('./login.ts')).logout(options, context);
}

/** See `testbed.ts`. */
export async function serveTestbed(
  flags: TestbedFlagValues,
  context: CommandContext,
  ready: (result: TestbedResult) => Promise<void>,
): Promise<TestbedResult> {
  return (await import('./testbed.ts')).serveTestbed(flags, context, ready);
}

/** See `push-tar.ts`. */
export async function pushTarCommand(
  ...given: Parameters<typeof import('./push-tar.ts').pushTarCommand>
): Promise<Outcome> {
  return (await import('./push-tar.ts')).pushTarCommand(...given);
}

/** See `targets.ts`. */
export async function targetsOf(
  ...given: Parameters<typeof import('./targets.ts').targetsOf>
): Promise<Target[]> {
  return (await import('./targets.ts')).targetsOf(...given);
}

/** The cache of what layers become when they are packed; one that forgets everything when it is not wanted. */
export async function openLayerCache(wanted: boolean, context: CommandContext): Promise<LayerCache> {
  const { LayerCache } = await import('../archive/index.ts');
  return LayerCache.open(wanted ? context.cacheFolder : undefined, { log: context.log });
}

/** Where uploads that break off are noted; nowhere when it is not wanted. */
export async function openUploadJournal(
  wanted: boolean,
  context: CommandContext,
): Promise<UploadJournal | undefined> {
  if (!wanted) return undefined;
  const { UploadJournal } = await import('../registry/index.ts');
  return new UploadJournal(join(stateFolder(context.environment), 'uploads'), { log: context.log });
}

/** See `torture.ts`. */
export async function torture(...given: Parameters<typeof import('./torture.ts').torture>): Promise<Outcome> {
  return (await import('./torture.ts')).torture(...given);
}

/** See `torture-check.ts`. */
export async function tortureCheck(
  ...given: Parameters<typeof import('./torture-check.ts').tortureCheck>
): Promise<Outcome> {
  return (await import('./torture-check.ts')).tortureCheck(...given);
}

/** See `torture-replay.ts`. */
export async function tortureReplay(
  ...given: Parameters<typeof import('./torture-replay.ts').tortureReplay>
): Promise<Outcome> {
  return (await import('./torture-replay.ts')).tortureReplay(...given);
}

/** See `pullthrough.ts`. */
export async function pullthroughBenchCommand(
  ...given: Parameters<typeof import('./pullthrough.ts').pullthroughBenchCommand>
): Promise<Outcome> {
  return (await import('./pullthrough.ts')).pullthroughBenchCommand(...given);
}

/** See `snapshot.ts`. */
export async function snapshotPush(
  ...given: Parameters<typeof import('./snapshot.ts').snapshotPush>
): Promise<Outcome> {
  return (await import('./snapshot.ts')).snapshotPush(...given);
}

/** See `snapshot.ts`. */
export async function snapshotPull(
  ...given: Parameters<typeof import('./snapshot.ts').snapshotPull>
): Promise<Outcome> {
  return (await import('./snapshot.ts')).snapshotPull(...given);
}

/** See `snapshot.ts`. */
export async function snapshotList(
  ...given: Parameters<typeof import('./snapshot.ts').snapshotList>
): Promise<Outcome> {
  return (await import('./snapshot.ts')).snapshotList(...given);
}

/** See `snapshot.ts`. */
export async function snapshotPrune(
  ...given: Parameters<typeof import('./snapshot.ts').snapshotPrune>
): Promise<Outcome> {
  return (await import('./snapshot.ts')).snapshotPrune(...given);
}

/** See `package-test.ts`. */
export async function packageTestSubmit(
  ...given: Parameters<typeof import('./package-test.ts').packageTestSubmit>
): Promise<Outcome> {
  return (await import('./package-test.ts')).packageTestSubmit(...given);
}

/** See `package-test.ts`. */
export async function packageTestResult(
  ...given: Parameters<typeof import('./package-test.ts').packageTestResult>
): Promise<Outcome> {
  return (await import('./package-test.ts')).packageTestResult(...given);
}

/** See `package-test.ts`. */
export async function packageTestWait(
  ...given: Parameters<typeof import('./package-test.ts').packageTestWait>
): Promise<Outcome> {
  return (await import('./package-test.ts')).packageTestWait(...given);
}

/** See `package-test.ts`. */
export async function packageTestList(
  ...given: Parameters<typeof import('./package-test.ts').packageTestList>
): Promise<Outcome> {
  return (await import('./package-test.ts')).packageTestList(...given);
}

/** See `package-test.ts`. */
export async function packageTestToken(
  ...given: Parameters<typeof import('./package-test.ts').packageTestToken>
): Promise<Outcome> {
  return (await import('./package-test.ts')).packageTestToken(...given);
}

/** See `package-test-run.ts`. */
export async function packageTestRun(
  ...given: Parameters<typeof import('./package-test-run.ts').packageTestRun>
): Promise<Outcome> {
  return (await import('./package-test-run.ts')).packageTestRun(...given);
}
