import {
  type ErrorCode,
  escapeText,
  isRegopsError,
  messageOf,
  RegopsError,
  redactText,
  systemCode,
} from '../base/index.ts';
import { type EngineAddress, formatEngineAddress } from './address.ts';

/** What was asked of the engine, for the message and for what a bare 404 means. */
export interface Asked {
  /** `cannot push registry.example.com/team/app:1`. */
  readonly what: string;
  /** What is missing when the engine only says that something is. */
  readonly missing?: 'CONTAINER_NOT_FOUND' | 'IMAGE_NOT_FOUND' | 'MANIFEST_NOT_FOUND';
}

interface Meaning {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly hints?: readonly string[];
}

const CREDENTIALS = 'Check the user name and the password or token, or sign in with regops login.';
const DAEMON_JSON = 'On the engine: { "insecure-registries": ["HOST:PORT"] } in daemon.json, and restart it.';
const DIRECT = 'Or let regops talk to the registry itself: --transport direct.';

/**
 * What the engine's words mean. Its status does not tell: 20.10 answers 500 to wrong credentials, a missing
 * manifest, a bad name and an unreachable registry alike, and podman answers 200 with the words in the stream.
 * The first that matches counts, so what is said of a cause stands before what is said of its consequence.
 */
const MEANINGS: readonly Meaning[] = [
  {
    pattern: /no space left on device|disk quota exceeded|not enough space/i,
    code: 'IO_FAILED',
    hints: ['Make room: docker system df, docker image prune. If the registry said it, its disk is full.'],
  },
  {
    pattern: /too ?many ?requests|rate limit|status:? 429/i,
    code: 'RATE_LIMITED',
    hints: ['Wait, or sign in: registries allow more to those they know.'],
  },
  {
    pattern: /server gave HTTP response to HTTPS client/i,
    code: 'TLS_FAILED',
    hints: ['The registry speaks plain http, which this engine is not told to use.', DAEMON_JSON, DIRECT],
  },
  {
    pattern: /x509:|certificate (signed by|is|has)|tls: (failed to verify|bad certificate)/i,
    code: 'TLS_UNTRUSTED',
    hints: ["Put its authority's certificate on the engine: /etc/docker/certs.d/HOST:PORT/ca.crt.", DIRECT],
  },
  { pattern: /\btls: |remote error: tls/i, code: 'TLS_FAILED', hints: [DIRECT] },
  {
    pattern: /no such host|server misbehaving|temporary failure in name resolution/i,
    code: 'NAME_NOT_RESOLVED',
    hints: ["The name was looked up by the engine, on the engine's machine. Check its spelling."],
  },
  {
    pattern:
      /connection refused|connection reset|no route to host|network is unreachable|broken pipe|unexpected EOF|: EOF\b/i,
    code: 'CONNECTION_FAILED',
    hints: ["Is the registry running, and can the engine's machine reach it?"],
  },
  {
    pattern: /deadline exceeded|i\/o timeout|client\.timeout|request canceled while waiting|timed out/i,
    code: 'TIMED_OUT',
    hints: ['Try again.'],
  },
  {
    pattern:
      /unauthorized|authentication required|no basic auth credentials|incorrect username or password|invalid username\/password|authorization (failed|required)/i,
    code: 'AUTHENTICATION_FAILED',
    hints: [CREDENTIALS],
  },
  {
    pattern: /manifest unknown|manifest for .+ not found|failed to resolve reference .+ not found/i,
    code: 'MANIFEST_NOT_FOUND',
    hints: ['It may have been deleted. Check the tag or digest.'],
  },
  {
    pattern: /name unknown|repository name not known|repository .+ not found/i,
    code: 'REPOSITORY_NOT_FOUND',
  },
  {
    pattern:
      /no matching manifest for|does not match the (specified|expected) platform|no match for platform/i,
    code: 'PLATFORM_NOT_FOUND',
    hints: ['Name one that the image has: --platform OS/ARCH.'],
  },
  {
    // "permission denied" is what the engine's own machine says, of a program or a limit.
    pattern: /(?<!permission )\bdenied\b|forbidden|insufficient[_ ]scope/i,
    code: 'PERMISSION_DENIED',
    hints: ['Registries say this too of repositories that do not exist.', CREDENTIALS],
  },
  { pattern: /could not find the file|no such directory/i, code: 'FILE_NOT_FOUND' },
  { pattern: /no such container|no container with name/i, code: 'CONTAINER_NOT_FOUND' },
  {
    pattern: /no such image|image not known|image does not exist locally|reference does not exist/i,
    code: 'IMAGE_NOT_FOUND',
  },
  {
    // Docker says so under status 400, as if the request were wrong.
    pattern: /OCI runtime \w+ failed|unable to start container process/i,
    code: 'ENGINE_FAILED',
    hints: ['Is the program that it runs in the image, and for this platform?'],
  },
  {
    pattern: /max depth exceeded/i,
    code: 'ENGINE_CONFLICT',
    hints: ['The image has as many layers as the engine allows. Flatten it: docker export | docker import.'],
  },
  {
    pattern:
      /invalid reference format|must be lowercase|invalid repository name|invalid tag|invalid container name/i,
    code: 'REFERENCE_INVALID',
  },
  {
    pattern:
      /received unexpected HTTP status: 5\d\d|5\d\d (internal server error|bad gateway|service unavailable)/i,
    code: 'SERVER_ERROR',
    hints: ['The registry failed. Try again later, or look into its log.'],
  },
  {
    pattern: /blob upload (unknown|invalid)|manifest invalid|digest invalid|size invalid/i,
    code: 'UPLOAD_REJECTED',
  },
];

/** More than any engine says, and little enough for patterns that look back. */
const SAID_CHARACTERS = 4096;

/**
 * The error for what the engine said: in the body of an HTTP error, or in an event of a stream under status 200.
 *
 * @param message the engine's own words
 * @param status undefined for an event
 */
export function engineError(asked: Asked, message: string, status?: number): RegopsError {
  const said = message.slice(0, SAID_CHARACTERS);
  const words = escapeText(redactText(said.replaceAll(/\s+/g, ' ').trim().slice(0, 600)));
  const meaning = MEANINGS.find(({ pattern }) => pattern.test(said));
  return new RegopsError(
    meaning?.code ?? codeOfStatus(asked, status),
    `${asked.what}: ${words || `the engine answered ${status}`}`,
    {
      hints: meaning?.hints ?? [],
      details: status === undefined ? {} : { status },
    },
  );
}

function codeOfStatus(asked: Asked, status: number | undefined): ErrorCode {
  switch (status) {
    case undefined:
      return 'ENGINE_FAILED';
    case 401:
      return 'AUTHENTICATION_FAILED';
    case 403:
      return 'PERMISSION_DENIED';
    case 404:
      return asked.missing ?? 'UNSUPPORTED_BY_SERVER';
    case 405:
    case 501:
      return 'UNSUPPORTED_BY_SERVER';
    case 409:
      return 'ENGINE_CONFLICT';
    case 429:
      return 'RATE_LIMITED';
    default:
      return status >= 500 ? 'ENGINE_FAILED' : 'REQUEST_REFUSED';
  }
}

/** The error for a connection to the engine that failed; a RegopsError passes as it is. */
export function connectionError(asked: Asked, address: EngineAddress, thrown: unknown): RegopsError {
  if (isRegopsError(thrown)) return thrown;
  const where = formatEngineAddress(address);
  const code = systemCode(thrown) ?? '';
  const fail = (ours: ErrorCode, why: string, hints: readonly string[] = []): RegopsError =>
    new RegopsError(ours, `${asked.what}: ${why}`, {
      cause: thrown,
      hints,
      ...(code ? { details: { errno: code } } : {}),
    });
  if (code === 'EACCES' || code === 'EPERM') {
    return fail('ENGINE_UNREACHABLE', `no permission to use ${where}`, [
      'Join the group that owns the socket and sign in anew: sudo usermod -aG docker "$USER".',
      'Or name a socket of your own with DOCKER_HOST (rootless docker, podman).',
    ]);
  }
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return fail('CONNECTION_FAILED', `the engine at ${where} closed the connection before it was done`, [
      'Was it stopped or restarted? Its log tells: journalctl -u docker.',
    ]);
  }
  if (/^HPE_/.test(code)) {
    return fail('PROTOCOL_VIOLATION', `${where} does not speak http`, [
      'If it speaks TLS, give certificates (DOCKER_CERT_PATH, DOCKER_TLS_VERIFY=1).',
    ]);
  }
  if (/CERT|^ERR_TLS_|^ERR_SSL_|SELF_SIGNED|UNABLE_TO|^EPROTO$/.test(code)) {
    return fail('TLS_FAILED', `TLS with ${where} failed: ${escapeText(messageOf(thrown).slice(0, 200))}`, [
      'Check the certificates in DOCKER_CERT_PATH (ca.pem, cert.pem, key.pem).',
    ]);
  }
  return fail(
    'ENGINE_UNREACHABLE',
    `no engine answers at ${where}${code === '' ? `: ${escapeText(messageOf(thrown).slice(0, 200))}` : ` (${code})`}`,
    UNREACHABLE_HINTS,
  );
}

const UNREACHABLE_HINTS: readonly string[] = [
  'Is the Docker Engine running? sudo systemctl start docker',
  'If it listens elsewhere, name it: DOCKER_HOST=unix:///run/user/1000/docker.sock or tcp://HOST:2376.',
  'Podman serves the same API: systemctl --user start podman.socket, DOCKER_HOST=unix://$XDG_RUNTIME_DIR/podman/podman.sock.',
];
