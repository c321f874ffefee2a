import {
  backoffDelayMs,
  type Clock,
  formatDuration,
  isRegopsError,
  type Log,
  RegopsError,
  redactUrl,
  throwIfAborted,
} from '../base/index.ts';
import { discardBody, excerptOf, readBody } from './body.ts';
import { type HttpRequest, type HttpResponse, headerOf, type Middleware } from './message.ts';

/** When and how often a request is sent again; data, so that it can be shown, changed and tested. */
export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly attempts: number;
  /** Bound of the first wait, doubled with each further one; the wait is random below it (full jitter). */
  readonly baseMs: number;
  /** The bound never grows beyond this. */
  readonly capMs: number;
  /** A server that asks to wait longer than this is not waited for: RATE_LIMITED says how long it wants. */
  readonly retryAfterCapMs: number;
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  attempts: 5,
  baseMs: 500,
  capMs: 15_000,
  retryAfterCapMs: 60_000,
};

/** 499: nginx gave up on its client; 522: Cloudflare on its origin. 501 and 505 will not change. */
function isPassing(status: number): boolean {
  return (
    status === 408 || status === 429 || status === 499 || (status >= 500 && status !== 501 && status !== 505)
  );
}

/** Says that nothing was done, so that even an unrepeatable request may go again. */
function isUntouched(status: number): boolean {
  return status === 429 || status === 503;
}

/**
 * Sends a request again after passing failures: network errors and the statuses 408, 429, 499, 5xx (but
 * 501 and 505). Retry-After (seconds or HTTP-date, RFC 9110 10.2.3) is honoured. After the last try the
 * response is given back as it is, an error is thrown as it is.
 *
 * @param random gives 0 (inclusive) to 1 (exclusive)
 */
export function retry(
  policy: RetryPolicy,
  { clock, random = Math.random, log }: { clock: Clock; random?: () => number; log: Pick<Log, 'trace'> },
): Middleware {
  return (next) => async (request) => {
    for (let attempt = 1; ; attempt++) {
      const last = attempt >= policy.attempts;
      let waitMs = backoffDelayMs(attempt, policy, random);
      let reason: string;
      try {
        const response = await next(request);
        const repeat =
          isPassing(response.status) && (request.repeatable !== false || isUntouched(response.status));
        if (last || !repeat) return response;
        const asked = retryAfterMs(headerOf(response, 'retry-after'), clock.now());
        if (asked > policy.retryAfterCapMs) throw await tooLong(response, asked);
        await discardBody(response);
        waitMs = Math.max(waitMs, asked);
        reason = String(response.status);
      } catch (error) {
        throwIfAborted(request.signal);
        if (last || !isPassingError(error, request)) throw error;
        reason = error.code;
      }
      log.trace(
        `try ${attempt + 1} of ${policy.attempts} in ${formatDuration(waitMs)}: ${request.method} ${redactUrl(request.url)} gave ${reason}`,
      );
      await clock.sleep(waitMs, request.signal);
    }
  };
}

function isPassingError(error: unknown, request: HttpRequest): error is RegopsError {
  if (!isRegopsError(error)) return false;
  // A failure before the first byte has done nothing, whatever the request was.
  if (request.repeatable === false && error.details['sent'] !== false) return false;
  switch (error.code) {
    case 'CONNECTION_FAILED':
    case 'TIMED_OUT':
      return true;
    case 'NAME_NOT_RESOLVED':
      return error.details['errno'] === 'EAI_AGAIN';
    case 'PROXY_FAILED': {
      const status = error.details['status'];
      return typeof status === 'number' ? status >= 500 : error.details['errno'] !== 'ENOTFOUND';
    }
    default:
      return false;
  }
}

/** Milliseconds a Retry-After asks for; 0 when it says nothing we understand. */
function retryAfterMs(value: string | undefined, now: number): number {
  if (value === undefined) return 0;
  if (/^\s*\d{1,10}\s*$/.test(value)) return Number(value) * 1000;
  const date = /^\s*[A-Z][a-z]{2,8},? /.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? 0 : Math.max(0, date - now);
}

async function tooLong(response: HttpResponse, askedMs: number): Promise<RegopsError> {
  const said = await readBody(response, 16 * 1024, 'answer').then(
    (bytes) => excerptOf(bytes.toString('utf8')),
    () => '',
  );
  return new RegopsError(
    'RATE_LIMITED',
    `${response.url.host} answered ${response.status} and asks to wait ${formatDuration(askedMs)}${said ? ` (${said})` : ''}`,
    {
      hints: ['Try again later, or with fewer requests at once.'],
      details: { status: response.status, retryAfterMs: askedMs },
    },
  );
}
