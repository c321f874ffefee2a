import type { Readable } from 'node:stream';
import { asRegopsError, messageOf, metered, RegopsError, throwIfAborted } from '../../base/index.ts';
import type { Engine } from '../../engine/index.ts';
import { formatReference, type Reference } from '../../oci/index.ts';
import type { RegistryClient } from '../../registry/index.ts';
import { checkEngineAccess, checkRegistry } from './access.ts';
import { type Captured, capture, planCapture } from './commit.ts';
import { identityOf, LayerBars } from './engine-side.ts';
import { LOCAL_REPOSITORY } from './names.ts';
import type {
  PushedArchive,
  SnapshotContext,
  SnapshotPushOptions,
  SnapshotRepository,
  Transport,
} from './options.ts';
import { proveTag } from './proof.ts';
import { pushPassing, savesPlainLayers } from './push-passing.ts';
import { registryImage, registryUrl } from './registry-side.ts';
import type { PushedSnapshot, SnapshotPushResult } from './result.ts';
import { warnOfZstd } from './zstd.ts';

/** One registry a snapshot goes to. */
interface Destination extends SnapshotRepository {
  readonly client: RegistryClient;
}

type Attempt = { readonly pushed: PushedSnapshot; readonly error?: RegopsError };

/**
 * Makes a snapshot of a container and gets it into registries. Everything that can be checked is checked before the
 * container is touched. When a push fails afterwards the image stays in the engine, and the error says how to push
 * it later; other registries still get it.
 *
 * @throws what keeps it from starting; then nothing was changed
 */
export async function pushSnapshot(
  options: SnapshotPushOptions,
  context: SnapshotContext,
): Promise<{ result: SnapshotPushResult; error?: RegopsError }> {
  const started = context.clock.now();
  try {
    const engine = await context.engine();
    const plan = await planCapture(options, engine, context);
    const destinations: Destination[] = [];
    for (const repository of options.repositories) {
      const client = await checkRegistry(repository, context);
      if (options.transport === 'daemon')
        await checkEngineAccess(engine, client, repository.repository, context);
      destinations.push({ ...repository, client });
    }
    if (options.transport === 'direct' && destinations.length > 0) warnOfZstd(engine, context);
    throwIfAborted(context.signal);
    const captured = await capture(plan, engine, context);
    const attempts =
      options.transport === 'direct' && destinations.length > 0
        ? await pushDirect(captured, destinations, engine, context)
        : await pushByEngine(captured, destinations, engine, context);
    const error = attempts.find((attempt) => attempt.error)?.error;
    const removed =
      options.removeLocal && !error && (await removeLocal(captured, destinations, engine, context));
    if (destinations.length === 0) {
      context.log.info('no registry is configured: the snapshot stays in this engine');
    }
    const result: SnapshotPushResult = {
      snapshot: identityOf(captured.facts),
      local: {
        reference: localName(captured),
        imageId: captured.image.id,
        sizeBytes: captured.image.sizeBytes,
        removed,
      },
      transport: options.transport,
      destinations: attempts.map(({ pushed }) => pushed),
      durationMs: context.clock.now() - started,
    };
    return error ? { result, error } : { result };
  } finally {
    context.progress.close();
  }
}

async function pushByEngine(
  captured: Captured,
  destinations: readonly Destination[],
  engine: Engine,
  context: SnapshotContext,
): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  for (const destination of destinations) {
    const reference = referenceAt(destination, captured);
    attempts.push(
      await attempt(captured, destination, 'daemon', context, async (began) => {
        context.progress.phase(`pushing ${formatReference(reference)}`);
        const named = await engine.images.find(reference);
        await engine.images.tag(captured.image.id, reference);
        const bars = new LayerBars(context.progress, destination.domain);
        try {
          const credential = await context.credential(destination.domain, destination.repository);
          const pushed = await engine.images.push(reference, { credential, onEvent: bars.take });
          return await proven(destination, reference, pushed, began, context);
        } catch (error) {
          // A name that we gave would look like a copy of something that the registry has.
          if (!named) {
            const signal = AbortSignal.timeout(10_000);
            await engine.images.remove(reference, { signal }).catch(() => {});
          }
          throw error;
        } finally {
          bars.close('ended');
        }
      }),
    );
  }
  return attempts;
}

/** One export for all registries: what they have already is not sent, and no layer is compressed twice. */
async function pushDirect(
  captured: Captured,
  destinations: readonly Destination[],
  engine: Engine,
  context: SnapshotContext,
): Promise<Attempt[]> {
  const { images: sent, error: failure } = await exportTo(destinations, captured, engine, context);
  const attempts: Attempt[] = [];
  for (const destination of destinations) {
    const reference = referenceAt(destination, captured);
    const image = sent.find(
      ({ domain, repository }) => domain === destination.domain && repository === destination.repository,
    );
    attempts.push(
      await attempt(captured, destination, 'direct', context, async (began) => {
        if (!image) throw failure ?? new RegopsError('BUG', `${formatReference(reference)} was not pushed`);
        return {
          ...(await proven(destination, reference, image, began, context)),
          sentBytes: image.sentBytes,
        };
      }),
    );
  }
  return attempts;
}

/**
 * To one registry the image goes while the engine exports it, when that can be done; to several, and when something
 * must be sent anew, from a temporary file.
 */
async function exportTo(
  destinations: readonly Destination[],
  captured: Captured,
  engine: Engine,
  context: SnapshotContext,
): Promise<PushedArchive> {
  const references = destinations.map((destination) => referenceAt(destination, captured));
  const [only] = destinations;
  try {
    if (only && destinations.length === 1 && (await savesPlainLayers(engine))) {
      const image = await exported(captured, engine, context, (archive) =>
        pushPassing(captured.image, archive, referenceAt(only, captured), only.client, context),
      );
      if (image) return { images: [image] };
    }
    return await exported(captured, engine, context, (archive) => context.pushArchive(archive, references));
  } catch (error) {
    return { images: [], error: asRegopsError(error) };
  }
}

/** An engine writes the whole image down before the first byte of its archive comes. */
async function exported<T>(
  captured: Captured,
  engine: Engine,
  { progress }: SnapshotContext,
  use: (archive: Readable) => Promise<T>,
): Promise<T> {
  progress.phase(`exporting ${localName(captured)}`);
  const task = progress.task('image', captured.image.sizeBytes);
  try {
    const archive = metered(await engine.images.export([captured.reference]), (bytes) => task.advance(bytes));
    archive.once('end', () => task.end('exported'));
    return await use(archive);
  } finally {
    task.end('failed');
  }
}

async function attempt(
  captured: Captured,
  destination: Destination,
  transport: Transport,
  context: SnapshotContext,
  push: (began: number) => Promise<PushedSnapshot>,
): Promise<Attempt> {
  const began = context.clock.now();
  try {
    throwIfAborted(context.signal);
    return { pushed: await push(began) };
  } catch (thrown) {
    const error = asRegopsError(thrown);
    return {
      pushed: {
        reference: formatReference(referenceAt(destination, captured)),
        status: 'failed',
        durationMs: context.clock.now() - began,
      },
      error: keptError(error, captured, destination, transport),
    };
  }
}

/** What the registry itself says of the snapshot that was just pushed. */
async function proven(
  { client, repository }: Destination,
  reference: Reference,
  pushed: { readonly digest: Parameters<typeof proveTag>[2]; readonly layers: PushedSnapshot['layers'] },
  began: number,
  context: SnapshotContext,
): Promise<PushedSnapshot> {
  await proveTag(client, reference, pushed.digest, context);
  const { sizeBytes } = await registryImage(client, repository, pushed.digest, context.signal);
  context.log.info(`snapshot pushed: ${formatReference(reference)}@${pushed.digest}`);
  return {
    reference: formatReference(reference),
    status: 'pushed',
    digest: pushed.digest,
    sizeBytes,
    ...(pushed.layers ? { layers: pushed.layers } : {}),
    durationMs: context.clock.now() - began,
  };
}

/** The same error, and the way to push the image that is there now. */
function keptError(
  error: RegopsError,
  captured: Captured,
  { client, repository }: Destination,
  transport: Transport,
): RegopsError {
  if (error.code === 'BUG') return error;
  const later = [
    `regops snapshot push --from-image ${localName(captured)}`,
    `--registry-url ${registryUrl(client)} --repository ${repository}`,
    ...(captured.reference.tag === captured.facts.tag ? [] : [`--tag ${captured.facts.tag}`]),
    ...(transport === 'daemon' ? [] : [`--transport ${transport}`]),
  ];
  return new RegopsError(error.code, error.message, {
    hints: [...error.hints, `The snapshot is kept. To push it later: ${later.join(' ')}`],
    details: error.details,
    cause: error,
  });
}

async function removeLocal(
  captured: Captured,
  destinations: readonly Destination[],
  engine: Engine,
  context: SnapshotContext,
): Promise<boolean> {
  if (destinations.length === 0) return false;
  const names = [
    captured.reference,
    ...destinations.map((destination) => referenceAt(destination, captured)),
  ];
  try {
    for (const name of names) if (await engine.images.find(name)) await engine.images.remove(name);
    return true;
  } catch (error) {
    context.log.warn(`the local copy could not be removed: ${messageOf(error)}`);
    return false;
  }
}

function referenceAt({ domain, repository }: SnapshotRepository, { facts }: Captured): Reference {
  return { domain, repository, tag: facts.tag };
}

/** As docker shows it, and takes it. */
function localName({ reference }: Captured): string {
  return reference.repository === `library/${LOCAL_REPOSITORY}`
    ? `${LOCAL_REPOSITORY}:${reference.tag}`
    : formatReference(reference);
}
