/**
 * inspect: shows what a registry, a repository, an image or an archive holds, and on request makes sure
 * that it is all there. It asks for nothing it does not show: no tag list, no configuration of images that
 * were not named (skopeo lists every tag of a repository to inspect one).
 */
import {
  type Archive,
  type ArchiveImage,
  openArchive,
  readManifest,
  readSource,
} from '../../archive/index.ts';
import { asRegopsError, escapeText, RegopsError, throwIfAborted } from '../../base/index.ts';
import {
  type Descriptor,
  formatPlatform,
  formatReference,
  LIMITS,
  type Manifest,
  manifestSelector,
  type Platform,
  platformsOf,
  withDefaultTag,
} from '../../oci/index.ts';
import { collect, getManifest, listReferrers, listRepositories, listTags } from '../../registry/index.ts';
import { checkDockerContent, checkManifest, mergeChecks, withProblems } from './check.ts';
import { archiveContent, type Content, repositoryContent } from './content.ts';
import type { InspectContext, InspectOptions, Target } from './options.ts';
import type { ArchiveSubject, ArtifactSubject, CheckView, InspectResult, Subject } from './result.ts';
import { entryFor, viewDescriptor, viewDockerContent, viewManifest } from './view.ts';

export type { InspectContext, InspectOptions, Target } from './options.ts';
export { reportInspect } from './report.ts';
export type * from './result.ts';

/**
 * Looks at every target in turn, and stops at the first that cannot be looked at: what was seen so far comes back
 * as `result` beside the `error`. Throws it when that was the first of all.
 */
export async function inspect(
  options: InspectOptions,
  context: InspectContext,
): Promise<{ result: InspectResult; error?: RegopsError }> {
  const subjects: Subject[] = [];
  try {
    for (const target of options.targets) {
      throwIfAborted(context.signal);
      subjects.push(await inspectTarget(target, options, context));
    }
  } catch (error) {
    if (subjects.length === 0) throw error;
    return { result: { subjects }, error: asRegopsError(error) };
  } finally {
    context.progress.close();
  }
  return { result: { subjects } };
}

/** How many problems a check found, over all subjects. */
export function problemCount(result: InspectResult): number {
  return result.subjects.reduce(
    (sum, subject) => sum + ('check' in subject ? (subject.check?.problems.length ?? 0) : 0),
    0,
  );
}

async function inspectTarget(
  target: Target,
  options: InspectOptions,
  context: InspectContext,
): Promise<Subject> {
  const { signal } = context;
  switch (target.kind) {
    case 'registry': {
      const client = await context.registry(target.domain);
      return {
        kind: 'registry',
        registry: client.domain,
        repositories: await collect(listRepositories(client, { signal })),
      };
    }
    case 'repository': {
      const client = await context.registry(target.domain);
      const { repository } = target;
      const tags = await collect(listTags(client, repository, { signal }));
      return { kind: 'repository', registry: client.domain, repository, tags };
    }
    case 'reference':
      return inspectReference(target, options, context);
    case 'archive': {
      const { log, stdin } = context;
      const archive = await openArchive(target.path, { signal, log, stdin });
      try {
        return await inspectArchive(archive, options, context);
      } finally {
        await archive.close();
      }
    }
  }
}

async function inspectReference(
  target: Extract<Target, { kind: 'reference' }>,
  options: InspectOptions,
  context: InspectContext,
): Promise<ArtifactSubject> {
  const { signal } = context;
  const reference = withDefaultTag(target.reference);
  const { repository } = reference;
  const client = await context.registry(reference.domain);
  const content = repositoryContent(client, repository);
  const named = await getManifest(client, repository, manifestSelector(reference), signal);
  const name = formatReference(reference);
  const { manifest, platform } = await choosePlatform(named, content, options, name, signal);
  const problems = options.check ? [] : undefined;
  const root = await viewManifest(manifest, content, { ...options, problems }, signal, platform);
  const referrers = options.referrers
    ? (await listReferrers(client, repository, manifest.digest, { signal })).descriptors.map(viewDescriptor)
    : undefined;
  const check = options.check
    ? await checkManifest(manifest, content, options.check === 'deep', context)
    : undefined;
  return {
    kind: 'artifact',
    reference: name,
    root,
    ...(referrers ? { referrers } : {}),
    ...(check ? { check: withProblems(check, problems ?? []) } : {}),
  };
}

/** The image for the platform that was asked for; without one, or for a plain image, what was named. */
async function choosePlatform(
  manifest: Manifest,
  content: Content,
  options: InspectOptions,
  name: string,
  signal: AbortSignal,
): Promise<{ manifest: Manifest; platform?: Platform }> {
  const { platform } = options;
  if (platform === undefined || manifest.kind === 'image') return { manifest };
  const entry = entryFor(manifest, platform);
  if (!entry || (await isAbsent(content, entry, signal))) {
    const offered = platformsOf(manifest.document.manifests);
    throw new RegopsError('PLATFORM_NOT_FOUND', `${name} has no ${formatPlatform(platform)}`, {
      hints: [`Its platforms: ${escapeText(offered.join(', ')) || 'none'}.`],
    });
  }
  const chosen = await content.manifest(entry, signal);
  return entry.platform ? { manifest: chosen, platform: entry.platform } : { manifest: chosen };
}

async function isAbsent(content: Content, entry: Descriptor, signal: AbortSignal): Promise<boolean> {
  return !content.complete && (await content.presence(entry, signal)) === undefined;
}

async function inspectArchive(
  archive: Archive,
  options: InspectOptions,
  context: InspectContext,
): Promise<ArchiveSubject> {
  const content = archiveContent(archive);
  const images: ArchiveSubject['images'][number][] = [];
  const checks: CheckView[] = [];
  for (const image of archive.images) {
    throwIfAborted(context.signal);
    const { root, check } = await inspectArchiveImage(archive, image, content, options, context);
    images.push({ index: image.index, names: image.names, root });
    if (check) checks.push(check);
  }
  const { path, format, outerCompression } = archive;
  return {
    kind: 'archive',
    path,
    format,
    outerCompression,
    images,
    ...(options.check ? { check: mergeChecks(checks) } : {}),
  };
}

async function inspectArchiveImage(
  archive: Archive,
  image: ArchiveImage,
  content: Content,
  options: InspectOptions,
  context: InspectContext,
): Promise<{ root: ArchiveSubject['images'][number]['root']; check?: CheckView }> {
  const deep = options.check === 'deep';
  const name = `image @${image.index} of ${archive.path}`;
  if (image.content.kind === 'docker') {
    const config = await readSource(image.content.config, LIMITS.configBytes, `configuration of ${name}`);
    return {
      root: viewDockerContent(image.content, config, options, name),
      ...(options.check ? { check: await checkDockerContent(image.content, deep, context) } : {}),
    };
  }
  const named = await readManifest(archive, image.content.root);
  const { manifest, platform } = await choosePlatform(named, content, options, name, context.signal);
  const problems = options.check ? [] : undefined;
  const root = await viewManifest(manifest, content, { ...options, problems }, context.signal, platform);
  if (!problems) return { root };
  return { root, check: withProblems(await checkManifest(manifest, content, deep, context), problems) };
}
