import type { Readable } from 'node:stream';
import type { Credential } from '../auth/index.ts';
import { RegopsError } from '../base/index.ts';
import { pushTar } from '../jobs/push-tar/index.ts';
import {
  LOCAL_REPOSITORY,
  listSnapshots,
  localReference,
  type PushedArchive,
  parseLabel,
  pruneSnapshots,
  pullSnapshot,
  pushSnapshot,
  reportSnapshotList,
  reportSnapshotPrune,
  reportSnapshotPull,
  reportSnapshotPush,
  type SnapshotContext,
  type SnapshotPlaces,
  type SnapshotRepository,
  type SnapshotSource,
  type Transport,
} from '../jobs/snapshot/index.ts';
import {
  isTag,
  type LayerCompression,
  MEDIA_TYPES,
  type Platform,
  parseDomain,
  parseReference,
  parseRepository,
  parseTag,
  type Reference,
} from '../oci/index.ts';
import { parseTarget } from '../registry/index.ts';
import type { CommandContext, Outcome } from './context.ts';
import { engineOf } from './engine.ts';
import { EXIT_FOUND } from './exit-codes.ts';
import { letHeapGrow } from './heap-growth.ts';
import { openLayerCache, openUploadJournal } from './lazy.ts';
import { openRegistries, type Registries, type RegistryFlagValues } from './registries.ts';
import { readSnapshotConfig, type SnapshotRegistryBlock } from './snapshot-config.ts';
import { splitWords } from './words.ts';

/** Values of `snapshotFlags`. */
export interface SnapshotFlagValues extends RegistryFlagValues {
  readonly repository?: string | undefined;
  readonly config?: string | undefined;
}

export interface SnapshotPushFlagValues extends SnapshotFlagValues {
  readonly 'snapshot-id'?: string | undefined;
  readonly tag?: string | undefined;
  readonly 'from-image'?: string | undefined;
  readonly pause: boolean;
  readonly label?: readonly string[] | undefined;
  readonly ttl: number;
  readonly 'scrub-env'?: readonly RegExp[] | undefined;
  readonly also?: readonly string[] | undefined;
  readonly 'remove-local': boolean;
  readonly compression: LayerCompression;
  readonly transport: Transport;
}

export interface SnapshotPullFlagValues extends SnapshotFlagValues {
  readonly start: boolean;
  readonly name?: string | undefined;
  readonly command?: string | undefined;
  readonly network?: string | undefined;
  readonly platform?: Platform | undefined;
  readonly transport: Transport;
}

export interface SnapshotListFlagValues extends SnapshotFlagValues {
  readonly local: boolean;
  readonly expired: boolean;
}

export interface SnapshotPruneFlagValues extends SnapshotListFlagValues {
  readonly 'dry-run': boolean;
  readonly keep?: number | undefined;
  readonly 'max-age'?: number | undefined;
  readonly 'max-total-size'?: number | undefined;
}

/** The registries of a snapshot command, and where in them snapshots are. */
interface Surroundings {
  readonly repository: SnapshotRepository | undefined;
  readonly registries: Registries;
  readonly flags: SnapshotFlagValues;
}

/** snapshot push. */
export async function snapshotPush(
  container: string | undefined,
  flags: SnapshotPushFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  letHeapGrow();
  const source = sourceOf(container, flags);
  const surroundings = await surroundingsOf(flags, context);
  const { also, clients } = await openAlso(flags.also ?? [], surroundings, context);
  const repositories = [...(surroundings.repository ? [surroundings.repository] : []), ...also];
  refuseTwice(repositories);
  const { result, error } = await pushSnapshot(
    {
      source,
      repositories,
      tag: flags.tag === undefined ? undefined : parseTag(flags.tag),
      removeLocal: flags['remove-local'],
      transport: flags.transport,
    },
    jobContext(surroundings, context, flags.compression, clients),
  );
  return { result, report: reportSnapshotPush(result), ...(error ? { error } : {}) };
}

/** snapshot pull. */
export async function snapshotPull(
  text: string,
  flags: SnapshotPullFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const surroundings = await surroundingsOf(flags, context, false);
  const vain = (['name', 'command', 'network'] as const).find((name) => flags[name] !== undefined);
  if (!flags.start && vain !== undefined) throw new RegopsError('USAGE', `--${vain} needs --start`);
  const result = await pullSnapshot(
    {
      reference: referenceOf(text, surroundings),
      start: flags.start,
      name: flags.name,
      command: flags.command === undefined ? undefined : splitWords(flags.command),
      network: flags.network,
      platform: flags.platform,
      transport: flags.transport,
    },
    jobContext(surroundings, context),
  );
  return { result, report: reportSnapshotPull(result) };
}

/** snapshot list. */
export async function snapshotList(flags: SnapshotListFlagValues, context: CommandContext): Promise<Outcome> {
  const surroundings = await surroundingsOf(flags, context, !flags.local);
  const result = await listSnapshots(
    { ...placesOf(surroundings, flags), expiredOnly: flags.expired },
    jobContext(surroundings, context),
  );
  return { result, report: reportSnapshotList(result) };
}

/** snapshot prune. A delete that failed is a problem found: exit 1. */
export async function snapshotPrune(
  flags: SnapshotPruneFlagValues,
  context: CommandContext,
): Promise<Outcome> {
  const rules = {
    expired: flags.expired,
    keep: flags.keep,
    maxAgeMs: flags['max-age'],
    maxTotalBytes: flags['max-total-size'],
  };
  if (
    !rules.expired &&
    [rules.keep, rules.maxAgeMs, rules.maxTotalBytes].every((rule) => rule === undefined)
  ) {
    throw new RegopsError('USAGE', 'what may go? No rule is given', {
      hints: ['Give --expired, --keep N, --max-age AGE or --max-total-size SIZE.'],
    });
  }
  const surroundings = await surroundingsOf(flags, context, !flags.local);
  const { result, error } = await pruneSnapshots(
    { ...placesOf(surroundings, flags), rules, dryRun: flags['dry-run'] },
    jobContext(surroundings, context),
  );
  return {
    result,
    report: reportSnapshotPrune(result),
    exitCode: result.totals.failed > 0 ? EXIT_FOUND : 0,
    ...(error ? { error } : {}),
  };
}

function sourceOf(container: string | undefined, flags: SnapshotPushFlagValues): SnapshotSource {
  const image = flags['from-image'];
  if ((container === undefined) === (image === undefined)) {
    throw new RegopsError(
      'USAGE',
      image === undefined ? 'push what? Name a CONTAINER' : '--from-image excludes a CONTAINER',
      {
        hints: ['To push a snapshot that was made before: --from-image REF.'],
      },
    );
  }
  if (image !== undefined) return { kind: 'image', reference: localOr(image) ?? parseReference(image) };
  return {
    kind: 'container',
    container: container as string,
    snapshotId: flags['snapshot-id'],
    pause: flags.pause,
    ttlMs: flags.ttl,
    labels: Object.fromEntries((flags.label ?? []).map(parseLabel)),
    scrubEnv: flags['scrub-env'] ?? [],
  };
}

/** `regops-snapshots:TAG`, the name of a snapshot in the engine. */
function localOr(text: string): Reference | undefined {
  const prefix = `${LOCAL_REPOSITORY}:`;
  return text.startsWith(prefix) ? localReference(parseTag(text.slice(prefix.length))) : undefined;
}

/** A reference, a local name, or, where the repository is known, just a tag. */
function referenceOf(text: string, { repository, registries }: Surroundings): Reference {
  const local = localOr(text);
  if (local) return local;
  return repository && isTag(text) ? { ...repository, tag: text } : registries.reference(text);
}

/**
 * Which registry, and as whom: flags (with their variables and the profile) before `REGOPS_SNAPSHOT_…`, before the
 * file of `--config`. A user name and password of the latter two go to the registry they stand beside, and to no other.
 *
 * @param needsPlace a registry without a repository, or the other way round, is a mistake
 */
async function surroundingsOf(
  flags: SnapshotFlagValues,
  context: CommandContext,
  needsPlace = true,
): Promise<Surroundings> {
  const file =
    flags.config === undefined ? undefined : await readSnapshotConfig(flags.config, context.environment);
  if (flags.config !== undefined && !file) {
    context.log.warn(`${flags.config} has no snapshot_registry: snapshots stay local unless flags say more`);
  }
  const block = withEnvironment(file, context.environment);
  const blockUrl = block.url === undefined ? undefined : urlOf(block.url, block.insecure ?? false);
  const url = flags['registry-url'] ?? blockUrl;
  const repository =
    flags.repository ?? (block.repository === undefined ? undefined : parseRepository(block.repository));
  if ((url === undefined) !== (repository === undefined) && needsPlace) {
    throw new RegopsError(
      'USAGE',
      `the repository of snapshots needs ${url === undefined ? '--registry-url' : '--repository'} too`,
      { hints: ['Give --registry-url https://registry.example.com --repository team/snapshots.'] },
    );
  }
  if ((block.username === undefined) !== (block.password === undefined)) {
    throw new RegopsError(
      'CONFIG_INVALID',
      'REGOPS_SNAPSHOT_USERNAME and REGOPS_SNAPSHOT_PASSWORD go together',
    );
  }
  const sameRegistry = url !== undefined && blockUrl !== undefined && domainOf(url) === domainOf(blockUrl);
  const ownCredential = flags.username !== undefined || flags.token !== undefined || flags['password-stdin'];
  const credential: Credential | undefined =
    sameRegistry && !ownCredential && block.username !== undefined && block.password !== undefined
      ? { username: block.username, password: block.password }
      : undefined;
  const effective = { ...flags, 'registry-url': url };
  const registries = await openRegistries(effective, context, credential);
  const domain = registries.named?.domain;
  return {
    registries,
    flags: effective,
    repository: domain === undefined || repository === undefined ? undefined : { domain, repository },
  };
}

function withEnvironment(
  file: SnapshotRegistryBlock | undefined,
  environment: CommandContext['environment'],
): Partial<SnapshotRegistryBlock> {
  const read = (name: string): string | undefined => environment[`REGOPS_SNAPSHOT_${name}`] || undefined;
  const url = read('REGISTRY_URL');
  const [username, password] = [read('USERNAME'), read('PASSWORD')];
  return {
    // The file's credentials belong to the file's registry.
    ...(url === undefined ? file : {}),
    ...(url === undefined ? {} : { url }),
    ...(url === undefined || file === undefined ? {} : { repository: file.repository }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
}

function urlOf(url: string, insecure: boolean): string {
  return insecure && !url.includes('://') ? `http://${url}` : url;
}

function domainOf(url: string): string {
  return parseTarget(url).domain.toLowerCase();
}

/** The further registries of `--also`: other credentials than the main one's, which are looked up by their host. */
async function openAlso(
  texts: readonly string[],
  { flags, registries }: Surroundings,
  context: CommandContext,
): Promise<{ also: SnapshotRepository[]; clients: ReadonlyMap<string, Registries> }> {
  const clients = new Map<string, Registries>();
  const also: SnapshotRepository[] = [];
  for (const text of texts) {
    const match = /^((?:https?:\/\/)?)([^/]+)\/(.+)$/i.exec(text);
    if (!match) {
      throw new RegopsError('USAGE', `--also ${text.slice(0, 200)}: not a registry and a repository`, {
        hints: ['Write it like registry.example.com:5000/team/snapshots.'],
      });
    }
    const [, scheme = '', host = '', path = ''] = match;
    const repository = parseRepository(path);
    const { domain } = parseTarget(scheme + parseDomain(host));
    also.push({ domain, repository });
    if (domain === registries.named?.domain || clients.has(domain)) continue;
    clients.set(
      domain,
      await openRegistries(
        {
          ...flags,
          'registry-url': scheme + host,
          ...{ username: undefined, password: undefined, 'password-stdin': false, token: undefined },
          ...{ 'cert-file': undefined, 'key-file': undefined },
        },
        context,
      ),
    );
  }
  return { also, clients };
}

function refuseTwice(repositories: readonly SnapshotRepository[]): void {
  const names = repositories.map(({ domain, repository }) => `${domain}/${repository}`);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new RegopsError('USAGE', `${twice} is named twice`);
}

function placesOf({ repository }: Surroundings, { local }: { readonly local: boolean }): SnapshotPlaces {
  if (local || !repository) return { local: true };
  return { repository, local: 'if-reachable' };
}

function jobContext(
  { registries }: Surroundings,
  context: CommandContext,
  compression: LayerCompression = 'gzip',
  others: ReadonlyMap<string, Registries> = new Map(),
): SnapshotContext {
  const at = (domain: string): Registries => others.get(domain) ?? registries;
  const registry: SnapshotContext['registry'] = (domain) => at(domain).client(domain);
  return {
    ...context,
    registry,
    engine: engineOf(context),
    credential: (domain, repository) => at(domain).credential(domain, repository),
    packing: {
      compression,
      cache: () => openLayerCache(true, context),
      journal: () => openUploadJournal(true, context),
    },
    pushArchive: (archive, destinations) =>
      pushArchive(archive, destinations, compression, { ...context, registry }),
  };
}

/** push-tar's engine, over an archive that comes from the engine. */
async function pushArchive(
  archive: Readable,
  destinations: readonly Reference[],
  compression: LayerCompression,
  context: CommandContext & Pick<SnapshotContext, 'registry'>,
): Promise<PushedArchive> {
  const { signal, clock, progress, log, registry } = context;
  try {
    const { result, error } = await pushTar(
      {
        archives: ['-'],
        destinations: { kind: 'references', references: destinations },
        images: [],
        compression,
        preserveDigests: false,
        concurrency: 4,
        // What passes has been tried by then.
        spool: true,
        dryRun: false,
      },
      {
        signal,
        clock,
        progress,
        log,
        registry,
        stdin: archive,
        stdinName: 'what the engine exports',
        layerCache: await openLayerCache(true, context),
        journal: await openUploadJournal(true, context),
      },
    );
    const images = result.images.flatMap((image) => {
      const { repository, domain } = parseReference(image.repository);
      const done = image.digest !== undefined && image.tags.every(({ status }) => status !== 'planned');
      if (!done) return [];
      const layers = image.blobs.filter(
        ({ mediaType }) => mediaType !== MEDIA_TYPES.ociConfig && mediaType !== MEDIA_TYPES.dockerConfig,
      );
      const counted = (status: string): number => layers.filter((layer) => layer.status === status).length;
      const sent = [...image.blobs, ...image.manifests].reduce((sum, { sentBytes }) => sum + sentBytes, 0);
      return [
        {
          domain,
          repository,
          digest: image.digest as PushedArchive['images'][number]['digest'],
          layers: { moved: counted('uploaded'), existing: counted('exists'), mounted: counted('mounted') },
          sentBytes: sent,
        },
      ];
    });
    return { images, error };
  } finally {
    archive.destroy();
  }
}
