import { RegopsError } from '../../../base/index.ts';
import type { TaskOutcome } from '../result.ts';
import type { Tested } from './test-package.ts';

/**
 * Why the run as a whole cannot be relied on: an interruption first, then what was not the packages' fault. As with a
 * scheduler's tests, a package that failed matters more than that nothing is known of another. Pure.
 */
export function errorOf(
  tested: readonly Pick<Tested, 'task' | 'error'>[],
  image: string,
): RegopsError | undefined {
  const errors = tested.flatMap(({ error }) => error ?? []);
  const interruption = errors.find(({ code }) => code === 'INTERRUPTED');
  if (interruption) return interruption;
  if (tested.some(({ task }) => task.verdict.outcome === 'failed')) return undefined;
  const [error] = errors;
  if (error) return error;
  const unprepared = tested.find(({ task }) => task.verdict.outcome === 'infrastructure')?.task;
  return unprepared && infrastructureError(unprepared, image);
}

function infrastructureError({ package: name, verdict }: TaskOutcome, image: string): RegopsError {
  return new RegopsError('ENGINE_FAILED', `${name} could not be tested in ${image}: ${verdict.reason}`, {
    hints: ['-v shows what the package manager says; --log-dir keeps it.'],
  });
}
