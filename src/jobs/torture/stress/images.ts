import { isRegopsError, RegopsError } from '../../../base/index.ts';
import { listRepositories, listTags, type RegistryClient } from '../../../registry/index.ts';
import { isWanted } from '../view.ts';
import type { ImageName } from '../workloads/pull.ts';

/** Tags of one repository that are taken up before the next gets its turn: a run should see many repositories. */
const TAGS_PER_REPOSITORY = 20;

/** Images a registry lists, at most so many. Throws what keeps it from listing its repositories. */
export async function findImages(
  client: RegistryClient,
  options: { readonly repository?: RegExp | undefined; readonly maxImages: number },
  signal: AbortSignal,
): Promise<ImageName[]> {
  const images: ImageName[] = [];
  for await (const page of listRepositories(client, { signal })) {
    for (const repository of page) {
      if (images.length >= options.maxImages) return images;
      if (!isWanted(repository, options.repository)) continue;
      const room = Math.min(TAGS_PER_REPOSITORY, options.maxImages - images.length);
      for (const reference of await someTags(client, repository, room, signal)) {
        images.push({ repository, reference });
      }
    }
  }
  return images;
}

/** None for a repository that has gone meanwhile, or that only its catalog knows. */
async function someTags(
  client: RegistryClient,
  repository: string,
  room: number,
  signal: AbortSignal,
): Promise<string[]> {
  try {
    const first = await listTags(client, repository, { signal }).next();
    return first.done ? [] : first.value.slice(0, room);
  } catch (error) {
    if (isRegopsError(error, 'REPOSITORY_NOT_FOUND') || isRegopsError(error, 'MANIFEST_NOT_FOUND')) return [];
    throw error;
  }
}

/** The error for a registry without anything to pull. */
export function nothingToPull(domain: string, repository: RegExp | undefined): RegopsError {
  const where = repository
    ? `no repository of ${domain} that matches ${repository.source} has`
    : `${domain} has`;
  return new RegopsError('IMAGE_NOT_FOUND', `nothing to pull: ${where} no tags`, {
    hints: ['Push an image first, or use the workload mixed, which pulls what it has pushed.'],
  });
}
