import { isRegopsError, RegopsError } from '../../base/index.ts';
import { registryCodeOf, statusOf } from '../failure.ts';

/** The connection broke, or the registry failed: what had been sent may have arrived. */
export function isDrop(error: unknown): boolean {
  return isRegopsError(error) && ['CONNECTION_FAILED', 'TIMED_OUT', 'SERVER_ERROR'].includes(error.code);
}

/** The registry got other bytes than we sent (ours were checked on the way): worth one new try. */
export function isDigestRefusal(error: unknown): boolean {
  return ['DIGEST_INVALID', 'SIZE_INVALID'].includes(registryCodeOf(error) ?? '');
}

/** Failures that a new try may get past. A 429 is none: all its repeats have been made, or it wants too long a wait. */
export function isPassing(error: unknown): boolean {
  if (!isRegopsError(error)) return false;
  // The session is gone, or not where we are.
  const sessionLost =
    ['BLOB_UPLOAD_UNKNOWN', 'BLOB_UPLOAD_INVALID'].includes(registryCodeOf(error) ?? '') ||
    (error.code === 'UPLOAD_REJECTED' && [404, 416].includes(statusOf(error) ?? 0));
  return isDrop(error) || sessionLost || isDigestRefusal(error);
}

/** The same error: what came of it could be helped only by bytes that have passed. */
export function afterPassing(error: unknown): unknown {
  if (!isRegopsError(error)) return error;
  const { code, message, hints, details, cause } = error;
  return new RegopsError(code, message, { hints, details: { ...details, passed: true }, cause });
}

/** True for the failure of an upload that would have been begun anew if its bytes had not passed by then. */
export function hasPassed(error: unknown): error is RegopsError {
  return isRegopsError(error) && error.details['passed'] === true;
}
