/**
 * torture's verdict: what a registry kept and what it did not, proved from the history of what clients did to it.
 * `check` judges a recorded history, `replay` plays a counterexample again.
 */
export { type CheckContext, type CheckOptions, checkHistory } from './check.ts';
export {
  isVerdictWorkload,
  VERDICT_DEFAULTS,
  VERDICT_WORKLOADS,
  type VerdictOptions,
  type VerdictWorkload,
} from './options.ts';
export { type ReplayOptions, type ReplayResult, type ReplayRound, replay } from './replay.ts';
export { reportReplay } from './replay-report.ts';
export { reportVerdict } from './report.ts';
export { type Repro, withRepro } from './repro.ts';
export * from './result.ts';
export { stressJudged, type VerdictContext } from './run.ts';
