import { type ErrorCode, RegopsError } from '../base/index.ts';
import { excerptOf, type HttpResponse, headerOf } from '../http/index.ts';
import { detailSchema, scheduleSchema } from './replies.ts';
import { tokenExpiry } from './token.ts';

const MAX_FAULTS = 5;

/** What an answer that is no success is explained with. */
export interface Occasion {
  /** As the message begins: `scheduling of curl on debian:12`. */
  readonly doing: string;
  /** True for `POST /tasks/schedule`. */
  readonly scheduling: boolean;
  /** The token that was sent: never repeated, even if the other side does. */
  readonly token: string | undefined;
  readonly now: number;
}

/** A text from the scheduler, fit for a message: without the token, one line, capped. */
export function saidBy(text: string, token: string | undefined): string {
  return excerptOf(token ? text.replaceAll(token, 'REDACTED') : text);
}

/** The parsed JSON, or undefined when it is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}

/** The error for an answer that is not what was asked for; 404 and 405 are explained by the client, who can look further. */
export function failure(response: HttpResponse, text: string, occasion: Occasion): RegopsError {
  const { status, url } = response;
  const { code, hints } = classify(response, text, occasion);
  const said = saidBy(wordsOf(text), occasion.token);
  return new RegopsError(
    code,
    `${occasion.doing}: ${url.host} answered ${status}${said ? ` (${said})` : ''}`,
    {
      hints,
      details: { status },
    },
  );
}

/** What the scheduler says went wrong, in its own words. */
function wordsOf(text: string): string {
  const document = jsonOf(text);
  const detail = detailSchema.safeParse(document).data?.detail;
  if (typeof detail === 'string') return detail;
  if (detail) {
    const faults = detail.slice(0, MAX_FAULTS).map(({ loc = [], msg }) => {
      const place = loc.filter((part, index) => index > 0 || part !== 'body').join('.');
      return place ? `${place}: ${msg}` : msg;
    });
    const more = detail.length - faults.length;
    return faults.join('; ') + (more > 0 ? `; and ${more} more` : '');
  }
  return scheduleSchema.safeParse(document).data?.error_description ?? text;
}

function classify(
  response: HttpResponse,
  text: string,
  occasion: Occasion,
): { code: ErrorCode; hints: string[] } {
  const { status } = response;
  if (status === 401 || status === 403) return denial(status, text, occasion);
  if (status === 422) {
    return {
      code: 'REQUEST_REFUSED',
      hints: ['The scheduler wants other fields than regops sends: its version may be a newer one.'],
    };
  }
  if (status === 429 || status === 503) {
    const wait = headerOf(response, 'retry-after');
    return {
      code: 'RATE_LIMITED',
      hints: [
        wait
          ? `The scheduler asks to wait: Retry-After ${saidBy(wait, occasion.token).slice(0, 40)}.`
          : 'The scheduler has too much to do: try again later, or with fewer tests at once.',
      ],
    };
  }
  if (status === 408 || status === 504) {
    return { code: 'TIMED_OUT', hints: ['Try again, or raise --timeout.'] };
  }
  if (status <= 400 && scheduleSchema.safeParse(jsonOf(text)).data?.success === false) {
    return {
      code: 'SERVER_ERROR',
      hints: ["The scheduler could not reach its message broker: the scheduler's log says more."],
    };
  }
  if (status === 500 && occasion.scheduling) {
    return {
      code: 'SERVER_ERROR',
      hints: [
        'ALTS answers so when it is not configured for the architecture, distribution or runner: check --arch, --dist and --runner.',
        "Otherwise the scheduler's log says more.",
      ],
    };
  }
  if (status >= 500) return { code: 'SERVER_ERROR', hints: ['The scheduler failed: its log says more.'] };
  if (status >= 400) return { code: 'REQUEST_REFUSED', hints: [] };
  return { code: 'PROTOCOL_VIOLATION', hints: [`An answer ${status} was not expected here.`] };
}

const GET_TOKEN = 'Make a token with: regops package-test token --email YOU --secret-file FILE';

/**
 * FastAPI before 0.122 answers 403 to a request without a bearer token, later ones 401; a token that is not good is
 * 401 in both.
 */
function denial(
  status: number,
  text: string,
  { token, now }: Occasion,
): { code: ErrorCode; hints: string[] } {
  if (token === undefined) {
    return {
      code: 'AUTHENTICATION_FAILED',
      hints: ['Give a token with --token or REGOPS_ALTS_TOKEN.', GET_TOKEN],
    };
  }
  const expiry = tokenExpiry(token);
  if (expiry !== undefined && expiry <= now) {
    const at = new Date(expiry).toISOString();
    return { code: 'AUTHENTICATION_FAILED', hints: [`The token expired at ${at}.`, GET_TOKEN] };
  }
  if (/not authenticated/i.test(wordsOf(text))) {
    return {
      code: 'AUTHENTICATION_FAILED',
      hints: ['The token did not arrive: a proxy in between may take the Authorization header away.'],
    };
  }
  if (status === 403) {
    return {
      code: 'PERMISSION_DENIED',
      hints: ['The account may lack the right, or a proxy in between refuses it.'],
    };
  }
  return {
    code: 'AUTHENTICATION_FAILED',
    hints: [
      "The token was not signed with this scheduler's secret and algorithm, or has expired.",
      GET_TOKEN,
    ],
  };
}
