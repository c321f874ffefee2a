/**
 * alts: the AlmaLinux Test System's scheduler: what may be asked of it and how it is written, what its answers
 * really mean (a SUCCESS is no pass, a PENDING may be an unknown id, a 400 may be queued), how to wait for it
 * politely, and the tokens it takes. Results and TAP are read here for local runs too, which have ALTS' shape.
 */
export { ARCHITECTURES, CHANNELS, DISTRIBUTIONS, familyOf, type PackageFamily, RUNNERS } from './choices.ts';
export {
  openScheduler,
  type Scheduled,
  type Scheduler,
  type SchedulerAbilities,
  type SchedulerOptions,
} from './client.ts';
export { type AltsConfig, readAltsConfig } from './config.ts';
export { type FollowOptions, followTasks } from './follow.ts';
export {
  type AptLine,
  parseAptLine,
  parseRepository,
  type Repository,
  shownRepository,
} from './repository.ts';
export * from './request.ts';
export { type LogLink, parseResult, type StageRecord, type TaskResult } from './result.ts';
export { parseSchedulerUrl } from './scheduler-url.ts';
export { type Ending, type FollowedTask, isTerminal, type TaskStatus } from './state.ts';
export { isTapFailure, parseTap, type TapReport, type TapTest } from './tap.ts';
export { parseTaskId } from './task-id.ts';
export { cleanToken, signToken, TOKEN_ALGORITHMS, type TokenAlgorithm, type TokenOptions } from './token.ts';
export {
  type Judgeable,
  type JudgedStage,
  type Outcome,
  type StageKind,
  type Verdict,
  verdictOf,
} from './verdict.ts';
