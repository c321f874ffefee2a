/**
 * remote: package tests that an ALTS scheduler runs: submitted one by one or as a batch, remembered, waited for,
 * judged by their stages.
 */
export { plannedRequests, shownPayload } from './dry-run.ts';
export { type Ending, endingOf } from './ending.ts';
export { type LedgerEntry, TaskLedger } from './ledger.ts';
export type { RemoteContext, SubmitOptions, WaitOptions } from './options.ts';
export { reportLedger, reportRemote, reportSubmitted } from './report.ts';
export type { RemoteOutcome, RemoteResult, RemoteTest, RemoteWork } from './result.ts';
export { submitTests } from './submit.ts';
export { askForTests, waitForTests } from './wait.ts';
