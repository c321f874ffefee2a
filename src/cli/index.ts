/**
 * cli: the only room that knows oclif, argv, the environment, signals, exit codes and the settings file.
 * A command spreads the flag groups, extends RegopsCommand, and in `run()` calls `work` with a body that
 * turns flags into a job's options and the job's result into an Outcome; everything between the user and
 * that body is done here.
 */

export { type CommandInput, RegopsCommand, type WorkOptions } from './command.ts';
export { completionOf, SHELLS, type Shell } from './completion.ts';
export type { CommandContext, Outcome } from './context.ts';
export {
  CREDENTIAL_VARIABLES,
  ENGINE_VARIABLES,
  PACKAGE_TEST_VARIABLES,
  REGISTRY_VARIABLES,
  SNAPSHOT_VARIABLES,
} from './environment.ts';
export { COMMON_EXIT_STATUS, EXIT_FOUND, type ExitStatus } from './exit-codes.ts';
export * from './flags.ts';
export { readJsonFile } from './json-file.ts';
export { judgedStressFlags } from './judged-stress-flags.ts';
export * from './lazy.ts';
export * from './package-test-flags.ts';
export * from './package-test-run-flags.ts';
export * from './pullthrough-flags.ts';
export * from './snapshot-flags.ts';
export { readPasswordStdin } from './stdio.ts';
export { findStored, listStored, setStored, unsetStored } from './stored-settings.ts';
export * from './torture-flags.ts';
export * from './verdict-flags.ts';
