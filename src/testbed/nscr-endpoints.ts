import type { Clock } from '../base/index.ts';
import type { EndpointHandler, Endpoints } from './endpoints.ts';
import { jsonReply } from './exchange.ts';
import { ContentCounter, type ContentCounts, collectGarbage, type References } from './nscr-contents.ts';
import type { Storage } from './storage.ts';
import type { Uploads } from './uploads.ts';

/** How many blobs `storage` names. */
const MOST_REFERENCED = 10;

export interface NscrParts {
  readonly storage: Storage;
  readonly uploads: Uploads;
  readonly references: References;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/**
 * The administration of NSCR (no-strings container registry), with the fields of its document and those it
 * sends beside them. Where NSCR answers with a constant (sessions, orphaned manifests) we tell the truth. All
 * sizes are bytes and all times milliseconds. What differs from NSCR: the repositories are those of our
 * catalog, also such that hold no manifest any more.
 */
export function nscrEndpoints({ storage, uploads, references, clock, startedAt }: NscrParts): Endpoints {
  const counter = new ContentCounter(storage, references);

  const state: EndpointHandler = async () => {
    const inventory = storage.inventory();
    const counts = await counter.count(inventory);
    const open = sessions();
    return jsonReply(200, {
      timestamp: clock.now(),
      registryVersion: '2.0',
      summary: {
        totalRepositories: inventory.repositories.length,
        totalManifests: counts.manifests,
        totalBlobs: counts.blobs.size,
        ...collectable(counts),
      },
      storage: { ...storageTotals(counts), uniqueBlobs: counts.blobs.size },
      repositories: inventory.repositories.map(({ name, tags }) => ({
        name,
        tagCount: tags.length,
        tags: tags.map(([tag]) => tag),
      })),
      activeSessions: { count: open.length, sessions: open },
      health: { status: 'healthy', uptime: clock.now() - startedAt, logStreamClients: 0 },
    });
  };

  const health: EndpointHandler = async () => {
    const inventory = storage.inventory();
    const counts = await counter.count(inventory);
    const isLittered = counts.unreferenced.size > 0 || counts.orphanedManifests > 0;
    return jsonReply(200, {
      status: 'healthy',
      timestamp: clock.now(),
      uptime: clock.now() - startedAt,
      checks: { repositoryListing: true, statisticsAccess: true, databaseConnectivity: true },
      metrics: {
        totalRepositories: inventory.repositories.length,
        totalManifests: counts.manifests,
        totalBlobs: counts.blobs.size,
        activeSessions: uploads.list().length,
        logStreamClients: 0,
      },
      warnings: isLittered
        ? ['Unreferenced blobs or orphaned manifests detected - consider running garbage collection']
        : [],
    });
  };

  const repositories: EndpointHandler = async () =>
    jsonReply(200, {
      repositories: storage.inventory().repositories.map(({ name, lastUploadedAt }) => ({
        name,
        lastUploaded: lastUploadedAt ?? null,
      })),
    });

  /** A repository nobody knows has no tags: NSCR never answers 404 here. */
  const details: EndpointHandler = async (_request, { repository }) => {
    const contents = storage.contents(repository);
    const tags = await Promise.all(
      (contents?.tags ?? []).map(async ([tag, digest]) => {
        const parts = digest ? await references.of(storage, repository, digest) : [];
        const sizeBytes = parts.reduce((total, part) => total + (contents?.blobs.get(part) ?? 0), 0);
        return { tag, hasManifest: digest !== undefined, digest: digest ?? null, sizeBytes };
      }),
    );
    return jsonReply(200, { name: repository, tagCount: tags.length, tags, timestamp: clock.now() });
  };

  const activeSessions: EndpointHandler = async () => {
    const open = sessions();
    return jsonReply(200, {
      activeSessions: open,
      totalActiveSessions: open.length,
      timestamp: clock.now(),
    });
  };

  /** Also the pieces of uploads under way, whose digest is not known yet. */
  const blobs: EndpointHandler = async () => {
    const counts = await counter.count(storage.inventory());
    const finished = Array.from(counts.blobs, ([digest, size]) => ({
      digest,
      sessionID: 'unknown',
      blobNumber: 'null',
      size,
    }));
    const underWay = uploads
      .list()
      .filter(({ size }) => size > 0)
      .map(({ id, size }) => ({ digest: 'unknown', sessionID: id, blobNumber: 0, size }));
    const totalBytes = underWay.reduce((total, { size }) => total + size, counts.totalBytes);
    return jsonReply(200, {
      totalBlobs: finished.length + underWay.length,
      uniqueBlobs: finished.length,
      totalBytes,
      uniqueBytes: counts.totalBytes,
      deduplicationRatio: ratio(counts.totalBytes, totalBytes),
      blobs: [...finished, ...underWay],
      timestamp: clock.now(),
    });
  };

  /** `GET /api/blobs`: a digest on each line. */
  const blobNames: EndpointHandler = async () => {
    const { blobs: all } = await counter.count(storage.inventory());
    const text = Array.from(all.keys(), (digest) => `${digest}\n`).join('');
    return { status: 200, headers: { 'content-type': 'text/plain' }, body: [Buffer.from(text)] };
  };

  const storageStatistics: EndpointHandler = async () => {
    const counts = await counter.count(storage.inventory());
    const uniqueBlobs = counts.blobs.size;
    return jsonReply(200, {
      storage: { ...storageTotals(counts), spaceSavingsPercent: 0 },
      blobs: { totalBlobs: uniqueBlobs, uniqueBlobs, averageReferencesPerBlob: uniqueBlobs > 0 ? 1 : 0 },
      mostReferencedBlobs: Array.from(counts.blobs)
        .slice(0, MOST_REFERENCED)
        .map(([digest, size]) => ({ digest, referenceCount: 1, size })),
      timestamp: clock.now(),
    });
  };

  const collectStatistics: EndpointHandler = async () => {
    const counts = await counter.count(storage.inventory());
    return jsonReply(200, {
      totalBlobs: counts.blobs.size,
      totalManifests: counts.manifests,
      ...collectable(counts),
    });
  };

  /**
   * Removes the blobs that no manifest refers to, without regard to their age, as NSCR does: a push under
   * way may lose one. No manifest is removed: what was accepted was whole.
   */
  const collect: EndpointHandler = async () => {
    const { blobs, bytes } = await collectGarbage(storage, counter);
    return jsonReply(200, {
      blobsRemoved: blobs,
      spaceFreed: bytes,
      manifestsRemoved: 0,
    });
  };

  const sessions = () =>
    uploads.list().map(({ id, startedAt: startTime, lastActivityAt, pieces }) => ({
      id,
      startTime,
      lastActivity: lastActivityAt,
      blobCount: pieces,
      duration: clock.now() - startTime,
    }));

  return {
    'nscr-state': { GET: state },
    'nscr-health': { GET: health },
    'nscr-repositories': { GET: repositories },
    'nscr-repository': { GET: details },
    'nscr-sessions': { GET: activeSessions },
    'nscr-blobs': { GET: blobs },
    'nscr-blob-names': { GET: blobNames },
    'nscr-storage': { GET: storageStatistics },
    'nscr-collect': { POST: collect },
    'nscr-collect-stats': { GET: collectStatistics },
  };
}

function collectable({ unreferenced, unreferencedBytes, orphanedManifests }: ContentCounts) {
  return {
    unreferencedBlobs: unreferenced.size,
    orphanedManifests,
    estimatedSpaceToFree: unreferencedBytes,
  };
}

/** NSCR keeps a blob once, as we do: nothing is ever saved. */
function storageTotals({ totalBytes }: ContentCounts) {
  return {
    totalBytes,
    uniqueBytes: totalBytes,
    spaceSavings: 0,
    deduplicationRatio: ratio(totalBytes, totalBytes),
  };
}

function ratio(unique: number, total: number): number {
  return total === 0 ? 0 : unique / total;
}
