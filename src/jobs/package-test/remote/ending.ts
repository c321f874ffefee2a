import { type ErrorCode, RegopsError } from '../../../base/index.ts';
import type { RemoteOutcome, RemoteTest, RemoteWork } from './result.ts';
import { labelOf } from './tracked.ts';

/** How a command ends: well, with a problem found, or with an error that stands for those of its tests. */
export interface Ending {
  readonly found: boolean;
  readonly error?: RegopsError;
}

const MOST_IDS = 5;

/** Outcomes that speak of the scheduler and what is behind it. */
const CODES: Readonly<Partial<Record<RemoteOutcome, ErrorCode>>> = {
  infrastructure: 'SERVER_ERROR',
  incomplete: 'SERVER_ERROR',
  revoked: 'SERVER_ERROR',
  lost: 'SERVER_ERROR',
  unreachable: 'CONNECTION_FAILED',
  timeout: 'TIMED_OUT',
  pending: 'TIMED_OUT',
};

/** Outcomes of tests that may still go on. */
const OPEN: readonly RemoteOutcome[] = ['submitted', 'pending', 'timeout', 'unreachable'];

/**
 * Judges all tests together. A package that failed is what matters most; then a test that is not queued, then one
 * whose outcome nobody knows: the first of them decides.
 *
 * @param interrupted whether the job was told to stop
 */
export function endingOf({ result, errors }: RemoteWork, interrupted: boolean): Ending {
  const { tasks, scheduler } = result;
  const having = (...outcomes: readonly RemoteOutcome[]): RemoteTest[] =>
    tasks.filter(({ verdict }) => outcomes.includes(verdict.outcome));
  const hints = resumption(having(...OPEN), scheduler);
  if (interrupted) {
    const message = hints.length > 0 ? 'interrupted; the tests go on at the scheduler' : 'interrupted';
    return { found: false, error: new RegopsError('INTERRUPTED', message, { hints }) };
  }
  if (having('failed').length > 0) return { found: true };
  const first = having('not-submitted')[0] ?? tasks.find(({ verdict }) => CODES[verdict.outcome]);
  if (!first) return { found: false };
  const { outcome, reason } = first.verdict;
  const cause = errors.get(first);
  const others = having(outcome).length - 1;
  const message =
    outcome === 'not-submitted' && cause ? cause.message : `${labelOf(first)}: ${outcome}: ${reason}`;
  return {
    found: false,
    error: new RegopsError(
      cause?.code ?? CODES[outcome] ?? 'SERVER_ERROR',
      others > 0 ? `${message} (and ${others} more ${outcome})` : message,
      {
        hints: [...(cause?.hints ?? []), ...(outcome === 'not-submitted' ? [] : hints)],
        details: cause?.details ?? {},
        cause,
      },
    ),
  };
}

/** How a wait is taken up again. */
function resumption(open: readonly RemoteTest[], scheduler: string): string[] {
  const ids = open.flatMap(({ id }) => id ?? []);
  if (ids.length === 0) return [];
  const command = 'Take the wait up again: regops package-test wait';
  return [
    ids.length <= MOST_IDS
      ? `${command} ${ids.join(' ')} --scheduler-url ${scheduler}`
      : `${command} --scheduler-url ${scheduler} (all that are remembered and have not ended).`,
  ];
}
