import type { Scheduled, TaskRequest } from '../../../alts/index.ts';
import { asRegopsError, counted, isRegopsError, mapConcurrently, RegopsError } from '../../../base/index.ts';
import type { RemoteContext, SubmitOptions } from './options.ts';
import type { RemoteWork } from './result.ts';
import { namesOf, type Tracked, testOf } from './tracked.ts';
import { followTracked, workOf } from './wait.ts';

/** How long an interruption lets requests under way come to their end: their ids would else be lost. */
const GRACE_MS = 3000;

/**
 * Queues tests and, if that is wanted, waits for them. What stops one test (its fields are refused, the broker fails)
 * stops only that one; what would stop all (no token, no scheduler there) stops the rest.
 *
 * @throws USAGE for a request that cannot be; all else is told in the result
 */
export async function submitTests(
  { requests, concurrency, unchecked, wait }: SubmitOptions,
  context: RemoteContext,
): Promise<RemoteWork> {
  const { scheduler, signal, progress, onTest = () => {} } = context;
  progress.phase(`submitting ${counted(requests.length, 'test')} to ${scheduler.url.host}`);
  const tracked: Tracked[] = requests.map((request) => ({ request }));
  const grace = graceAfter(context);
  let fatal: RegopsError | undefined;
  try {
    await mapConcurrently(requests.entries(), concurrency, signal, async ([at, request]) => {
      if (fatal) return;
      tracked[at] = await submit(request, context, unchecked, grace.signal);
      fatal ??= isFatal(tracked[at].error) ? tracked[at].error : undefined;
      onTest(testOf(tracked[at]));
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    grace.end();
  }
  await context.ledger.trim();
  const rest = fatal && tracked.filter(({ id, error }) => id === undefined && !error).length;
  if (rest) context.log.warn(`${counted(rest, 'further test')} not sent: the scheduler would refuse all`);
  const queued = tracked.some(({ id }) => id !== undefined);
  return wait && queued && !signal.aborted
    ? followTracked(tracked, wait, true, context)
    : workOf(tracked, context);
}

async function submit(
  request: TaskRequest,
  { scheduler, ledger, clock }: RemoteContext,
  unchecked: boolean,
  signal: AbortSignal,
): Promise<Tracked> {
  let scheduled: Scheduled;
  try {
    scheduled = await scheduler.schedule(request, { unchecked, signal });
  } catch (thrown) {
    const error = asRegopsError(thrown);
    if (error.code === 'USAGE' || error.code === 'BUG') throw error;
    return { request, error };
  }
  const entry = {
    id: scheduled.taskId,
    scheduler: scheduler.url.href,
    ...namesOf(request),
    submittedAt: new Date(clock.now()).toISOString(),
  };
  await ledger.keep(entry);
  return { id: entry.id, request, entry };
}

/** True for what every further request would meet too. A 500 is about one test: its architecture or distribution. */
function isFatal(error: RegopsError | undefined): boolean {
  if (!error) return false;
  if (error.code === 'UNSUPPORTED_BY_SERVER' || error.kind === 'denied') return true;
  return error.kind === 'unreachable' && !isRegopsError(error, 'SERVER_ERROR');
}

/** A signal that aborts some time after the job's own. */
function graceAfter({ signal, clock }: RemoteContext): { signal: AbortSignal; end: () => void } {
  const late = new AbortController();
  const over = new AbortController();
  const begin = (): void => {
    clock.sleep(GRACE_MS, over.signal).then(
      () => late.abort(signal.reason),
      () => {},
    );
  };
  signal.addEventListener('abort', begin, { once: true });
  return {
    signal: late.signal,
    end() {
      signal.removeEventListener('abort', begin);
      over.abort(new RegopsError('INTERRUPTED', 'over'));
    },
  };
}
