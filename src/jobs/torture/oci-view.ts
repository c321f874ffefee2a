import { type Clock, isRegopsError, mapConcurrently } from '../../base/index.ts';
import { type Digest, LIMITS } from '../../oci/index.ts';
import {
  collect,
  getManifest,
  headManifest,
  listRepositories,
  listTags,
  ping,
  type RegistryClient,
  statusOf,
} from '../../registry/index.ts';
import { isoTime, timedClient } from './latency.ts';
import {
  DigestCounter,
  fingerprint,
  ManifestMemory,
  type References,
  referencesOf,
} from './manifest-memory.ts';
import {
  type Health,
  isWanted,
  type RegistryState,
  type RegistryView,
  type RepositoryDetails,
  type ViewOptions,
} from './view.ts';

const REPOSITORIES_AT_ONCE = 6;
const TAGS_AT_ONCE = 4;
/** Manifests and references remembered between two states: some 100 MB when full. */
const MAX_REMEMBERED = 1_000_000;
/** Different manifests, and different blobs, one state can count: some 150 MB when full. */
const MAX_COUNTED = 2_000_000;
/** Pauses before a reply 5xx is asked for again. */
const PAUSES_MS = [100, 1000];
/** Times one state asks again; a registry that fails more often is down, and not asked three times for everything. */
const MAX_ASKED_AGAIN = 100;

/** A view with a look at its memory, for whoever wants to be sure of it. */
export interface OciView extends RegistryView {
  /** Manifests and references remembered. */
  readonly remembered: number;
}

/**
 * The same picture from nothing but `/v2/`, for any registry: repositories of the catalog, their tags, the
 * manifests the tags resolve to with their children, and the blobs they refer to. Tags are resolved anew
 * each time; a manifest is fetched once, since its digest names what it says. A repository is called
 * unreadable only when what failed has failed again: distribution answers 500 for a tag whose link is being
 * written.
 */
export function ociView(
  client: RegistryClient,
  options: Omit<ViewOptions, 'api'>,
  bounds: { readonly remembered?: number; readonly counted?: number } = {},
): OciView {
  const { clock } = client;
  const memory = new ManifestMemory(bounds.remembered ?? MAX_REMEMBERED);

  async function state(signal: AbortSignal): Promise<RegistryState> {
    const takenAt = isoTime(clock.now());
    const timed = timedClient(client);
    const found = await repositoryNames(timed.client, options, signal);
    const manifests = new DigestCounter(bounds.counted ?? MAX_COUNTED);
    const blobs = new DigestCounter(bounds.counted ?? MAX_COUNTED);
    const tagCounts = new Map<string, number>();
    const persistently = askingAgain(clock, signal);
    let unreadable = 0;

    const count = async (name: string, root: Digest, either: AbortSignal): Promise<void> => {
      // Indexes may nest; children are counted like roots.
      let level: readonly Digest[] = [root];
      for (let depth = 0; level.length > 0 && depth <= LIMITS.indexDepth; depth++) {
        const next: Digest[] = [];
        for (const digest of level) {
          const references = await persistently(() =>
            referencesIn(timed.client, memory, name, digest, either),
          );
          if (!references) continue;
          if (!manifests.add(fingerprint(digest))) continue;
          for (const print of references.blobs) blobs.add(print);
          next.push(...references.manifests);
        }
        level = next;
      }
    };

    await mapConcurrently(found.names, REPOSITORIES_AT_ONCE, signal, async (name, either) => {
      try {
        const tags = await persistently(() => tagsOf(timed.client, name, either));
        tagCounts.set(name, tags.length);
        await mapConcurrently(tags, TAGS_AT_ONCE, either, async (tag, inner) => {
          const head = await persistently(() => headManifest(timed.client, name, tag, inner));
          if (head) await count(name, head.digest, inner);
        });
      } catch (error) {
        if (!isOneRepositorys(error)) throw error;
        unreadable++;
      }
    });
    return {
      takenAt,
      api: 'oci',
      repositories: found.names.length,
      manifests: manifests.size,
      blobs: blobs.size,
      sessions: null,
      health: unreadable > 0 ? 'degraded' : 'healthy',
      tagCounts,
      latencyMs: timed.worstMs(),
      unreadable,
      truncated: found.truncated || manifests.full || blobs.full,
    };
  }

  return {
    api: 'oci',
    get remembered() {
      return memory.kept;
    },
    state,

    async health(signal) {
      const takenAt = isoTime(clock.now());
      const begun = clock.now();
      const answer = await ping(client, signal).then(
        () => 200,
        (error: unknown) => statusOf(error) ?? Promise.reject(error),
      );
      const status = healthOf(answer);
      return {
        takenAt,
        latencyMs: clock.now() - begun,
        status,
        detail: status === 'healthy' ? null : `GET /v2/ answered ${answer}`,
      };
    },

    /** `/v2/` tells nothing of uploads that are under way. */
    sessions: async () => ({ takenAt: isoTime(clock.now()), sessions: null, latencyMs: 0 }),

    async repository(name, signal) {
      const tags = await tagsOf(client, name, signal);
      const details = await mapConcurrently(tags, TAGS_AT_ONCE, signal, async (tag, either) => {
        const head = await headManifest(client, name, tag, either);
        return { tag, hasManifest: head !== undefined, digest: head?.digest ?? null };
      });
      return { name, tagCount: tags.length, tags: details } satisfies RepositoryDetails;
    },
  };
}

/** The catalog, as much of it as is wanted. */
export async function repositoryNames(
  client: RegistryClient,
  options: Omit<ViewOptions, 'api'>,
  signal: AbortSignal,
): Promise<{ readonly names: readonly string[]; readonly truncated: boolean }> {
  const names: string[] = [];
  for await (const page of listRepositories(client, { signal })) {
    for (const name of page) {
      if (!isWanted(name, options.repository)) continue;
      if (names.length >= options.maxRepositories) return { names, truncated: true };
      names.push(name);
    }
  }
  return { names, truncated: false };
}

/** Asks again, after a pause, for what the registry failed to give (5xx): a few times in all. */
function askingAgain(clock: Clock, signal: AbortSignal): <T>(ask: () => Promise<T>) => Promise<T> {
  let left = MAX_ASKED_AGAIN;
  return async (ask) => {
    for (const pause of PAUSES_MS) {
      try {
        return await ask();
      } catch (error) {
        if (!isRegopsError(error, 'SERVER_ERROR') || left-- <= 0) throw error;
        await clock.sleep(pause, signal);
      }
    }
    return ask();
  };
}

/** None when the repository has gone, or is only a name in the catalog. */
async function tagsOf(client: RegistryClient, name: string, signal: AbortSignal): Promise<string[]> {
  try {
    return await collect(listTags(client, name, { signal }));
  } catch (error) {
    if (isRegopsError(error, 'REPOSITORY_NOT_FOUND')) return [];
    throw error;
  }
}

/** Undefined for a manifest that has gone meanwhile; one that cannot be read refers to nothing. */
async function referencesIn(
  client: RegistryClient,
  memory: ManifestMemory,
  repository: string,
  digest: Digest,
  signal: AbortSignal,
): Promise<References | undefined> {
  const known = memory.get(digest);
  if (known) return known;
  let references: References = { manifests: [], blobs: [] };
  try {
    references = referencesOf(await getManifest(client, repository, digest, signal));
  } catch (error) {
    if (isRegopsError(error, 'MANIFEST_NOT_FOUND') || isRegopsError(error, 'REPOSITORY_NOT_FOUND')) {
      return undefined;
    }
    // A Docker schema 1 manifest, or another of the sort: it is there, and that is all this view says.
    if (!isRegopsError(error, 'MANIFEST_INVALID')) throw error;
  }
  memory.set(digest, references);
  return references;
}

/** A failure that says something of one repository; an unreachable registry or an interrupt ends it all. */
function isOneRepositorys(error: unknown): boolean {
  if (!isRegopsError(error)) return false;
  switch (error.kind) {
    case 'interrupted':
    case 'bug':
      return false;
    case 'unreachable':
      return error.code === 'SERVER_ERROR';
    default:
      return true;
  }
}

function healthOf(status: number): Health {
  // 401 and 403: it is up, and knows who it does not want.
  if (status === 200 || status === 401 || status === 403) return 'healthy';
  if (status === 429) return 'degraded';
  return status >= 500 ? 'unhealthy' : 'unknown';
}
