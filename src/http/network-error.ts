import { escapeText, isRegopsError, messageOf, RegopsError, systemCode } from '../base/index.ts';

/** What was being done when the network failed, for the message. */
export interface Circumstances {
  /** `registry.example.com:5000`, or `the proxy http://proxy:3128`. */
  readonly peer: string;
  readonly timeoutMs: number;
  /**
   * False as long as nothing of the request can have reached the other side: then even a request that
   * must not be repeated may be sent again.
   */
  readonly sent: boolean;
}

const REFUSALS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed while sending',
  EHOSTUNREACH: 'no route to host',
  EHOSTDOWN: 'host is down',
  ENETUNREACH: 'network is unreachable',
  EADDRNOTAVAIL: 'address not available',
  ECONNABORTED: 'the connection was aborted',
  UND_ERR_SOCKET: 'the connection was closed',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the answer ended too early',
  UND_ERR_DESTROYED: 'the connection was closed by regops',
  UND_ERR_CLOSED: 'the connection was closed by regops',
  ERR_STREAM_PREMATURE_CLOSE: 'the connection was closed',
};

const TIMEOUTS: Readonly<Record<string, string>> = {
  ETIMEDOUT: 'no connection',
  UND_ERR_CONNECT_TIMEOUT: 'no connection',
  UND_ERR_HEADERS_TIMEOUT: 'no answer',
  UND_ERR_BODY_TIMEOUT: 'the answer stopped',
};

const NAME_ERRORS = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME']);

/** OpenSSL's verification errors that another set of trusted roots can cure. */
const UNKNOWN_ISSUER: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an unknown certificate authority (self-signed root)',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate comes from an unknown certificate authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an unknown certificate authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate comes from an unknown certificate authority',
  CERT_UNTRUSTED: 'its certificate authority is not trusted',
};

const CERTIFICATE_FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  CERT_REVOKED: 'its certificate was revoked',
  CERT_REJECTED: 'its certificate was rejected',
  CERT_SIGNATURE_FAILURE: 'its certificate has a wrong signature',
  CERT_CHAIN_TOO_LONG: 'its certificate chain is too long',
  INVALID_CA: 'its certificate was issued by a certificate that is no certificate authority',
  INVALID_PURPOSE: 'its certificate is not meant for servers',
  PATH_LENGTH_EXCEEDED: 'its certificate chain is longer than its authority allows',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name',
};

/** True for a TLS failure that more trusted roots may cure. */
export function isUnknownIssuer(thrown: unknown): boolean {
  return !isRegopsError(thrown) && (systemCode(thrown) ?? '') in UNKNOWN_ISSUER;
}

/**
 * The RegopsError for whatever the network stack threw; a RegopsError passes as it is. `details.errno`
 * keeps the stack's own code, `details.sent` says whether the request may have reached the other side.
 */
export function networkError(thrown: unknown, { peer, timeoutMs, sent }: Circumstances): RegopsError {
  if (isRegopsError(thrown)) return thrown;
  const code = systemCode(thrown) ?? '';
  const options = { cause: thrown, details: { sent, ...(code ? { errno: code } : {}) } };
  const fail = (
    ours: ConstructorParameters<typeof RegopsError>[0],
    why: string,
    ...hints: string[]
  ): RegopsError => new RegopsError(ours, `${peer}: ${why}`, { ...options, hints });

  const timeout = TIMEOUTS[code];
  if (timeout)
    return fail('TIMED_OUT', `${timeout} within ${timeoutMs / 1000} s`, 'Try again, or raise --timeout.');
  if (NAME_ERRORS.has(code)) {
    return fail(
      'NAME_NOT_RESOLVED',
      code === 'EAI_AGAIN' ? 'the name service did not answer' : 'no such host',
      'Check the spelling of the host name.',
    );
  }
  const untrusted = UNKNOWN_ISSUER[code];
  if (untrusted) {
    return fail(
      'TLS_UNTRUSTED',
      untrusted,
      "Give the certificate authority's certificate with --ca-file FILE.",
      'To go on without checking it: --insecure.',
    );
  }
  const fault = CERTIFICATE_FAULTS[code];
  if (fault) {
    return fail(
      'TLS_UNTRUSTED',
      code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? `${fault}${namesIn(thrown)}` : fault,
      code.startsWith('CERT_HAS') || code.startsWith('CERT_NOT')
        ? "Renew the certificate, or check this machine's clock."
        : code === 'ERR_TLS_CERT_ALTNAME_INVALID'
          ? 'Use a name that the certificate holds, or have it issued anew.'
          : 'Have the certificate issued anew.',
    );
  }
  if (
    /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|RECORD_LAYER_FAILURE)$/.test(code)
  ) {
    return fail(
      'TLS_FAILED',
      'it does not speak TLS',
      'If it is a plain http server, use --plain-http or http://.',
    );
  }
  if (
    /^ERR_SSL_.*ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|CERTIFICATE_\w+)$/.test(
      code,
    )
  ) {
    return fail(
      'TLS_FAILED',
      'it refused our side of the TLS handshake (it may require a client certificate)',
      'Give a client certificate with --cert-file and --key-file, or in a certs.d folder.',
    );
  }
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || code === 'EPROTO') {
    return fail('TLS_FAILED', `TLS failed: ${said(thrown)}`);
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || code === 'HPE_HEADER_OVERFLOW') {
    return fail('RESPONSE_TOO_LARGE', 'the header of its answer is too large');
  }
  if (isParserError(thrown, code)) {
    return fail('PROTOCOL_VIOLATION', 'its answer is not HTTP', 'If it speaks TLS on this port, use https.');
  }
  if (code === 'UND_ERR_INVALID_ARG') return fail('REQUEST_REFUSED', `not a valid request: ${said(thrown)}`);
  return fail('CONNECTION_FAILED', REFUSALS[code] ?? said(thrown));
}

/**
 * True when what came is no HTTP. undici leaves the code out when its parser gives none, and only asserts that a
 * status has three digits.
 */
export function isParserError(thrown: unknown, code: string): boolean {
  return (
    code.startsWith('HPE_') ||
    code === 'ERR_ASSERTION' ||
    (thrown instanceof Error && thrown.name === 'HTTPParserError')
  );
}

/** The names a certificate is for, as far as Node tells them. */
function namesIn(thrown: unknown): string {
  const names = (thrown as { cert?: { subjectaltname?: unknown } }).cert?.subjectaltname;
  return typeof names === 'string' && names !== '' ? ` (it is for ${escapeText(names.slice(0, 200))})` : '';
}

function said(thrown: unknown): string {
  return escapeText(messageOf(thrown).slice(0, 200));
}
