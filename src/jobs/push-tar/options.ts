import type { Readable } from 'node:stream';
import type { LayerCache } from '../../archive/index.ts';
import type { LayerCompression, Platform, Reference } from '../../oci/index.ts';
import type { UploadJournal } from '../../registry/index.ts';
import type { JobContext } from '../context.ts';
import type { PushTarEvent } from './events.ts';
import type { Rename } from './renames.ts';

/** Where the images go. */
export type Destinations =
  /** To these references exactly. */
  | { readonly kind: 'references'; readonly references: readonly Reference[] }
  /** To one registry, under the stored names unless a repository or tags are given. */
  | {
      readonly kind: 'registry';
      readonly domain: string;
      readonly repository?: string | undefined;
      readonly tags: readonly string[];
      /** What becomes of the stored repositories; default: they stay as they are. */
      readonly renames?: readonly Rename[];
    };

export interface PushTarOptions {
  /** Paths of archives or OCI layout folders; `-` is standard input. */
  readonly archives: readonly string[];
  readonly destinations: Destinations;
  /** Names or `@N`; empty for every image. */
  readonly images: readonly string[];
  /** One platform of each index, or all of them as a whole; default: whatever the archive holds. */
  readonly platform?: Platform | 'all' | undefined;
  /**
   * What becomes of layers that are stored uncompressed. Default: gzip for what `docker save` wrote; an OCI
   * layout has digests of its own, which stay.
   */
  readonly compression?: LayerCompression | undefined;
  readonly compressionLevel?: number | undefined;
  /** Push stored bytes and manifests unchanged, or fail. */
  readonly preserveDigests: boolean;
  /** Blobs in flight at once. */
  readonly concurrency: number;
  /** Send blobs in chunks of this many bytes. */
  readonly chunkSize?: number | undefined;
  /** Copy what comes through a pipe to a temporary file before anything of it is sent. */
  readonly spool?: boolean | undefined;
  /** Ask and plan, but send nothing. */
  readonly dryRun: boolean;
}

export interface PushTarContext extends JobContext {
  readonly stdin: Readable;
  /** What `stdin` is called in messages when it is something else than the process's own. */
  readonly stdinName?: string | undefined;
  readonly layerCache: LayerCache;
  /** Where uploads that break off are noted for the next run; without it each starts over. */
  readonly journal?: UploadJournal | undefined;
  /** Told what happens when it happens. */
  readonly onEvent?: ((event: PushTarEvent) => void) | undefined;
}
