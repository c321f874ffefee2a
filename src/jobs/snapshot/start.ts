import { isRegopsError } from '../../base/index.ts';
import type { Engine, Image, NewContainer } from '../../engine/index.ts';
import type { SnapshotFacts } from './labels.ts';
import type { SnapshotContext, SnapshotPullOptions } from './options.ts';
import type { SnapshotPullResult } from './result.ts';
import type { RestoreSettings } from './settings.ts';

type Overrides = Pick<SnapshotPullOptions, 'name' | 'command' | 'network' | 'platform'>;

/**
 * Makes a container of a snapshot with the settings its labels carry, starts it and waits until it runs. One that
 * could not be started at all is taken away again, so that a second try finds the name free.
 *
 * @throws ENGINE_CONFLICT when the name is taken; ENGINE_FAILED with what it said when it ended at once
 */
export async function startContainer(
  image: Image,
  facts: SnapshotFacts | undefined,
  overrides: Overrides,
  engine: Engine,
  context: SnapshotContext,
): Promise<NonNullable<SnapshotPullResult['container']>> {
  const settings = facts?.settings ?? {};
  const unasked =
    settings.network !== undefined && settings.network !== 'none' && overrides.network === undefined;
  if (unasked) {
    context.log.warn(
      `the container ran in the network ${settings.network}, which is not given unasked: --network ${settings.network}`,
    );
  }
  const name = overrides.name ?? (await freeName(facts?.source, engine, context));
  const id = await engine.containers.create(newContainer(image, settings, { ...overrides, name }));
  try {
    context.progress.phase(`starting ${name ?? id.slice(0, 12)}`);
    await engine.containers.start(id);
  } catch (error) {
    const signal = AbortSignal.timeout(10_000);
    await engine.containers.remove(id, { force: true, volumes: true, signal }).catch(() => {});
    throw error;
  }
  const running = await engine.containers.waitUntilRunning(id, { signal: context.signal });
  return { id, name: running.name, status: running.state.status };
}

/** What the engine is asked for. Pure. */
export function newContainer(
  image: Pick<Image, 'id'>,
  settings: RestoreSettings,
  { name, command, network, platform }: Overrides,
): NewContainer {
  const { hostname, tty, openStdin, ports, restart, network: saved, ...limits } = settings;
  const networkMode = network ?? (saved === 'none' ? saved : undefined);
  // The host's network has no name of its own to give, and no ports to publish.
  const shares = networkMode === 'host' || networkMode?.startsWith('container:') === true;
  return {
    image: image.id,
    ...(name === undefined ? {} : { name }),
    ...(platform ? { platform } : {}),
    ...(hostname === undefined || shares ? {} : { hostname }),
    ...(tty ? { tty } : {}),
    ...(openStdin ? { openStdin } : {}),
    run: {
      ...(command ? { command } : {}),
      ...(ports ? { exposedPorts: Object.keys(ports) } : {}),
    } as NonNullable<NewContainer['run']>,
    host: {
      ...limits,
      ...(networkMode === undefined ? {} : { networkMode }),
      ...(ports && !shares ? { portBindings: ports } : {}),
      ...(restart ? { restart } : {}),
    } as NonNullable<NewContainer['host']>,
  };
}

/** The source's name when nobody has it here; else the engine finds one. */
async function freeName(
  source: string | undefined,
  engine: Engine,
  { log }: SnapshotContext,
): Promise<string | undefined> {
  if (!source) return undefined;
  try {
    await engine.containers.inspect(source);
    log.info(`there is a container ${source} already: the engine finds another name (--name gives one)`);
    return undefined;
  } catch (error) {
    if (isRegopsError(error, 'CONTAINER_NOT_FOUND')) return source;
    if (isRegopsError(error, 'USAGE')) return undefined;
    throw error;
  }
}
