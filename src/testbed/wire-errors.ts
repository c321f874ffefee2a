import { isRegopsError, type Log, messageOf, RegopsError, redactText } from '../base/index.ts';
import { jsonReply, type Layer, type Reply } from './exchange.ts';

/** The codes of the distribution spec 1.1 ("Error Codes") that we answer with, and the status each goes with. */
const WIRE_ERRORS = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 400,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  SIZE_INVALID: 400,
  UNAUTHORIZED: 401,
  UNSUPPORTED: 405,
  TOOMANYREQUESTS: 429,
  /** Not of the spec, which speaks of 4xx only: for 5xx. */
  UNKNOWN: 500,
} as const;

export type WireCode = keyof typeof WIRE_ERRORS;

/** What a room's error becomes on the wire when it reaches a client unchanged. */
const OF_REGOPS_ERROR: Readonly<Partial<Record<string, readonly [WireCode, number?]>>> = {
  DIGEST_INVALID: ['DIGEST_INVALID'],
  DIGEST_MISMATCH: ['DIGEST_INVALID'],
  SIZE_MISMATCH: ['SIZE_INVALID'],
  MANIFEST_INVALID: ['MANIFEST_INVALID'],
  MANIFEST_TOO_LARGE: ['MANIFEST_INVALID', 413],
  REFERENCE_INVALID: ['NAME_INVALID'],
  BLOB_NOT_FOUND: ['BLOB_UNKNOWN'],
  RATE_LIMITED: ['TOOMANYREQUESTS'],
  CONNECTION_FAILED: ['UNKNOWN', 502],
  SERVER_ERROR: ['UNKNOWN', 502],
  PROTOCOL_VIOLATION: ['UNKNOWN', 502],
};

/** An error body as the spec lays it down. */
export function errorReply(
  code: WireCode,
  message: string,
  options: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): Reply {
  return jsonReply(options.status ?? WIRE_ERRORS[code], { errors: [{ code, message }] }, options.headers);
}

/** The error a handler throws to refuse a request; {@link answerErrors} turns it into a reply. */
export function refusal(code: WireCode, message: string, status: number = WIRE_ERRORS[code]): RegopsError {
  return new RegopsError('REQUEST_REFUSED', message, { details: { code, status } });
}

/**
 * The layer that answers for whatever the inner ones throw. Only what the spec has a code for is told to
 * the client; anything else is a bug or a failing disk, and is told to the log.
 */
export function answerErrors(log: Log): Layer {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      if (!isRegopsError(error)) {
        log.warn(`testbed: ${request.method} ${request.path} failed: ${redactText(messageOf(error))}`);
        return errorReply('UNKNOWN', 'internal error');
      }
      if (error.code === 'REQUEST_REFUSED') {
        const { code, status } = error.details as { code: WireCode; status: number };
        return errorReply(code, error.message, { status });
      }
      // Nobody is there to read it.
      if (error.code === 'INTERRUPTED') return { status: 400 };
      const [code, status] = OF_REGOPS_ERROR[error.code] ?? ['UNKNOWN'];
      const message = redactText(error.message);
      if (code === 'UNKNOWN') log.warn(`testbed: ${request.method} ${request.path} failed: ${message}`);
      return errorReply(code, message, status === undefined ? {} : { status });
    }
  };
}
