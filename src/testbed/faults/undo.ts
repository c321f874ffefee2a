import { type Digest, isDigest, parseManifest } from '../../oci/index.ts';
import type { ApiRequest } from '../exchange.ts';
import { bytesOf } from '../representation.ts';
import type { Storage } from '../storage.ts';

/** Undoes a write; false when it has been written over since. */
export type Undo = () => Promise<boolean>;

/** Asked once the write is done: how to undo it, or undefined when it changed nothing. */
export type Written = () => Promise<Undo | undefined>;

const NOTHING: Written = async () => undefined;

/** Looks, before a write is carried out, at what it is about to change: a tag, a manifest, or a blob that comes. */
export async function watchWrite({ method, route, query }: ApiRequest, storage: Storage): Promise<Written> {
  if (!route) return NOTHING;
  const { name, repository, reference } = route;
  if (name === 'manifest') {
    if (!reference.includes(':')) return watchTag(storage, repository, reference);
    if (!isDigest(reference)) return NOTHING;
    return method === 'DELETE'
      ? watchDelete(storage, repository, reference)
      : watchPut(storage, repository, reference);
  }
  const brought =
    name === 'upload' || name === 'uploads' ? (query.get('digest') ?? query.get('mount')) : null;
  return isDigest(brought) ? watchBlob(storage, repository, brought) : NOTHING;
}

/** A tag is where it was before: an update is lost, a deleted tag is back. */
async function watchTag(storage: Storage, repository: string, tag: string): Promise<Written> {
  const before = await storage.resolveTag(repository, tag);
  return async () => {
    const after = await storage.resolveTag(repository, tag);
    if (after === before) return undefined;
    return async () => {
      if ((await storage.resolveTag(repository, tag)) !== after) return false;
      return before ? storage.setTag(repository, tag, before) : storage.deleteTag(repository, tag);
    };
  };
}

/** A manifest that came is gone. */
async function watchPut(storage: Storage, repository: string, digest: Digest): Promise<Written> {
  const wasThere = await storage.manifest(repository, digest);
  return async () => (wasThere ? undefined : () => storage.deleteManifest(repository, digest));
}

/** A deleted manifest is back, with those of its tags that nobody has set since. */
async function watchDelete(storage: Storage, repository: string, digest: Digest): Promise<Written> {
  const stored = await storage.manifest(repository, digest);
  if (!stored) return NOTHING;
  const bytes = await bytesOf(await stored.content.read());
  const manifest = parseManifest(bytes, { contentType: stored.mediaType, digest });
  const tags = (storage.contents(repository)?.tags ?? []).filter(([, target]) => target === digest);
  return async () => async () => {
    if (await storage.manifest(repository, digest)) return false;
    await storage.keepManifest(repository, manifest);
    for (const [tag] of tags) {
      if (!(await storage.resolveTag(repository, tag))) await storage.setTag(repository, tag, digest);
    }
    return true;
  };
}

/** A blob that came is gone. */
async function watchBlob(storage: Storage, repository: string, digest: Digest): Promise<Written> {
  const sizeBefore = await storage.blobSize(repository, digest);
  return async () =>
    sizeBefore === undefined && (await storage.blobSize(repository, digest)) !== undefined
      ? () => storage.deleteBlob(repository, digest)
      : undefined;
}

/** Other tags of what a tag pointed at, to be deleted with it. */
export async function siblingsOf(
  { method, route }: ApiRequest,
  storage: Storage,
): Promise<readonly string[]> {
  if (method !== 'DELETE' || route?.name !== 'manifest' || route.reference.includes(':')) return [];
  const { repository, reference } = route;
  const digest = await storage.resolveTag(repository, reference);
  const tags = digest ? (storage.contents(repository)?.tags ?? []) : [];
  return tags.flatMap(([tag, target]) => (target === digest && tag !== reference ? [tag] : []));
}
