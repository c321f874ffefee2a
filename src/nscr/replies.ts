import { z } from 'zod';

/**
 * The shapes of NSCR's replies, as its code writes them (AdminApiRoutes.kt). What a figure of regops rests
 * on is required; what only the code has, or only the documents have, may be missing. Times are
 * milliseconds since the epoch, sizes bytes.
 */

const count = z.int().min(0);

export const sessionSchema = z.object({
  id: z.string().max(1000),
  startTime: z.number().optional(),
  lastActivity: z.number().optional(),
  blobCount: count.optional(),
  /** How long it has been open, in milliseconds. */
  duration: z.number().optional(),
});

/** Counters of the garbage collector; `totalBlobs` leaves out the chunks of uploads under way. */
const collectionCounters = {
  totalManifests: count,
  totalBlobs: count,
  unreferencedBlobs: count.optional(),
  /** Practically always all manifests: NSCR looks for their own digests among the blobs. */
  orphanedManifests: count.optional(),
  estimatedSpaceToFree: count.optional(),
};

/** Undocumented. `deduplicationRatio` is unique by total: 1 in practice, 0 when there is nothing. */
const storageSchema = z.object({
  totalBytes: count,
  uniqueBytes: count,
  spaceSavings: z.number().optional(),
  spaceSavingsPercent: z.number().optional(),
  deduplicationRatio: z.number().optional(),
  uniqueBlobs: count.optional(),
});

export const stateSchema = z.object({
  timestamp: z.number().optional(),
  registryVersion: z.string().optional(),
  summary: z.object({ totalRepositories: count, ...collectionCounters }),
  storage: storageSchema.optional(),
  repositories: z.array(
    z.object({ name: z.string(), tagCount: count, tags: z.array(z.string()).optional() }),
  ),
  /** Always empty in the code of 2025: NSCR does not track sessions. */
  activeSessions: z.object({ count, sessions: z.array(sessionSchema).optional() }).optional(),
  /** `status` is the constant `healthy`; only `/health` looks. */
  health: z.object({ status: z.string(), uptime: z.number().optional() }).optional(),
});

export const repositorySchema = z.object({
  name: z.string(),
  tagCount: count,
  tags: z.array(
    z.object({
      tag: z.string(),
      hasManifest: z.boolean(),
      digest: z.string().nullish(),
      /** Undocumented: the sizes of the referenced blobs together. */
      sizeBytes: count.optional(),
    }),
  ),
  timestamp: z.number().optional(),
});

export const sessionsSchema = z.object({
  activeSessions: z.array(sessionSchema),
  totalActiveSessions: count.optional(),
  timestamp: z.number().optional(),
});

export const healthSchema = z.object({
  status: z.string().max(100),
  uptime: z.number().optional(),
  checks: z.record(z.string(), z.unknown()).optional(),
  metrics: z.record(z.string(), z.unknown()).optional(),
  /** Practically never empty once there is a manifest: see `orphanedManifests`. */
  warnings: z.array(z.string()).optional(),
});

export const repositoriesSchema = z.object({
  repositories: z.array(z.object({ name: z.string(), lastUploaded: z.unknown() })),
});

export const blobsSchema = z.object({
  /** Chunks of uploads under way included. */
  totalBlobs: count,
  uniqueBlobs: count.optional(),
  totalBytes: count.optional(),
  uniqueBytes: count.optional(),
  deduplicationRatio: z.number().optional(),
  blobs: z.array(
    z.object({
      /** `unknown` for a chunk of an upload under way. */
      digest: z.string(),
      size: count,
      sessionID: z.string().nullish(),
      /** The text `null` when there is none. */
      blobNumber: z.union([z.number(), z.string()]).optional(),
      created: z.number().optional(),
    }),
  ),
});

export const storageReplySchema = z.object({
  storage: storageSchema,
  blobs: z.object({ totalBlobs: count, uniqueBlobs: count, averageReferencesPerBlob: z.number().optional() }),
});

export const collectionStatsSchema = z.object(collectionCounters);

export const collectionSchema = z.object({
  blobsRemoved: count,
  spaceFreed: count,
  manifestsRemoved: count,
});

/** `GET /api/registry/state`. */
export type NscrState = Readonly<z.infer<typeof stateSchema>>;
/** `GET /api/registry/repositories/<name>`; an unknown repository is one without tags. */
export type NscrRepository = Readonly<z.infer<typeof repositorySchema>>;
/** One upload that is under way. */
export type NscrSession = Readonly<z.infer<typeof sessionSchema>>;
/** `GET /api/registry/sessions`. */
export type NscrSessions = Readonly<z.infer<typeof sessionsSchema>>;
/** `GET /api/registry/health`; an unhealthy registry says so with status 500. */
export type NscrHealth = Readonly<z.infer<typeof healthSchema>>;
/** `GET /api/registry/repositories` (undocumented). */
export type NscrRepositories = Readonly<z.infer<typeof repositoriesSchema>>;
/** `GET /api/registry/blobs`. */
export type NscrBlobs = Readonly<z.infer<typeof blobsSchema>>;
/** `GET /api/registry/storage` (undocumented). */
export type NscrStorage = Readonly<z.infer<typeof storageReplySchema>>;
/** `GET /api/garbage-collect/stats`. */
export type NscrCollectionStats = Readonly<z.infer<typeof collectionStatsSchema>>;
/** `POST /api/garbage-collect`: what was removed. */
export type NscrCollection = Readonly<z.infer<typeof collectionSchema>>;
