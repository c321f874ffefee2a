import { isRegopsError, messageOf } from '../base/index.ts';
import type { CreateWorkload, Workload, WorkloadPlace } from './plan.ts';
import { transferable } from './recording.ts';
import { Segment, type SegmentEnd, type SegmentPlan, type SegmentReport } from './segment.ts';
import { type ThreadFigures, watchThread } from './self-watch.ts';
import { systemTime } from './timekeeper.ts';

/** Everything a thread is told before it begins. */
export interface Assignment {
  readonly segment: SegmentPlan;
  readonly place: WorkloadPlace;
  readonly module: string;
  readonly options: unknown;
}

/** To a thread. `go` may never come; `stop` may come at any time. */
export type Order = { readonly type: 'go'; readonly zeroNs: bigint } | { readonly type: 'stop' };

/** From a thread, in this order: ready, report …, finished, closed; or failed at any point, and then nothing more. */
export type Message =
  | { readonly type: 'ready' }
  | { readonly type: 'report'; readonly report: SegmentReport }
  | { readonly type: 'finished'; readonly end: SegmentEnd; readonly figures: ThreadFigures | null }
  | { readonly type: 'closed' }
  | { readonly type: 'failed'; readonly failure: Failure };

/** An error on its way to another thread: structured clone would keep only its message and stack. */
export interface Failure {
  readonly message: string;
  readonly stack?: string;
  readonly regops?: {
    readonly code: string;
    readonly hints: readonly string[];
    readonly details: Readonly<Record<string, string | number | boolean>>;
  };
}

/** A message port, or what a thread has in its place. */
export interface Port {
  postMessage(message: Message, transfer?: readonly ArrayBuffer[]): void;
  on(event: 'message', listener: (order: Order) => void): unknown;
}

/** How a session ends that never began. */
const NOTHING: SegmentEnd = {
  endMs: 0,
  unfinished: 0,
  report: { interval: 0, kinds: [], parts: [], dropped: 0, inFlight: 0 },
};

/**
 * A thread's side of a run: opens the workload, waits for the start that all threads share, runs its
 * segment, closes the workload. Never rejects: failures are posted.
 */
export async function runSession(assignment: Assignment, port: Port): Promise<void> {
  const start = Promise.withResolvers<bigint | undefined>();
  let segment: Segment | undefined;
  port.on('message', (order) => {
    if (order.type === 'go') {
      start.resolve(order.zeroNs);
    } else {
      start.resolve(undefined);
      segment?.stop();
    }
  });
  let workload: Workload | undefined;
  try {
    workload = await openWorkload(assignment);
    // Until all are ready the only order there is means to stop: it does not wait for a server that does not answer.
    await Promise.race([workload.start?.(), start.promise]);
    port.postMessage({ type: 'ready' });
    const zeroNs = await start.promise;
    if (zeroNs === undefined) {
      port.postMessage({ type: 'finished', end: NOTHING, figures: null });
    } else {
      segment = new Segment(assignment.segment, workload, systemTime(zeroNs), (report) =>
        port.postMessage({ type: 'report', report }, transferable(report)),
      );
      const { end, figures } = await watched(segment);
      port.postMessage({ type: 'finished', end, figures }, transferable(end.report));
    }
    const closing = workload;
    workload = undefined;
    await closing.close();
    port.postMessage({ type: 'closed' });
  } catch (error) {
    // What went wrong first is what matters; the thread's end takes the rest with it.
    await workload?.close().catch(() => {});
    port.postMessage({ type: 'failed', failure: failureOf(error) });
  }
}

/** Runs a segment to its end and watches this thread meanwhile. */
async function watched(segment: Segment): Promise<{ end: SegmentEnd; figures: ThreadFigures }> {
  const watch = watchThread();
  try {
    segment.start();
    const end = await segment.ended;
    return { end, figures: watch.figures(segment.spareMs) };
  } finally {
    watch.stop();
  }
}

async function openWorkload({ module, options, place }: Assignment): Promise<Workload> {
  const loaded = (await import(/* @vite-ignore */ module)) as { createWorkload?: CreateWorkload };
  if (typeof loaded.createWorkload !== 'function') {
    throw new TypeError(`${module} does not export createWorkload`);
  }
  return loaded.createWorkload(options, place);
}

function failureOf(thrown: unknown): Failure {
  const stack = thrown instanceof Error && thrown.stack ? { stack: thrown.stack } : {};
  if (!isRegopsError(thrown)) return { message: messageOf(thrown), ...stack };
  const { code, hints, details } = thrown;
  return { message: thrown.message, ...stack, regops: { code, hints, details } };
}
