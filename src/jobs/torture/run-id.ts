import { randomBytes } from 'node:crypto';
import type { Clock } from '../../base/index.ts';

/** A name for a run that no other has, and that fits into a repository's: later ones sort behind earlier ones. */
export function newRunId(clock: Clock): string {
  return `${clock.now().toString(36)}${randomBytes(4).toString('hex')}`;
}
