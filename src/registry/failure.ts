import { type ErrorCode, escapeText, isRegopsError, messageOf, RegopsError } from '../base/index.ts';
import { discardBody, excerptOf, type HttpResponse, headerOf, readBody } from '../http/index.ts';
import { type Digest, LIMITS } from '../oci/index.ts';
import type { RegistryClient } from './client.ts';

/** What a registry said went wrong: its first error code and its words, capped and free of secrets. */
export interface Complaint {
  /** Error code of the distribution spec ("Error Codes"), when the body was the spec's JSON. */
  readonly code?: string;
  readonly message: string;
  /** Digests the complaint is about. */
  readonly digests?: readonly Digest[];
}

/**
 * Reads an error response. Bodies may be plain text or HTML whatever the spec says (Docker Hub's abuse
 * limit, proxies): reading one never hides the status. Throws INTERRUPTED only.
 */
export async function readComplaint(response: HttpResponse): Promise<Complaint> {
  let text: string;
  try {
    text = (await readBody(response, LIMITS.errorBytes, 'error response')).toString('utf8');
  } catch (error) {
    if (isRegopsError(error, 'INTERRUPTED')) throw error;
    await discardBody(response);
    return { message: `(unreadable: ${messageOf(error)})` };
  }
  return parseComplaint(text);
}

/** As {@link readComplaint}, for a body already read. Pure. */
export function parseComplaint(text: string): Complaint {
  try {
    const document: unknown = JSON.parse(text);
    const list = (document as { errors?: unknown })?.errors;
    const first: unknown = Array.isArray(list) ? list[0] : document;
    const digests = text.match(/\bsha256:[0-9a-f]{64}\b/g) ?? [];
    if (typeof first === 'object' && first !== null) {
      const { code, message, detail, details } = first as Record<string, unknown>;
      const said = [message, detail ?? details]
        .map((part) => (typeof part === 'string' ? part : part == null ? '' : JSON.stringify(part)))
        .filter((part) => part !== '' && part !== '{}');
      return {
        ...(typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? { code } : {}),
        message: excerptOf(said.join(': ')),
        ...(digests.length > 0 ? { digests: [...new Set(digests)] as Digest[] } : {}),
      };
    }
  } catch {
    // not JSON: shown as text below
  }
  return { message: excerptOf(text) };
}

/** Who gave an answer, and what is known of it. */
type FailingRegistry = Pick<RegistryClient, 'domain'> & Partial<Pick<RegistryClient, 'traits'>>;

/**
 * The error for a response that is not the success we asked for.
 *
 * @param doing what was attempted, as the message begins: `pull of team/app:1`
 * @param missing the error code a 404 stands for here
 */
export async function failure(
  client: FailingRegistry,
  response: HttpResponse,
  doing: string,
  missing: ErrorCode = 'MANIFEST_NOT_FOUND',
): Promise<RegopsError> {
  const complaint = await readComplaint(response);
  const said = [complaint.code, complaint.message].filter(Boolean).join(' ');
  const { code, hints } = classify(response, complaint, client, missing);
  return new RegopsError(
    code,
    `${doing}: ${client.domain} answered ${response.status}${said ? ` (${said})` : ''}`,
    {
      hints,
      details: {
        status: response.status,
        ...(complaint.code === undefined ? {} : { registryCode: complaint.code }),
        ...(isBlobUnknown(complaint.code) && complaint.digests
          ? { missingBlobs: complaint.digests.join(' ') }
          : {}),
      },
    },
  );
}

/** The registry's own error code inside an error made by {@link failure}. */
export function registryCodeOf(error: unknown): string | undefined {
  const code = (error as Partial<RegopsError> | undefined)?.details?.['registryCode'];
  return typeof code === 'string' ? code : undefined;
}

/**
 * The blobs that a registry misses below a manifest it refused, as far as it names them; undefined when the
 * manifest was refused for something else.
 */
export function missingBlobsOf(error: unknown): ReadonlySet<string> | undefined {
  if (!isBlobUnknown(registryCodeOf(error))) return undefined;
  const named = (error as RegopsError).details['missingBlobs'];
  return new Set(typeof named === 'string' ? named.split(' ') : []);
}

function isBlobUnknown(code: string | undefined): boolean {
  return code === 'MANIFEST_BLOB_UNKNOWN' || code === 'BLOB_UNKNOWN';
}

/** The HTTP status inside an error made by {@link failure}. */
export function statusOf(error: unknown): number | undefined {
  const status = (error as Partial<RegopsError> | undefined)?.details?.['status'];
  return typeof status === 'number' ? status : undefined;
}

function classify(
  response: HttpResponse,
  complaint: Complaint,
  { domain, traits }: FailingRegistry,
  missing: ErrorCode,
): { code: ErrorCode; hints: string[] } {
  const { status } = response;
  if (status === 401) {
    return {
      code: 'AUTHENTICATION_FAILED',
      hints: [`Log in with: regops login ${domain}`, 'Or give --username and --password-stdin.'],
    };
  }
  if (status === 403) {
    return {
      code: 'PERMISSION_DENIED',
      hints: ['The account may lack the right to this repository, or the repository may not exist.'],
    };
  }
  // A manifest that refers to what is not there; distribution answers it with 400, others with 404.
  if (complaint.code === 'MANIFEST_BLOB_UNKNOWN') return { code: 'BLOB_NOT_FOUND', hints: [] };
  if (status === 404) {
    return { code: complaint.code === 'NAME_UNKNOWN' ? 'REPOSITORY_NOT_FOUND' : missing, hints: [] };
  }
  if (status === 405 || status === 501 || complaint.code === 'UNSUPPORTED') {
    return { code: 'UNSUPPORTED_BY_SERVER', hints: [] };
  }
  if (status === 413) {
    return {
      code: 'UPLOAD_REJECTED',
      hints: [
        traits?.chunksRefused
          ? 'A proxy may limit the size of a request, and uploads in chunks are refused: raise its limit.'
          : 'A proxy may limit the size of a request: try --chunk-size 32MiB.',
      ],
    };
  }
  if (status === 429) {
    const wait = headerOf(response, 'retry-after');
    return {
      code: 'RATE_LIMITED',
      hints: [
        wait
          ? `The registry asks to wait: Retry-After ${escapeText(wait.slice(0, 40))}.`
          : 'Try again later.',
      ],
    };
  }
  if (status === 408 || status === 504)
    return { code: 'TIMED_OUT', hints: ['Try again, or raise --timeout.'] };
  if (status >= 500) return { code: 'SERVER_ERROR', hints: ['The registry failed: its log says more.'] };
  if (status >= 400) return { code: 'REQUEST_REFUSED', hints: [] };
  return { code: 'PROTOCOL_VIOLATION', hints: [`An answer ${status} was not expected here.`] };
}
