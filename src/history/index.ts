/**
 * history: what clients did to a registry and what that proves of it: the vocabulary of operations, the file that
 * keeps them, and the checks that judge them (linearizability and weaker levels of tags, what must be there, lists).
 * Pure: it sends nothing, opens no file and knows no clock.
 */
export { fewest, judgePart } from './counterexample.ts';
export {
  HISTORY_LIMITS,
  HISTORY_VERSION,
  HistoryDecoder,
  HistoryEncoder,
  type HistoryEntry,
  type HistoryHeader,
  readHistory,
} from './format.ts';
export { type Finding, INVARIANTS, type InvariantName, type JudgeOptions, type Tier } from './invariants.ts';
export { HistoryJudge, type InvariantState, type InvariantVerdict, type Judgement, meets } from './judge.ts';
export * from './operation.ts';
export type { Overlap } from './overlap.ts';
export type { Visibility } from './set-check.ts';
export { LEVELS, type Level, type TagVerdict } from './tag-register.ts';
export { describeOperation, renderTimeline } from './timeline.ts';
