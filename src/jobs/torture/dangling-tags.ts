import { messageOf } from '../../base/index.ts';
import { digestOf, MEDIA_TYPES } from '../../oci/index.ts';
import {
  bytesSource,
  collect,
  deleteManifest,
  headManifest,
  listTags,
  putManifest,
  type RegistryClient,
  uploadBlob,
} from '../../registry/index.ts';
import { manifestOf } from './verdict/manifest.ts';
import { CONFIG } from './workloads/push.ts';

/**
 * Removes tags that are listed and lead nowhere. distribution leaves them when several manifests of a repository are
 * deleted at once: it looks for a manifest's tags after that is gone, and gives up when another tag goes meanwhile
 * (distribution#3191). It cannot delete a tag by name either; so they are moved to a manifest of ours, one after the
 * other, and go with that.
 *
 * @param isOurs tells the run's tags from others
 * @returns those that stay, each with the reason; none when the list cannot be had. Never throws
 */
export async function removeDanglingTags(
  client: RegistryClient,
  repository: string,
  isOurs: (tag: string) => boolean,
  signal: AbortSignal,
): Promise<{ readonly tag: string; readonly reason: string }[]> {
  const listed = async (): Promise<string[]> =>
    (await collect(listTags(client, repository, { signal })).catch(() => [])).filter(isOurs);
  let dangling: string[] = [];
  try {
    for (const tag of await listed()) {
      if (!(await headManifest(client, repository, tag, signal))) dangling.push(tag);
    }
    if (dangling.length === 0) return [];
    const { body: bytes, digest } = manifestOf(`${repository} is cleaned`);
    await uploadBlob(client, repository, bytesSource(CONFIG, digestOf(CONFIG)), { signal });
    for (const tag of dangling) {
      const manifest = { bytes, digest, mediaType: MEDIA_TYPES.ociManifest };
      await putManifest(client, repository, tag, manifest, signal);
    }
    await deleteManifest(client, repository, digest, signal);
    const still = new Set(await listed());
    dangling = dangling.filter((tag) => still.has(tag));
    return dangling.map((tag) => ({ tag, reason: 'it is listed, but leads nowhere' }));
  } catch (error) {
    const reason = signal.aborted ? 'no time was left' : messageOf(error);
    return dangling.map((tag) => ({ tag, reason }));
  }
}
