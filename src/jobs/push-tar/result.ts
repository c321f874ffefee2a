import type { BlobStatus } from '../../registry/index.ts';

/** What push-tar did; the `result` of its JSON answer. */
export interface PushTarResult {
  readonly dryRun: boolean;
  readonly images: readonly PushedImage[];
  readonly totals: {
    readonly images: number;
    readonly tags: number;
    readonly blobs: number;
    readonly uploaded: number;
    readonly mounted: number;
    readonly existing: number;
    /** Bytes of blobs and manifests that went to a registry. */
    readonly sentBytes: number;
    readonly durationMs: number;
  };
}

/** One image of an archive at one repository. */
export interface PushedImage {
  readonly archive: string;
  readonly index: number;
  /** Names stored in the archive. */
  readonly names: readonly string[];
  /** Registry and repository: `localhost:5000/team/app`. */
  readonly repository: string;
  /** Digest of what the tags point at; absent in a dry run that would have to compress first, and when it failed. */
  readonly digest?: string;
  readonly mediaType?: string;
  readonly platforms: readonly string[];
  /** Size of manifest, configuration and layers as stored in the registry. */
  readonly sizeBytes: number;
  readonly tags: readonly PushedTag[];
  readonly manifests: readonly PushedManifest[];
  readonly blobs: readonly PushedBlobResult[];
}

export interface PushedTag {
  /** Complete reference with tag (or digest). */
  readonly reference: string;
  /** `planned` in a dry run and for what an error kept from being done. */
  readonly status: 'pushed' | 'exists' | 'planned';
}

export interface PushedManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly platform?: string;
  readonly status: 'pushed' | 'exists' | 'planned';
  /** Bytes that went over the wire for it: once for every tag. */
  readonly sentBytes: number;
  readonly durationMs: number;
}

export interface PushedBlobResult {
  /** Absent while unknown: a layer not compressed yet. */
  readonly digest?: string;
  /** Digest of the uncompressed layer, where regops compresses. */
  readonly diffId?: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly status: BlobStatus | 'planned';
  /** Bytes that went over the wire for it. */
  readonly sentBytes: number;
  /** Time spent on it in this repository; 0 when its turn never came. */
  readonly durationMs: number;
}
