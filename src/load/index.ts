/**
 * load: fires operations on a schedule and measures them, whatever they are. A plan says how many workers
 * (closed model) or how many operations per second (open model) there are and for how long; a workload
 * module says what one operation is. Worker threads fire and record, the main thread merges what they
 * recorded, watches thresholds and hands out samples and a summary. It knows no registry and never prints.
 */
export { type KindFigures, kindsOf, type OperationFigures, type WindowFigures } from './figures.ts';
export { type Distribution, Histogram } from './histogram.ts';
export type {
  ClosedModel,
  CreateWorkload,
  LoadModel,
  LoadPlan,
  LoadWindow,
  OpenModel,
  OperationOutcome,
  Random,
  RateStage,
  Turn,
  WorkerStage,
  Workload,
  WorkloadPlace,
} from './plan.ts';
export { checkPlan } from './plan.ts';
export { randomStream } from './random.ts';
export { Recording } from './recording.ts';
export { runLoad } from './run.ts';
export { type GeneratorFigures, judgeGenerator, watchThread } from './self-watch.ts';
export type { LoadSample, LoadSummary } from './summary.ts';
export type { Judged, Threshold, ThresholdResult } from './threshold.ts';
export { evaluateThresholds, parseThreshold } from './threshold.ts';
