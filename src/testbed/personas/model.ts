/**
 * How one kind of registry differs from the specification. What is left out is as the specification has it, and
 * as the honest testbed does it.
 */
export interface Persona {
  /** What it plays, as help names it. */
  readonly title: string;

  /** False where clients sign in by Basic alone. */
  readonly tokenService?: false;
  /** How long an access token is good, unless the testbed is told otherwise. */
  readonly tokenLifetimeMs?: number;
  /** Only `/v2/` says how to sign in: other requests get a 401 without a challenge. */
  readonly challenge?: 'ping-alone';
  /** An action that the token service refuses to hear of in a scope. */
  readonly refusedAction?: string;
  /** How a 429 looks that is not about pulls of manifests: plain text, and a Retry-After of so many seconds. */
  readonly abuseLimit?: { readonly text: string; readonly retryAfterSeconds: number };

  readonly catalog?: 'denied';
  /** A larger `n` is refused with 400. */
  readonly mostCatalogNames?: number;
  readonly mostTags?: number;
  /** `n` and `last` are not looked at: all tags come at once. */
  readonly tagPages?: 'none' | 'endless';
  /** What stands among the tags and is none. */
  readonly strayTags?: 'null' | 'digests';

  /** The code a manifest's 404 has, in place of MANIFEST_UNKNOWN. */
  readonly missingManifestCode?: 'UNKNOWN';
  /** The status that says by HEAD that a manifest is not there. */
  readonly missingManifestHead?: 403;
  /** False where a manifest is deleted by its digest only (405). */
  readonly deletesTags?: false;
  /** `absent`: neither the API nor OCI-Subject; `announced`: OCI-Subject, but no API behind it. */
  readonly referrers?: 'absent' | 'announced';
  /** Manifests with both an artifactType and a subject get 405. */
  readonly typedReferrers?: 'refused';

  /** Nothing can be pushed to a repository that does not exist. */
  readonly repositories?: 'made-beforehand';
  /** GET of a blob leads to a storage at another origin. */
  readonly blobs?: 'redirected';
  /** A blob that a manifest of any repository refers to is there in all of them. */
  readonly blobSharing?: 'referred';

  /**
   * What a mount needs: it never works (202), a manifest in `from` must refer to the blob (else 202), or the blob may
   * be anywhere.
   */
  readonly mount?: 'never' | 'referred' | 'anywhere';
  /** What a mount without `from` gets. */
  readonly mountWithoutFrom?: 400;
  /** What a mount that names another registry as `origin` gets. */
  readonly mountOrigin?: 400;
  /** What a mount from a project that is not there gets (the project is the first part of the name). */
  readonly mountFromNowhere?: 401;

  /** Locations are absolute, of the Host that the client wrote, and those of uploads carry a `_state`. */
  readonly locations?: 'absolute';
  /** A `_state` that is not where the upload is gets 400, and cancels the upload. */
  readonly staleState?: 'cancels';
  /** Content-Range is not looked at: by `PUT`, or at all. What comes is appended. */
  readonly ignoredContentRange?: 'put' | 'all';
  /** PATCH with a Content-Range is refused: blobs come in one piece, or as one stream. */
  readonly chunks?: 'refused';
  /** Every chunk but the last must have so many bytes. */
  readonly leastChunkBytes?: number;
  /** A chunk (a PATCH with Content-Range) of more gets 416. */
  readonly mostChunkBytes?: number;
  /** What answers a PATCH that was taken. */
  readonly patchStatus?: 201;
  /** The `Range` after a PATCH: where the first chunk ended, or how long the last one was. */
  readonly patchRange?: 'first-chunk' | 'last-chunk';
  /** What the end of an upload without any bytes gets. */
  readonly emptyCommit?: 500;
  /** What a client gets that cancels its upload. */
  readonly cancel?: 403;
}
