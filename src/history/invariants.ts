import type { Operation } from './operation.ts';

/**
 * What a promise rests on: `must` the distribution spec says so; `expected` everybody expects it of a registry at one
 * place, nobody promises it; `not-promised` it comes true after a while.
 */
export type Tier = 'must' | 'expected' | 'not-promised';

/** Every invariant that is judged, by its name: what it rests on, and what it says. */
export const INVARIANTS = {
  'digest-integrity': { tier: 'must', says: 'bytes read by digest have that digest' },
  'digest-header': { tier: 'must', says: 'Docker-Content-Digest is the digest of the content' },
  'size-agrees': { tier: 'must', says: 'one digest always has one length, by HEAD and GET' },
  'media-type-agrees': { tier: 'must', says: 'a manifest keeps the media type it was pushed with' },
  'torn-manifest': {
    tier: 'must',
    says: 'a tag gives a whole manifest that somebody pushed, never a part or a mixture',
  },
  'phantom-manifest': { tier: 'must', says: 'a tag gives only manifests that were pushed to it' },
  'read-before-write': { tier: 'must', says: 'nothing is read before it was pushed' },
  'manifest-lost': {
    tier: 'must',
    says: 'a manifest that got 201 is there by digest until its delete is called',
  },
  'blob-lost': {
    tier: 'must',
    says: 'a blob that got 201 is there until its delete, or that of all its manifests, is called',
  },
  'deleted-manifest-readable': { tier: 'must', says: 'a manifest whose delete got 202 is gone by digest' },
  'deleted-blob-readable': { tier: 'must', says: 'a blob whose delete got 202 is gone' },
  'tag-resurrected': { tier: 'must', says: 'a tag that was deleted stays away until it is pushed again' },
  'sibling-tag-removed': { tier: 'must', says: 'a delete removes no tag but those it names' },
  'tag-list-order': { tier: 'must', says: 'tags are listed in lexical order' },
  'list-duplicate': { tier: 'must', says: 'a list names nothing twice over all its pages' },
  'referrer-lost': { tier: 'must', says: 'when all is quiet every pushed referrer is listed' },
  'referrers-not-found': { tier: 'must', says: 'the referrers list is never 404' },
  'stale-read': {
    tier: 'expected',
    says: 'a tag never gives a manifest that was replaced before the read began',
  },
  'tag-lost': { tier: 'expected', says: 'a tag that was pushed is there until it is deleted' },
  'lost-update': { tier: 'expected', says: 'when all is quiet a tag gives the last push that got 201' },
  'read-your-writes': { tier: 'expected', says: 'a client sees its own push, or a later one' },
  'monotonic-reads': { tier: 'expected', says: 'a client never sees an older manifest after a newer one' },
  'monotonic-writes': { tier: 'expected', says: 'pushes of one client are seen in their order' },
  'writes-follow-reads': {
    tier: 'expected',
    says: 'a push is seen after what its client had seen before it',
  },
  'server-error': { tier: 'expected', says: 'what is there is never answered with 500' },
  'blob-collected': { tier: 'expected', says: 'garbage collection leaves fresh blobs alone' },
  'manifest-collected': { tier: 'expected', says: 'garbage collection leaves pushed manifests alone' },
  'upload-lost': { tier: 'expected', says: 'an open upload is known until it is ended' },
  'tag-list-lost': { tier: 'not-promised', says: 'a tag that was listed stays listed until it is deleted' },
  'tag-list-phantom': { tier: 'not-promised', says: 'the tag list names only what was pushed' },
  'tag-list-converges': { tier: 'not-promised', says: 'when all is quiet the tag list is what was pushed' },
  'referrers-phantom': { tier: 'not-promised', says: 'the referrers list names only what was pushed' },
  'catalog-lost': {
    tier: 'not-promised',
    says: 'a repository that was listed stays listed while it has content',
  },
  'catalog-converges': { tier: 'not-promised', says: 'when all is quiet the catalog names every repository' },
} as const satisfies Readonly<Record<string, { readonly tier: Tier; readonly says: string }>>;

export type InvariantName = keyof typeof INVARIANTS;

/** One violation, with the fewest operations that show it. */
export interface Finding {
  readonly invariant: InvariantName;
  readonly tier: Tier;
  /** '' for the catalog. */
  readonly repository: string;
  /** The tag or digest it is about; '' for a list of the repository. */
  readonly reference: string;
  /** Why these operations cannot all be right, in one sentence. */
  readonly sentence: string;
  /** In the order of their calls. Without any one of them there is no violation. */
  readonly operations: readonly Operation[];
  /** What happened at that time and may be to blame: deletes, garbage collections. */
  readonly suspects: readonly Operation[];
  /**
   * Of a tag: pushes from shortly before these operations until their end. None is needed to see the violation, but it
   * may not come true again without.
   */
  readonly context: readonly Operation[];
}

/** A finding as the check that made it tells it. */
export type FindingDraft = Omit<Finding, 'invariant' | 'tier' | 'context'> &
  Partial<Pick<Finding, 'context'>>;

/** Where the checks of a run tell what they looked at and found. */
export interface Notes {
  /** Something was held against the invariant. */
  checked(invariant: InvariantName, times?: number): void;
  /** It was broken. What is costly to make is only made when the finding is kept. */
  violated(invariant: InvariantName, make: () => FindingDraft): void;
}

/** What the checks may assume of the registry and of the run. */
export interface JudgeOptions {
  /** How long lists and lagging replicas may take, after the last change, before that is a finding; default 60 s. */
  readonly settleUs?: number;
  /** How long what was deleted may still be found; default 0. */
  readonly deleteGraceUs?: number;
}
