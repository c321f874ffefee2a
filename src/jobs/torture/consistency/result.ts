export type Severity = 'error' | 'warning' | 'note';

/** What is judged; each is one check of the report. */
export type CheckName =
  | 'tag-counts'
  | 'tags-resolve'
  | 'digests'
  | 'head-get'
  | 'manifests'
  | 'references'
  | 'lists'
  | 'ghosts'
  | 'replies'
  | 'response-time';

/**
 * Every kind of finding: how grave it is, the check it belongs to, and whether it may be a list or counter
 * that lags behind a push (the distribution spec promises nothing about that, so it gets longer to settle).
 */
export const FINDING_KINDS = {
  /** The admin API's state and its details of a repository count different numbers of tags. */
  'count-drift': { severity: 'error', check: 'tag-counts', settles: true },
  'manifest-without-digest': { severity: 'error', check: 'tag-counts', settles: false },
  /** A tag of the list that resolves to nothing. */
  'lost-tag': { severity: 'error', check: 'tags-resolve', settles: true },
  /** A reply's digest header, or the digest it was asked by, is not that of its bytes. */
  'wrong-digest': { severity: 'error', check: 'digests', settles: false },
  /** The digest a tag resolves to cannot be read by that digest. */
  'unreadable-by-digest': { severity: 'error', check: 'digests', settles: false },
  /** The spec asks for the header since 1.1, its conformance suite does not. */
  'no-digest-header': { severity: 'note', check: 'digests', settles: false },
  'head-get-disagree': { severity: 'error', check: 'head-get', settles: false },
  'wrong-media-type': { severity: 'error', check: 'manifests', settles: false },
  'invalid-manifest': { severity: 'error', check: 'manifests', settles: false },
  /** A manifest of a kind regops does not look into. */
  'unknown-manifest': { severity: 'note', check: 'manifests', settles: false },
  'missing-blob': { severity: 'error', check: 'references', settles: false },
  'missing-manifest': { severity: 'error', check: 'references', settles: false },
  'wrong-size': { severity: 'error', check: 'references', settles: false },
  'duplicate-tag': { severity: 'error', check: 'lists', settles: false },
  /** A tag that resolves and that another list has, or had, but the tag list has not. */
  'unlisted-tag': { severity: 'error', check: 'lists', settles: true },
  /** The list read in small pages is another than the whole list. */
  'paging-disagree': { severity: 'error', check: 'lists', settles: true },
  /** Admin API and `/v2/` have different tags, or repositories. */
  'lists-disagree': { severity: 'warning', check: 'lists', settles: true },
  /** The spec asks for an order, distribution 2.8 has none: nobody loses anything by it. */
  'unsorted-tags': { severity: 'note', check: 'lists', settles: false },
  /** A repository of the catalog that has no tags. The catalog is not in the spec. */
  'ghost-repository': { severity: 'warning', check: 'ghosts', settles: true },
  /** 5xx; a warning when it passed by itself, a note when it was a push that was seen under way. */
  'server-error': { severity: 'error', check: 'replies', settles: false },
  /** No reply at all; a warning when one came at the next try. */
  'no-reply': { severity: 'error', check: 'replies', settles: false },
  /** Fewer bytes than its Content-Length says. */
  'truncated-reply': { severity: 'error', check: 'replies', settles: false },
  'rate-limited': { severity: 'note', check: 'replies', settles: false },
  /** A repository the credentials may not read: it was not checked. */
  denied: { severity: 'note', check: 'replies', settles: false },
  slow: { severity: 'warning', check: 'response-time', settles: false },
} as const satisfies Record<string, { severity: Severity; check: CheckName; settles: boolean }>;

export type FindingKind = keyof typeof FINDING_KINDS;

/** One request and what came of it. */
export interface Evidence {
  /** `GET /v2/team/app/manifests/1`, without secrets. */
  readonly request: string;
  /** null when there was no reply. */
  readonly status: number | null;
  /** Those that say what was promised: digest, length, type. */
  readonly headers: Readonly<Record<string, string>>;
  /** When it was sent; ISO 8601. */
  readonly at: string;
  /** Until the reply began. */
  readonly durationMs: number;
  /** Bytes of its body that came, when it was of interest. */
  readonly bodyBytes?: number;
  /** What went wrong on the way. */
  readonly failure?: string;
}

/** Something that is not as it should be, seen again before it was reported. */
export interface Finding {
  readonly kind: FindingKind;
  readonly severity: Severity;
  readonly repository: string | null;
  /** A tag or digest in the repository. */
  readonly reference: string | null;
  readonly message: string;
  readonly evidence: readonly Evidence[];
  /** ISO 8601. */
  readonly firstSeen: string;
  readonly lastSeen: string;
  /** In how many passes it was seen. */
  readonly passes: number;
}

/** The `result` of torture consistency's JSON answer. Figures are of all passes together. */
export interface ConsistencyResult {
  readonly registry: string;
  /** null when it could not be found out. */
  readonly api: 'nscr' | 'oci' | null;
  readonly deep: boolean;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly interrupted: boolean;
  /** Passes that looked at everything. */
  readonly passes: number;
  /** The last pass was ended by the duration, or by an interrupt. */
  readonly partial: boolean;
  /** There are more repositories than were looked at. */
  readonly truncated: boolean;
  /** Repositories and tags judged, as the seed counts, and those of them with an error. */
  readonly operations: number;
  readonly errors: number;
  readonly checked: {
    readonly repositories: number;
    readonly tags: number;
    readonly manifests: number;
    readonly blobs: number;
    readonly readBytes: number;
    readonly requests: number;
  };
  /** Gravest first. */
  readonly findings: readonly Finding[];
  /** Findings that did not fit any more. */
  readonly findingsDropped: number;
}
