import { asRegopsError, isRegopsError, mapConcurrently, messageOf, RegopsError } from '../base/index.ts';
import {
  buildManifest,
  type Digest,
  digestOf,
  type Manifest,
  MEDIA_TYPES,
  type Reference,
} from '../oci/index.ts';
import type { RegistryClient } from './client.ts';
import { statusOf } from './failure.ts';
import { collect, listTags } from './lists.ts';
import { deleteManifest, getManifest, headManifest, putManifest } from './manifests.ts';
import { bytesSource, uploadBlob } from './upload/index.ts';

const TAGS_AT_ONCE = 8;

/** What a delete did. */
export interface Deletion {
  readonly digest: Digest;
  /** Tags that are gone. */
  readonly removedTags: readonly string[];
  /** Tags that still point at the manifest. */
  readonly keptTags: readonly string[];
  /** True when the manifest itself is gone. */
  readonly manifestDeleted: boolean;
}

/**
 * Deletes a tag or a manifest without taking tags along that nobody named (skopeo and the seed delete
 * every sibling tag, because a delete by digest is all that distribution 2.8 offers).
 *
 * A tag: the registry's own tag delete where it has one. Where it has none, a manifest that no other tag
 * shares goes by digest, and from a shared one the tag is taken off by pointing it at an empty manifest
 * and deleting that. A digest: only when no tag points at it. `allTags` deletes the manifest and with it
 * every tag.
 *
 * @throws TAG_SHARED when more would go than was named, MANIFEST_NOT_FOUND, UNSUPPORTED_BY_SERVER
 */
export async function deleteReference(
  client: RegistryClient,
  reference: Pick<Reference, 'repository' | 'tag' | 'digest'>,
  options: { allTags?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<Deletion> {
  const { repository } = reference;
  const { signal } = options;
  const selector = reference.digest ?? reference.tag ?? 'latest';
  const byTag = reference.digest === undefined;
  const name = `${client.domain}/${repository}${byTag ? ':' : '@'}${selector}`;
  const digest = await digestAt(client, repository, selector, signal);
  if (!digest) throw new RegopsError('MANIFEST_NOT_FOUND', `delete of ${name}: there is no such manifest`);

  if (byTag && !options.allTags && (await deleteTagAlone(client, repository, selector, signal))) {
    return {
      digest,
      removedTags: [selector],
      keptTags: await tagsLeft(client, repository, digest, signal),
      manifestDeleted: false,
    };
  }

  const tags = await tagsOf(client, repository, digest, signal);
  if (byTag && !options.allTags && !tags.includes(selector)) {
    throw new RegopsError(
      'PROTOCOL_VIOLATION',
      `delete of ${name}: the registry does not list this tag, so it may keep others back too`,
      { hints: ['To delete the manifest with every tag that points at it: --all-tags.'] },
    );
  }
  const others = tags.filter((one) => one !== selector);
  if (others.length > 0 && !options.allTags) {
    if (!byTag) throw shared(name, others);
    await replaceThenDelete(client, repository, selector, signal);
    return { digest, removedTags: [selector], keptTags: others, manifestDeleted: false };
  }
  await deleteManifest(client, repository, digest, signal);
  return { digest, removedTags: tags, keptTags: [], manifestDeleted: true };
}

/**
 * What a tag or digest stands for now; undefined when there is none. A HEAD that finds nothing may be
 * Artifactory's 403: a GET tells whether that was a refusal, behind which the manifest may be there.
 */
async function digestAt(
  client: RegistryClient,
  repository: string,
  selector: string,
  signal: AbortSignal | undefined,
): Promise<Digest | undefined> {
  const head = await headManifest(client, repository, selector, signal);
  if (head) return head.digest;
  try {
    return (await getManifest(client, repository, selector, signal)).digest;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return isRegopsError(error, 'MANIFEST_NOT_FOUND') || isRegopsError(error, 'REPOSITORY_NOT_FOUND');
}

/** True when the registry took the tag and only the tag (distribution spec, end-9); false when it can not. */
async function deleteTagAlone(
  client: RegistryClient,
  repository: string,
  tag: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await deleteManifest(client, repository, tag, signal);
    return true;
  } catch (error) {
    // distribution 2.8 answers 405, or 400/404 because a tag is no digest.
    if ([400, 404, 405, 501].includes(statusOf(error) ?? 0)) return false;
    throw error;
  }
}

/** The tags that point at a digest now. */
async function tagsOf(
  client: RegistryClient,
  repository: string,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  let tags: string[];
  try {
    tags = await collect(listTags(client, repository, { signal }));
  } catch (error) {
    // distribution says so of a repository that has no tags.
    if (isMissing(error)) return [];
    throw error;
  }
  const digests = await mapConcurrently(tags, TAGS_AT_ONCE, signal, (tag, either) =>
    digestAt(client, repository, tag, either),
  );
  return tags.filter((_, at) => digests[at] === digest);
}

/** As {@link tagsOf}, to report after the deed: not being told what is left does not undo it. */
async function tagsLeft(
  client: RegistryClient,
  repository: string,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  try {
    return await tagsOf(client, repository, digest, signal);
  } catch (error) {
    client.log.warn(`the tag is deleted, but not which others point at ${digest}: ${messageOf(error)}`);
    return [];
  }
}

/**
 * Takes a tag off a manifest on a registry that only deletes by digest: the tag is pointed at an empty
 * manifest of its own, and that one is deleted. Should that fail, the tag is put back.
 */
async function replaceThenDelete(
  client: RegistryClient,
  repository: string,
  tag: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const original = await getManifest(client, repository, tag, signal);
  const empty = Buffer.from('{}');
  const config = { mediaType: MEDIA_TYPES.ociEmpty, digest: digestOf(empty), size: empty.length };
  await uploadBlob(client, repository, bytesSource(empty, config.digest), { signal });
  const standIn = buildManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config,
    layers: [],
    // Makes its digest this tag's own: no other tag can share it.
    annotations: { 'regops.deleted-tag': tag, 'regops.deleted-digest': original.digest },
  });
  try {
    await putManifest(client, repository, tag, standIn, signal);
    await deleteManifest(client, repository, standIn.digest, signal);
  } catch (error) {
    await putBack(client, repository, tag, original, asRegopsError(error));
    throw error;
  }
}

/** Points a tag at its manifest again, whatever the caller's signal says; throws when that fails too. */
async function putBack(
  client: RegistryClient,
  repository: string,
  tag: string,
  original: Manifest,
  error: RegopsError,
): Promise<void> {
  try {
    if ((await digestAt(client, repository, tag, undefined)) === original.digest) return;
    await putManifest(client, repository, tag, original);
  } catch (second) {
    throw new RegopsError(
      error.code,
      `${error.message}; tag ${tag} may now point at an empty manifest, and could not be put back: ${messageOf(second)}`,
      {
        hints: [`Point the tag at ${original.digest} again: the manifest is still there.`, ...error.hints],
        details: error.details,
        cause: error,
      },
    );
  }
}

function shared(name: string, others: readonly string[]): RegopsError {
  const shown = others.slice(0, 5).join(', ') + (others.length > 5 ? ` and ${others.length - 5} more` : '');
  return new RegopsError('TAG_SHARED', `delete of ${name}: ${others.length} tag(s) point at it: ${shown}`, {
    hints: ['Use --all-tags to delete the manifest with every tag that points at it.'],
    details: { tags: others.length },
  });
}
