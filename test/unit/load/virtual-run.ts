import type {
  LoadModel,
  LoadPlan,
  OperationOutcome,
  Random,
  Turn,
  Workload,
} from '../../../src/load/plan.ts';
import { Segment } from '../../../src/load/segment.ts';
import { Ledger, type LoadSample, type LoadSummary } from '../../../src/load/summary.ts';
import { VirtualTime } from './virtual-time.ts';

/** A workload whose operations take virtual time. `serve` calls `done` when it likes. */
export type Serve = (
  time: VirtualTime,
  random: Random,
  done: (outcome: OperationOutcome) => void,
  thread: number,
  turn: Turn,
) => void;

export const OK: OperationOutcome = { kind: 'get', ok: true, bytes: 100 };

/** Every operation takes what `delayMs` says. */
export function takes(delayMs: (random: Random) => number): Serve {
  return (time, random, done) => {
    time.later(delayMs(random), () => done(OK));
  };
}

/** A server that handles one request after another: a slow one keeps all behind it waiting. */
export function oneByOne(serviceMs: number, stall: { fromMs: number; toMs: number }): Serve {
  let freeAtMs = 0;
  return (time, _random, done) => {
    let beginMs = Math.max(time.now(), freeAtMs);
    if (beginMs >= stall.fromMs && beginMs < stall.toMs) beginMs = stall.toMs;
    freeAtMs = beginMs + serviceMs;
    time.later(freeAtMs - time.now(), () => done(OK));
  };
}

export function planOf(model: LoadModel, over: Partial<LoadPlan> = {}): LoadPlan {
  return {
    model,
    warmupMs: 0,
    seed: 1,
    threads: 1,
    thresholds: [],
    workload: { module: 'file:///none.ts', options: null },
    ...over,
  };
}

/** Runs a plan's segments side by side in virtual time; `stopAtMs` tells all of them to stop then. */
export async function runVirtually(
  plan: LoadPlan,
  serve: Serve,
  options: { sampleMs?: number; stopAtMs?: number } = {},
): Promise<{ summary: LoadSummary; told: LoadSample[] }> {
  const time = new VirtualTime();
  const sampleMs = options.sampleMs ?? 1000;
  const of = plan.threads;
  const ledger = new Ledger(plan, of, sampleMs);
  const tickets = new Int32Array(new SharedArrayBuffer(4));
  tickets[0] = plan.count ?? 0;
  const told: LoadSample[] = [];
  const segments = Array.from({ length: of }, (_, index) => {
    const workload: Workload = {
      fire: (random, done, turn) => serve(time, random, done, index, turn),
      close: async () => {},
    };
    const { model, count, warmupMs, seed } = plan;
    const segment = new Segment(
      { model, count, warmupMs, seed, index, of, sampleMs, tickets },
      workload,
      time,
      (report) => told.push(...ledger.add(index, structuredClone(report))),
    );
    segment.start();
    return segment;
  });
  if (options.stopAtMs !== undefined) {
    time.later(options.stopAtMs, () => {
      for (const segment of segments) segment.stop();
    });
  }
  const ends = segments.map(async (segment, index) => {
    told.push(...ledger.finish(index, await segment.ended, null));
  });
  await time.run(Promise.all(ends));
  return { summary: ledger.summary({ interrupted: false, abortedBy: null }), told };
}
