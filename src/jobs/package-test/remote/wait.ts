import { type FollowedTask, followTasks, isTerminal } from '../../../alts/index.ts';
import { counted, formatDuration, isRegopsError, RegopsError } from '../../../base/index.ts';
import type { ProgressTask } from '../../../progress/events.ts';
import type { RemoteContext, WaitOptions } from './options.ts';
import type { RemoteTest, RemoteWork } from './result.ts';
import { labelOf, type Tracked, testOf } from './tracked.ts';

/**
 * Waits for tests until each has ended. An interruption, a timeout and a scheduler that goes away leave what is known.
 *
 * @throws what the first question gave: the scheduler's refusal, or that it cannot be reached
 */
export async function waitForTests(
  ids: readonly string[],
  options: WaitOptions,
  context: RemoteContext,
): Promise<RemoteWork> {
  return followTracked(await recall(ids, context), options, false, context);
}

/**
 * Asks once for each test, one after another: each question blocks the scheduler for up to a second.
 *
 * @throws what the first question gave
 */
export async function askForTests(ids: readonly string[], context: RemoteContext): Promise<RemoteWork> {
  const { scheduler, signal, onTest = () => {} } = context;
  const tracked = await recall(ids, context);
  for (const [at, one] of tracked.entries()) {
    try {
      const status = await scheduler.result(one.id as string, signal);
      const task: FollowedTask = {
        id: one.id as string,
        ...status,
        ...(isTerminal(status.state) ? { ending: 'ended' as const } : {}),
      };
      const next = { ...one, task };
      tracked[at] = next;
      await keep(next, context);
      onTest(testOf(next));
    } catch (error) {
      if (signal.aborted) break;
      if (at === 0 || !isRegopsError(error)) throw error;
      tracked[at] = { ...one, task: { id: one.id as string, ending: 'unreachable', error } };
    }
  }
  return workOf(tracked, context);
}

/** Follows those tests of a job that are queued. */
export async function followTracked(
  given: readonly Tracked[],
  { timeoutMs, intervalMs, pendingMs }: WaitOptions,
  reached: boolean,
  context: RemoteContext,
): Promise<RemoteWork> {
  const { scheduler, clock, signal, progress, log, onTest = () => {} } = context;
  const tracked = [...given];
  const places = new Map(tracked.flatMap(({ id }, at) => (id === undefined ? [] : [[id, at]])));
  const bars = new Map<string, ProgressTask>();
  const writes: Promise<void>[] = [];
  progress.phase(
    `waiting for ${counted(places.size, 'test')} at ${scheduler.url.host}, ${formatDuration(timeoutMs)} at most`,
  );

  const take = (task: FollowedTask): void => {
    const at = places.get(task.id) as number;
    const before = tracked[at] as Tracked;
    const wasSeen = before.task !== undefined;
    const durationMs = durationOf(before, task, wasSeen || reached, clock.now());
    const now: Tracked = { ...before, task, ...(durationMs === undefined ? {} : { durationMs }) };
    tracked[at] = now;
    const test = testOf(now);
    if (!bars.has(task.id) && (task.ending === undefined ? task.state !== 'PENDING' : true)) {
      bars.set(task.id, progress.task(labelOf(test)));
    }
    if (task.ending !== undefined) bars.get(task.id)?.end(test.verdict.outcome);
    writes.push(keep(now, context));
    onTest(test);
  };

  await followTasks(scheduler, [...places.keys()], {
    timeoutMs,
    intervalMs,
    pendingMs,
    clock,
    signal,
    reached,
    known: new Map(
      tracked.flatMap(({ id, entry }) =>
        id !== undefined && entry?.state !== undefined ? [[id, entry.state]] : [],
      ),
    ),
    onChange: take,
    onOutage: (error) =>
      error
        ? log.info(`the scheduler cannot be asked (${error.message}); it is tried again`)
        : log.info('the scheduler answers again'),
  });
  await Promise.all(writes);
  return workOf(tracked, context);
}

/** What a job gives in the end. */
export function workOf(tracked: readonly Tracked[], { scheduler }: RemoteContext): RemoteWork {
  const tasks = tracked.map(testOf);
  const errors = new Map<RemoteTest, RegopsError>();
  for (const [at, { error, task }] of tracked.entries()) {
    const cause = error ?? task?.error;
    if (cause) errors.set(tasks[at] as RemoteTest, cause);
  }
  return { result: { scheduler: scheduler.url.href, tasks }, errors };
}

/**
 * The tests of these ids, each once, with what is remembered of them.
 *
 * @throws USAGE for one that is remembered to be at another scheduler: this one would call it PENDING for ever
 */
async function recall(ids: readonly string[], { ledger, scheduler }: RemoteContext): Promise<Tracked[]> {
  const tracked: Tracked[] = [];
  for (const id of new Set(ids)) {
    const entry = await ledger.find(id);
    if (entry && entry.scheduler !== scheduler.url.href) {
      throw new RegopsError('USAGE', `the test ${id} was submitted to ${entry.scheduler}`, {
        hints: [`Ask there: --scheduler-url ${entry.scheduler}`],
      });
    }
    tracked.push({ id, entry });
  }
  return tracked;
}

/** Remembers what became of a test; that it was not waited for to its end is none of its own. */
async function keep({ entry, task }: Tracked, { ledger }: RemoteContext): Promise<void> {
  if (!entry || !task) return;
  const { outcome } = testOf({ id: entry.id, entry, task }).verdict;
  const isOver = task.ending === 'ended' || task.ending === 'lost' || task.ending === 'unstarted';
  await ledger.keep({
    ...entry,
    ...(task.state === undefined || task.ending === 'lost' ? {} : { state: task.state }),
    ...(isOver && outcome !== 'submitted' && outcome !== 'not-submitted' ? { outcome } : {}),
  });
}

/** Known only where the end was not there before anybody looked. */
function durationOf(
  { entry }: Tracked,
  { ending }: FollowedTask,
  wasOpen: boolean,
  now: number,
): number | undefined {
  if (!entry || ending !== 'ended' || !wasOpen) return undefined;
  return Math.max(0, now - Date.parse(entry.submittedAt));
}
