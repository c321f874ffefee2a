/** When what is to be fired, as pure functions of the plan: the same in every thread, so nobody has to agree on anything. */
import type { OpenModel, Random, RateStage, WorkerStage } from './plan.ts';

/** One operation of an open plan: its place in the whole run, and its intended start. */
export interface Arrival {
  readonly index: number;
  readonly atMs: number;
}

/**
 * All arrivals of an open plan in order: the moments at which the integral of the rate reaches 0, 1, 2 …
 * (constant), or random steps of mean 1 (poisson, which needs `random`).
 */
export function* arrivals(
  stages: readonly RateStage[],
  arrival: OpenModel['arrival'],
  random: Random,
): Generator<Arrival, undefined> {
  const step = arrival === 'constant' ? () => 1 : () => -Math.log(1 - random());
  let index = 0;
  let due = arrival === 'constant' ? 0 : step();
  let beganAtMs = 0;
  let expected = 0;
  let rateBefore = 0;
  for (const { ratePerSecond, durationMs, ramp } of stages) {
    const from = (ramp ? rateBefore : ratePerSecond) / 1000;
    const to = ratePerSecond / 1000;
    const slope = ramp ? (to - from) / durationMs : 0;
    const inStage = to === 0 && from === 0 ? 0 : ((from + to) / 2) * durationMs;
    while (due < expected + inStage) {
      const offset = timeOf(due - expected, from, slope);
      yield { index: index++, atMs: beganAtMs + Math.min(offset, durationMs) };
      due += step();
    }
    beganAtMs += durationMs;
    expected += inStage;
    rateBefore = ratePerSecond;
  }
  return undefined;
}

/**
 * The time at which `from·t + slope·t²/2` reaches `amount`. This form of the quadratic's root neither
 * divides by a slope of 0 nor subtracts what is nearly equal.
 */
function timeOf(amount: number, from: number, slope: number): number {
  if (amount <= 0) return 0;
  return (2 * amount) / (from + Math.sqrt(Math.max(0, from * from + 2 * slope * amount)));
}

/** A time during which a worker fires: `[fromMs, toMs)`. */
export interface Shift {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * When worker `worker` (from 0) of a closed plan is at work: while the plan's number of workers is above
 * its own number. Shifts that touch are one.
 */
export function shiftsOf(stages: readonly WorkerStage[], worker: number): readonly Shift[] {
  const shifts: Shift[] = [];
  const add = (fromMs: number, toMs: number): void => {
    const last = shifts.at(-1);
    if (last?.toMs === fromMs) shifts[shifts.length - 1] = { fromMs: last.fromMs, toMs };
    else if (toMs > fromMs) shifts.push({ fromMs, toMs });
  };
  let beganAtMs = 0;
  let before = 0;
  for (const { workers, durationMs, ramp } of stages) {
    const first = ramp ? before : workers;
    const endsAtMs = beganAtMs + durationMs;
    const startsIn = first > worker;
    const endsIn = workers > worker;
    const crossedAtMs = beganAtMs + (durationMs * (worker - first)) / (workers - first || 1);
    if (startsIn && endsIn) add(beganAtMs, endsAtMs);
    else if (startsIn) add(beganAtMs, crossedAtMs);
    else if (endsIn) add(crossedAtMs, endsAtMs);
    beganAtMs = endsAtMs;
    before = workers;
  }
  return shifts;
}
