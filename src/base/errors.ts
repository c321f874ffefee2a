/**
 * Every way regops can fail, in one table: the code a script may match on, and the kind that decides
 * the exit code (`cli/exit-codes.ts`). Add a line here before throwing something new.
 */
export const ERROR_KINDS = {
  // usage
  USAGE: 'usage',
  REFERENCE_INVALID: 'usage',
  // data: what we were given or were sent does not hold together
  ARCHIVE_INVALID: 'data',
  ARCHIVE_UNSUPPORTED: 'data',
  DIGEST_INVALID: 'data',
  DIGEST_MISMATCH: 'data',
  SIZE_MISMATCH: 'data',
  MANIFEST_INVALID: 'data',
  MANIFEST_TOO_LARGE: 'data',
  INPUT_INVALID: 'data',
  // missing
  FILE_NOT_FOUND: 'missing',
  IMAGE_NOT_FOUND: 'missing',
  CONTAINER_NOT_FOUND: 'missing',
  PLATFORM_NOT_FOUND: 'missing',
  MANIFEST_NOT_FOUND: 'missing',
  BLOB_NOT_FOUND: 'missing',
  REPOSITORY_NOT_FOUND: 'missing',
  SETTING_NOT_FOUND: 'missing',
  // unreachable
  CONNECTION_FAILED: 'unreachable',
  NAME_NOT_RESOLVED: 'unreachable',
  TLS_UNTRUSTED: 'unreachable',
  TLS_FAILED: 'unreachable',
  PROXY_FAILED: 'unreachable',
  SERVER_ERROR: 'unreachable',
  ENGINE_UNREACHABLE: 'unreachable',
  ENGINE_FAILED: 'unreachable',
  // temporary
  RATE_LIMITED: 'temporary',
  TIMED_OUT: 'temporary',
  // protocol: the other side broke the rules it claims to follow
  PROTOCOL_VIOLATION: 'protocol',
  RESPONSE_TOO_LARGE: 'protocol',
  REDIRECT_REFUSED: 'protocol',
  REQUEST_REFUSED: 'protocol',
  UPLOAD_REJECTED: 'protocol',
  UNSUPPORTED_BY_SERVER: 'protocol',
  // denied
  AUTHENTICATION_FAILED: 'denied',
  PERMISSION_DENIED: 'denied',
  TAG_SHARED: 'denied',
  // configuration
  CONFIG_INVALID: 'config',
  CREDENTIALS_INVALID: 'config',
  CREDENTIAL_HELPER_FAILED: 'config',
  TLS_CONFIG_INVALID: 'config',
  // local input and output
  OUTPUT_FAILED: 'cannot-write',
  /** The engine's state forbids it: a name that is taken, an image that is in use. */
  ENGINE_CONFLICT: 'cannot-write',
  IO_FAILED: 'io',
  // ours
  BUG: 'bug',
  // signals
  INTERRUPTED: 'interrupted',
} as const satisfies Record<string, ErrorKind>;

/** Who has to act: the caller, the other side, the machine, or us. */
export type ErrorKind =
  | 'usage'
  | 'data'
  | 'missing'
  | 'unreachable'
  | 'temporary'
  | 'protocol'
  | 'denied'
  | 'config'
  | 'cannot-write'
  | 'io'
  | 'bug'
  | 'interrupted';

export type ErrorCode = keyof typeof ERROR_KINDS;

const BRAND = Symbol.for('regops.error');

/** The only error class regops throws on purpose. */
export class RegopsError extends Error {
  readonly code: ErrorCode;
  /** What the user may try, one sentence each, most promising first. */
  readonly hints: readonly string[];
  /** Facts for `--json` and for callers that branch on them (HTTP status, digest …); never a secret. */
  readonly details: Readonly<Record<string, string | number | boolean>>;

  /**
   * @param message what failed, on what, and what the other side said, in one line, already free of secrets
   */
  constructor(
    code: ErrorCode,
    message: string,
    options: {
      hints?: readonly string[];
      cause?: unknown;
      details?: Readonly<Record<string, string | number | boolean>>;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RegopsError';
    this.code = code;
    this.hints = options.hints ?? [];
    this.details = options.details ?? {};
    Object.defineProperty(this, BRAND, { value: true });
  }

  get kind(): ErrorKind {
    return ERROR_KINDS[this.code];
  }
}

/** True for a RegopsError, also one from another copy of this module (branded by symbol, not by class). */
export function isRegopsError(value: unknown, code?: ErrorCode): value is RegopsError {
  return (
    typeof value === 'object' &&
    value !== null &&
    BRAND in value &&
    (code === undefined || (value as unknown as RegopsError).code === code)
  );
}

/** Anything that was thrown, as a RegopsError: what no room has explained is a bug of ours. */
export function asRegopsError(thrown: unknown): RegopsError {
  if (isRegopsError(thrown)) return thrown;
  return new RegopsError('BUG', `unexpected: ${messageOf(thrown)}`, {
    cause: thrown,
    hints: ['This is a bug in regops. Please report it with what -v shows.'],
  });
}

/** The same error, with another hint before its own. */
export function withHint(error: unknown, hint: string): unknown {
  if (!isRegopsError(error)) return error;
  const { code, message, hints, details, cause } = error;
  return new RegopsError(code, message, { hints: [hint, ...hints], details, cause });
}

/** The message of anything that was thrown, on one line. */
export function messageOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
  return text.replaceAll(/\s+/g, ' ').trim();
}

/**
 * Throws INTERRUPTED when the signal has been aborted: work checks this between its steps.
 * A RegopsError given as the abort's reason is thrown as it is.
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(signal);
}

/** The error an aborted signal stands for. */
export function abortReason(signal: AbortSignal): RegopsError {
  return isRegopsError(signal.reason)
    ? signal.reason
    : new RegopsError('INTERRUPTED', 'interrupted', { cause: signal.reason });
}

/** `errno` of a Node system error (ENOENT, ECONNREFUSED …), looked for down the chain of causes. */
export function systemCode(thrown: unknown): string | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth++) {
    const code = (error as NodeJS.ErrnoException).code;
    if (typeof code === 'string' && !isRegopsError(error)) return code;
    if (error instanceof AggregateError) {
      for (const inner of error.errors) {
        const found = systemCode(inner);
        if (found) return found;
      }
    }
  }
  return undefined;
}
