import { RegopsError } from '../base/index.ts';

/** Ids are UUIDs in every ALTS version; another scheduler's may look otherwise, but never need escaping. */
export const TASK_ID = /^[a-z0-9][a-z0-9_-]{0,127}$/i;

/**
 * An id as a user gives it. The scheduler would call a mistyped one PENDING for ever, so what can be none of ALTS'
 * own is refused here.
 *
 * @throws USAGE
 */
export function parseTaskId(text: string): string {
  const id = text.trim().toLowerCase();
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
    throw new RegopsError('USAGE', 'this is no id of a test', {
      hints: [
        'An id looks like 0b0c1f0e-6f0b-4f6e-9a55-6ad6b8a7a7a1; `regops package-test list` shows yours.',
      ],
    });
  }
  return id;
}
