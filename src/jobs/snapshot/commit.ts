import { counted, LATEST_MS, messageOf, RegopsError } from '../../base/index.ts';
import type { Container, Engine, Image } from '../../engine/index.ts';
import { formatReference, parseTag, type Reference } from '../../oci/index.ts';
import { factsOf } from './engine-side.ts';
import { type SnapshotFacts, snapshotLabels } from './labels.ts';
import {
  LOCAL_REPOSITORY,
  localReference,
  newSnapshotId,
  parseSnapshotId,
  snapshotTag,
  tagOfName,
} from './names.ts';
import type { SnapshotContext, SnapshotPushOptions, SnapshotSource } from './options.ts';
import { settingsOf } from './settings.ts';
import { lossesOf, namedInHistory, scrubbedVariables, secretVariables } from './warnings.ts';

/** A snapshot in the engine, ready to be pushed. */
export interface Captured {
  readonly facts: SnapshotFacts;
  readonly reference: Reference;
  readonly image: Image;
}

/** What will be pushed, known before anything is changed. */
export type Capture =
  | { readonly kind: 'made'; readonly captured: Captured }
  | {
      readonly kind: 'planned';
      readonly container: Container;
      readonly facts: SnapshotFacts;
      readonly tag: string;
      /** Variables that are to be emptied. */
      readonly scrubbed: readonly string[];
      readonly source: Extract<SnapshotSource, { kind: 'container' }>;
    };

/** Layers that Linux can stack for an engine; docker refuses a commit beyond (docker/for-linux#453). */
const LAYERS_MAX = 127;
const LAYERS_MANY = 110;

/** As {@link Engine.containers.commit}'s name for the image that still holds what is to be scrubbed. */
const UNSCRUBBED = 'unscrubbed';

/** An interrupted program has five seconds for all it has to do. */
const LATE_MS = 3000;

/**
 * Looks at what is to be pushed and says what a snapshot of it will lack and what it will give away.
 * Throws CONTAINER_NOT_FOUND, IMAGE_NOT_FOUND, USAGE.
 */
export async function planCapture(
  { source, tag }: Pick<SnapshotPushOptions, 'source' | 'tag'>,
  engine: Engine,
  context: SnapshotContext,
): Promise<Capture> {
  if (source.kind === 'image')
    return { kind: 'made', captured: await existing(source.reference, tag, engine, context) };
  const id = source.snapshotId === undefined ? newSnapshotId() : parseSnapshotId(source.snapshotId);
  const container = await engine.containers.inspect(source.container);
  const createdMs = context.clock.now();
  if (createdMs + source.ttlMs > LATEST_MS) {
    throw new RegopsError('USAGE', '--ttl reaches beyond the year 9999', { hints: ['0 is for ever.'] });
  }
  const chosen = tag === undefined ? snapshotTag(container.name, id) : parseTag(tag);
  const { hostname } = await engine.info();
  const facts: SnapshotFacts = {
    id,
    tag: chosen,
    source: container.name,
    sourceId: container.id,
    host: hostname,
    createdMs,
    ...(source.ttlMs > 0 ? { expiresMs: createdMs + source.ttlMs } : {}),
    parent: container.imageName,
    settings: settingsOf(container),
  };
  const scrubbed = scrubbedVariables(container.run.env, source.scrubEnv);
  await warnOf(container, scrubbed, engine, context);
  return { kind: 'planned', container, facts, tag: chosen, scrubbed, source };
}

/** Makes the image, or gives the one that is there. The engine pauses the container meanwhile, and lets it go on. */
export async function capture(plan: Capture, engine: Engine, context: SnapshotContext): Promise<Captured> {
  if (plan.kind === 'made') return plan.captured;
  const { container, facts, tag, scrubbed, source } = plan;
  const reference = localReference(tag);
  context.progress.phase(`committing ${container.name} to ${LOCAL_REPOSITORY}:${tag}`);
  const labels = { ...source.labels, ...snapshotLabels(facts) };
  const commit = { name: reference, labels, pause: source.pause, comment: `snapshot of ${container.name}` };
  if (scrubbed.length === 0) await commitAs(container.id, commit, engine, context);
  else await commitScrubbed(container, { ...commit, scrubbed, id: facts.id }, engine, context);
  context.log.info(`snapshot created: ${tag}`);
  return { facts, reference, image: await engine.images.inspect(reference) };
}

async function existing(
  reference: Reference,
  tag: string | undefined,
  engine: Engine,
  context: SnapshotContext,
): Promise<Captured> {
  const image = await engine.images.inspect(reference);
  const facts = factsOf(image);
  if (!facts)
    context.log.warn(
      `${formatReference(reference)} is no snapshot of regops: prune and list will not know it`,
    );
  const chosen = tag === undefined ? (reference.tag ?? facts?.tag ?? '') : tag;
  const known: SnapshotFacts = facts ?? {
    ...{ id: chosen, tag: chosen, source: '', sourceId: '', host: '', parent: '', settings: {} },
    createdMs: Date.parse(image.created) || 0,
  };
  return {
    facts: { ...known, tag: parseTag(chosen || tagOfName(image.tags[0] ?? '') || '') },
    reference,
    image,
  };
}

/**
 * Commits twice: an engine before 25 writes the container's own variables into the image's history of how it was made
 * (`container_config`), whatever the image is told to have. The second commit is of a container that never knew
 * them; it adds no layer.
 */
async function commitScrubbed(
  container: Container,
  options: {
    readonly name: Reference;
    readonly labels: Readonly<Record<string, string>>;
    readonly pause: boolean;
    readonly comment: string;
    readonly scrubbed: readonly string[];
    readonly id: string;
  },
  engine: Engine,
  context: SnapshotContext,
): Promise<void> {
  const { scrubbed, id, ...commit } = options;
  const between = localReference(`${id}-${UNSCRUBBED}`);
  const env = Object.fromEntries(scrubbed.map((name) => [name, '']));
  const tidy = async (step: () => Promise<unknown>): Promise<void> => {
    await step().catch((error: unknown) => context.log.trace(`tidying up: ${messageOf(error)}`));
  };
  const unscrubbed = ', with the variables that were to be emptied';
  await commitAs(container.id, { name: between, pause: commit.pause, env }, engine, context, unscrubbed);
  try {
    const stand = await engine.containers.create({ image: between });
    try {
      await commitAs(stand, { ...commit, pause: false }, engine, context);
    } finally {
      const signal = AbortSignal.timeout(10_000);
      await tidy(() => engine.containers.remove(stand, { force: true, volumes: true, signal }));
    }
  } finally {
    const signal = AbortSignal.timeout(10_000);
    await tidy(() => engine.images.remove(between, { signal }));
  }
}

/**
 * Commits. One that was interrupted is finished by the engine all the same: its image is taken away when it comes, and
 * an image that had the name before gets it back.
 *
 * @param what an image that may come too late holds, for the warning
 */
async function commitAs(
  container: string,
  commit: Parameters<Engine['containers']['commit']>[1],
  engine: Engine,
  context: SnapshotContext,
  what = '',
): Promise<void> {
  const before = await engine.images.find(commit.name);
  try {
    await engine.containers.commit(container, commit);
  } catch (error) {
    if (context.signal.aborted) await removeLate(commit.name, before, what, engine, context);
    throw error;
  }
}

async function removeLate(
  name: Reference,
  before: Image | undefined,
  what: string,
  engine: Engine,
  { clock, log }: SnapshotContext,
): Promise<void> {
  const signal = AbortSignal.timeout(LATE_MS);
  const find = () => engine.images.find(name, { signal });
  try {
    let late = await find();
    for (; !late || late.id === before?.id; late = await find()) await clock.sleep(100, signal);
    if (before) await engine.images.tag(before.id, name, { signal });
    await engine.images.remove(before ? late.id : name, { signal });
  } catch {
    const local = `${LOCAL_REPOSITORY}:${name.tag}`;
    log.warn(`the engine may still be making ${local}${what}: remove it (docker rmi ${local})`);
  }
}

async function warnOf(
  container: Container,
  scrubbed: readonly string[],
  engine: Engine,
  { log }: SnapshotContext,
): Promise<void> {
  for (const loss of lossesOf(container)) log.warn(loss);
  const scrub = new Set(scrubbed);
  const baked = secretVariables(container.run.env).filter((name) => !scrub.has(name));
  if (baked.length > 0) {
    log.warn(
      `the image will hold the values of ${counted(baked.length, 'variable')} that may be secrets: ${baked.slice(0, 10).join(', ')} (--scrub-env REGEX empties them)`,
    );
  }
  const image = await engine.images.find(container.imageId);
  if (!image) return;
  const layers = image.layers.length;
  if (layers >= LAYERS_MAX) {
    throw new RegopsError(
      'ENGINE_CONFLICT',
      `${container.name}: its image has ${layers} layers, and no engine takes more than ${LAYERS_MAX}`,
      {
        hints: ['Flatten it first: docker export CONTAINER | docker import - NAME.'],
      },
    );
  }
  if (layers >= LAYERS_MANY) {
    log.warn(
      `the image has ${layers} layers already, and every snapshot adds one: at ${LAYERS_MAX} no engine takes more`,
    );
  }
  if (scrubbed.length === 0) return;
  const named = namedInHistory(scrubbed, await engine.images.history(container.imageId));
  if (named.length > 0) {
    log.warn(`the history of the image itself sets ${named.join(', ')}: its value there cannot be scrubbed`);
  }
}
