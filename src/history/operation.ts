import { RegopsError } from '../base/index.ts';
import { type Digest, isDigest, isRepository, isTag } from '../oci/index.ts';

/** Everything a client does to a registry. A kind's place in the list is its number in the file format: append only. */
export const OPERATION_KINDS = [
  'put-manifest',
  'get-manifest',
  'head-manifest',
  'delete-manifest',
  'put-blob',
  'get-blob',
  'head-blob',
  'delete-blob',
  'list-tags',
  'list-referrers',
  'list-repositories',
  'open-upload',
  'extend-upload',
  'cancel-upload',
  'collect-garbage',
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

/**
 * How an operation ended, in Jepsen's three classes.
 * - `ok`: it was done, or answered: a read that got 404 is an `ok` read of nothing.
 * - `fail`: refused with another 4xx: a write did not happen, a read says nothing.
 * - `unknown`: timeout, reset or 5xx: a write may happen at any later time, or never.
 */
export const OUTCOMES = ['ok', 'fail', 'unknown'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/**
 * One request, or one walk over the pages of a list, as its client saw it. Nothing is retried inside an operation:
 * a second try is an operation of its own, and the first stays `unknown`.
 */
export interface Operation {
  readonly kind: OperationKind;
  /** The session: one client's operations follow each other and never overlap. */
  readonly client: number;
  /** The process or thread that ran it. */
  readonly process: number;
  /** Stamped before the first byte was sent; whole microseconds on the run's monotonic clock. */
  readonly callUs: number;
  /** Stamped after the last byte came; of an `unknown` one, when the client gave up. */
  readonly returnUs: number;
  /** '' for `list-repositories`, and for a `collect-garbage` of the whole registry. */
  readonly repository: string;
  /**
   * The tag or digest asked for, the subject of `list-referrers`, the client's own name of an upload;
   * '' where the kind has none.
   */
  readonly reference: string;
  readonly outcome: Outcome;
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /**
   * What was written, or what was found: of GET the digest of the bytes that came, of HEAD what
   * Docker-Content-Digest said. Null: nothing was there, or the kind has no value.
   */
  readonly value: Digest | null;
  /** What Docker-Content-Digest said, where there is a value and it said something else. */
  readonly announced?: string;
  /** Bytes that came; of HEAD and PUT what Content-Length said. */
  readonly size?: number;
  readonly mediaType?: string;
  /** Of a list: what it named, in its order. Of `put-manifest`: the digests of the blobs it refers to. */
  readonly names?: readonly string[];
  /** Of `put-manifest`: the subject that the manifest refers to. */
  readonly subject?: Digest;
  /** Of `put-blob`: the client's name of the upload that it ends. */
  readonly upload?: string;
  /** What the server called the request. */
  readonly requestId?: string;
  /** Address and port that answered. */
  readonly remote?: string;
}

/** Bounds of what an operation may say: more than any workload writes, less than what hurts. */
export const OPERATION_LIMITS = {
  /** Characters of a request id, remote address, media type, announced digest or upload name. */
  text: 256,
  /** Names of one list. */
  names: 100_000,
  /** Highest number of a client or process. */
  id: 2 ** 31 - 1,
} as const;

/** True for the three lists. */
export function isList(kind: OperationKind): boolean {
  return kind === 'list-tags' || kind === 'list-referrers' || kind === 'list-repositories';
}

/** True for GET and HEAD of manifests and blobs. */
export function isRead(kind: OperationKind): boolean {
  return isManifestRead(kind) || kind === 'get-blob' || kind === 'head-blob';
}

/** True for GET and HEAD of manifests. */
export function isManifestRead(kind: OperationKind): boolean {
  return kind === 'get-manifest' || kind === 'head-manifest';
}

/** True for what changes content: puts and deletes of manifests and blobs. */
export function isChange(kind: OperationKind): boolean {
  return (
    kind === 'put-manifest' || kind === 'delete-manifest' || kind === 'put-blob' || kind === 'delete-blob'
  );
}

/** When an operation is over for sure: never, for a change that may still happen. */
export function endOf(operation: Operation): number {
  return operation.outcome === 'unknown' && isChange(operation.kind)
    ? Number.POSITIVE_INFINITY
    : operation.returnUs;
}

/**
 * Checks that an operation is one: numbers in their ranges, names and digests by their grammar, the fields its kind
 * has. Throws INPUT_INVALID.
 */
export function checkOperation(operation: Operation): void {
  const wrong = wrongField(operation);
  if (wrong !== undefined)
    throw new RegopsError('INPUT_INVALID', `invalid ${operation.kind} operation: ${wrong}`);
}

function wrongField(operation: Operation): string | undefined {
  const { kind, client, process, callUs, returnUs, repository, reference, status, value } = operation;
  if (!isCount(client, OPERATION_LIMITS.id)) return 'client is no number of one';
  if (!isCount(process, OPERATION_LIMITS.id)) return 'process is no number of one';
  if (!isCount(callUs) || !isCount(returnUs)) return 'a time is not in whole microseconds';
  if (returnUs < callUs) return 'it returned before it was called';
  if (!isCount(status, 999)) return 'status is no HTTP status';
  const bare = kind === 'list-repositories' || (kind === 'collect-garbage' && repository === '');
  if (bare ? repository !== '' : !isRepository(repository)) return 'repository is none';
  if (!isReference(kind, reference)) return 'reference is none that this kind has';
  const writes = kind === 'put-manifest' || kind === 'put-blob';
  if (value === null ? writes : !isDigest(value) || !(writes || isRead(kind)))
    return 'value is none that this kind has';
  return wrongExtra(operation);
}

function wrongExtra(operation: Operation): string | undefined {
  const { kind, announced, size, mediaType, names, subject, upload, requestId, remote } = operation;
  for (const text of [announced, mediaType, upload, requestId, remote]) {
    if (text !== undefined && text.length > OPERATION_LIMITS.text) return 'a text is too long';
  }
  if (size !== undefined && !isCount(size)) return 'size is no number of bytes';
  if (subject !== undefined && !isDigest(subject)) return 'subject is no digest';
  if (names === undefined)
    return isList(kind) && operation.outcome === 'ok' ? 'names are missing' : undefined;
  if (!isList(kind) && kind !== 'put-manifest') return 'names are not for this kind';
  if (names.length > OPERATION_LIMITS.names) return 'there are too many names';
  const isName = kind === 'list-tags' ? isTag : kind === 'list-repositories' ? isRepository : isDigest;
  return names.every(isName) ? undefined : 'a name is none';
}

function isReference(kind: OperationKind, reference: string): boolean {
  switch (kind) {
    case 'put-manifest':
    case 'get-manifest':
    case 'head-manifest':
    case 'delete-manifest':
      return isTag(reference) || isDigest(reference);
    case 'put-blob':
    case 'get-blob':
    case 'head-blob':
    case 'delete-blob':
    case 'list-referrers':
      return isDigest(reference);
    case 'open-upload':
    case 'extend-upload':
    case 'cancel-upload':
      return reference !== '' && reference.length <= OPERATION_LIMITS.text;
    default:
      return reference === '';
  }
}

function isCount(value: unknown, max: number = Number.MAX_SAFE_INTEGER): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}
