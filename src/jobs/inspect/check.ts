import { addAbortSignal, type Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type DockerContent, type LayerSource, verifyLayer } from '../../archive/index.ts';
import {
  isRegopsError,
  mapConcurrently,
  messageOf,
  metered,
  type RegopsError,
  throwIfAborted,
} from '../../base/index.ts';
import {
  type Descriptor,
  formatPlatform,
  isForeignLayer,
  isManifestMediaType,
  LIMITS,
  type Manifest,
  referencedDescriptors,
  shortDigest,
} from '../../oci/index.ts';
import type { Content } from './content.ts';
import type { InspectContext } from './options.ts';
import type { CheckView, ProblemView } from './result.ts';

const BLOBS_AT_ONCE = 6;

interface Wanted {
  readonly descriptor: Descriptor;
  readonly what: string;
}

/** Gathers what a check finds. */
interface Findings {
  manifests: number;
  blobs: number;
  readBytes: number;
  readonly problems: ProblemView[];
}

/**
 * Makes sure that everything a manifest names is there with its size, down to the last child; `deep` also
 * reads every blob and compares its digest. Problems are collected, not thrown: only what keeps the check
 * itself from going on (network, credentials) is.
 */
export async function checkManifest(
  root: Manifest,
  content: Content,
  deep: boolean,
  context: Pick<InspectContext, 'signal' | 'progress'>,
): Promise<CheckView> {
  const { signal } = context;
  const findings: Findings = { manifests: 1, blobs: 0, readBytes: 0, problems: [] };
  const blobs = new Map<string, Wanted>();
  await gather(root, '', content, blobs, findings, signal, new Set([root.digest]), 1);
  findings.blobs = blobs.size;
  await mapConcurrently(blobs.values(), BLOBS_AT_ONCE, signal, async (wanted, either) => {
    const problem = await checkBlob(wanted, content, deep, findings, context, either);
    if (problem) findings.problems.push(problem);
  });
  return { deep, ...findings };
}

/** As {@link checkManifest}, for an image of a docker-archive: `deep` unpacks every layer and compares its diffID. */
export async function checkDockerContent(
  docker: DockerContent,
  deep: boolean,
  context: Pick<InspectContext, 'signal' | 'progress'>,
): Promise<CheckView> {
  const findings: Findings = { manifests: 0, blobs: docker.layers.length + 1, readBytes: 0, problems: [] };
  if (!deep) return { deep, ...findings };
  const layers = new Map(docker.layers.map((layer, at) => [layer.diffId, { layer, at }]));
  await mapConcurrently(layers.values(), BLOBS_AT_ONCE, context.signal, async ({ layer, at }, signal) => {
    try {
      await readLayer(layer, context, signal);
      findings.readBytes += layer.size;
    } catch (error) {
      throwIfAborted(signal);
      findings.problems.push(problemOf(error, layer.diffId, `layer ${at + 1}`));
    }
  });
  return { deep, ...findings };
}

/** A check with what was noticed beside it, each blob or manifest once. */
export function withProblems(check: CheckView, noticed: readonly ProblemView[]): CheckView {
  const known = new Set(check.problems.map(({ digest }) => digest));
  return { ...check, problems: [...check.problems, ...noticed.filter(({ digest }) => !known.has(digest))] };
}

/** One verdict over several. */
export function mergeChecks(checks: readonly CheckView[]): CheckView {
  return {
    deep: checks.some((check) => check.deep),
    manifests: checks.reduce((sum, check) => sum + check.manifests, 0),
    blobs: checks.reduce((sum, check) => sum + check.blobs, 0),
    readBytes: checks.reduce((sum, check) => sum + check.readBytes, 0),
    problems: checks.flatMap((check) => check.problems),
  };
}

async function gather(
  manifest: Manifest,
  where: string,
  content: Content,
  blobs: Map<string, Wanted>,
  findings: Findings,
  signal: AbortSignal,
  visited: Set<string>,
  depth: number,
): Promise<void> {
  for (const [at, descriptor] of referencedDescriptors(manifest).entries()) {
    throwIfAborted(signal);
    const what = nameOf(manifest, descriptor, at) + where;
    if (!isManifestMediaType(descriptor.mediaType)) {
      if (!isForeignLayer(descriptor.mediaType)) blobs.set(descriptor.digest, { descriptor, what });
      continue;
    }
    if (visited.has(descriptor.digest)) continue;
    visited.add(descriptor.digest);
    // A sparse archive is lawful: what it does not hold is not a fault of it.
    if (!content.complete && (await content.presence(descriptor, signal)) === undefined) continue;
    let child: Manifest;
    try {
      child = await content.manifest(descriptor, signal);
    } catch (error) {
      findings.problems.push(problemOf(error, descriptor.digest, what));
      continue;
    }
    findings.manifests++;
    if (child.bytes.length !== descriptor.size) {
      findings.problems.push(wrongSize(descriptor, what, child.bytes.length));
    }
    if (child.kind === 'index' && depth >= LIMITS.indexDepth) {
      findings.problems.push({
        digest: descriptor.digest,
        what,
        problem: 'unreadable',
        message: `${what}: indexes are nested deeper than ${LIMITS.indexDepth}; what is below was not looked at`,
      });
      continue;
    }
    const inner = descriptor.platform
      ? ` of ${formatPlatform(descriptor.platform)}`
      : ` of ${shortDigest(descriptor.digest)}`;
    await gather(child, inner, content, blobs, findings, signal, visited, depth + 1);
  }
}

function nameOf(manifest: Manifest, descriptor: Descriptor, at: number): string {
  if (manifest.kind === 'image') return at === 0 ? 'configuration' : `layer ${at}`;
  return descriptor.platform ? `manifest for ${formatPlatform(descriptor.platform)}` : `manifest ${at + 1}`;
}

async function checkBlob(
  wanted: Wanted,
  content: Content,
  deep: boolean,
  findings: Findings,
  context: Pick<InspectContext, 'progress'>,
  signal: AbortSignal,
): Promise<ProblemView | undefined> {
  const { descriptor, what } = wanted;
  try {
    const presence = await content.presence(descriptor, signal);
    if (presence === undefined) {
      return { digest: descriptor.digest, what, problem: 'missing', message: `${what} is missing` };
    }
    if (presence.size !== 'unknown' && presence.size !== descriptor.size) {
      return wrongSize(descriptor, what, presence.size);
    }
    if (!deep) return undefined;
    const task = context.progress.task(`${what} ${shortDigest(descriptor.digest)}`, descriptor.size);
    try {
      const stream = await content.open(descriptor, signal);
      stream.on('data', (chunk: Buffer) => {
        findings.readBytes += chunk.length;
        task.advance(chunk.length);
      });
      await finished(stream, { signal });
      task.end('good');
    } catch (error) {
      task.end('failed');
      throw error;
    }
    return undefined;
  } catch (error) {
    throwIfAborted(signal);
    return problemOf(error, descriptor.digest, what);
  }
}

async function readLayer(
  layer: LayerSource,
  context: Pick<InspectContext, 'progress'>,
  signal: AbortSignal,
): Promise<void> {
  const task = context.progress.task(`layer ${shortDigest(layer.diffId)}`, layer.size);
  try {
    const { diffId, compression, size } = layer;
    const open = (): Readable =>
      addAbortSignal(
        signal,
        metered(layer.open(), (bytes) => task.advance(bytes)),
      );
    await verifyLayer({ diffId, compression, size, open });
    task.end('good');
  } catch (error) {
    task.end('failed');
    throw error;
  }
}

function wrongSize(descriptor: Descriptor, what: string, actual: number): ProblemView {
  return {
    digest: descriptor.digest,
    what,
    problem: 'wrong-size',
    message: `${what} has ${actual} bytes, its descriptor says ${descriptor.size}`,
  };
}

/** A fault of the content becomes a problem; a failure to look (network, credentials) is thrown on. */
export function problemOf(error: unknown, digest: string, what: string): ProblemView {
  if (!isRegopsError(error)) throw error;
  const problem = classify(error);
  if (!problem) throw error;
  return { digest, what, problem, message: `${what}: ${messageOf(error)}` };
}

function classify(error: RegopsError): ProblemView['problem'] | undefined {
  switch (error.code) {
    case 'BLOB_NOT_FOUND':
    case 'MANIFEST_NOT_FOUND':
      return 'missing';
    case 'SIZE_MISMATCH':
      return 'wrong-size';
    case 'DIGEST_MISMATCH':
    case 'MANIFEST_INVALID':
    case 'MANIFEST_TOO_LARGE':
    case 'ARCHIVE_INVALID':
      return 'corrupt';
    case 'PROTOCOL_VIOLATION':
    case 'RESPONSE_TOO_LARGE':
    case 'SERVER_ERROR':
      return 'unreadable';
    default:
      return undefined;
  }
}
