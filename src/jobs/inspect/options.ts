import type { Readable } from 'node:stream';
import type { Platform, Reference } from '../../oci/index.ts';
import type { JobContext } from '../context.ts';

/** What to look at. */
export type Target =
  | { readonly kind: 'registry'; readonly domain: string }
  | { readonly kind: 'repository'; readonly domain: string; readonly repository: string }
  | { readonly kind: 'reference'; readonly reference: Reference }
  /** A tar archive or OCI layout folder; `-` is standard input. */
  | { readonly kind: 'archive'; readonly path: string };

export interface InspectOptions {
  readonly targets: readonly Target[];
  /** Which image of an index to show. */
  readonly platform?: Platform | undefined;
  /** Follow an index into its images. */
  readonly tree: boolean;
  /** Also ask what refers to the image. */
  readonly referrers: boolean;
  /** Make sure that everything the image names is there; `deep` reads and hashes all of it. */
  readonly check?: 'present' | 'deep' | undefined;
  /** What is asked for alone, and has to be there: the exact text of the manifest or the configuration, or the digest. */
  readonly keep?: 'manifest' | 'config' | 'digest' | undefined;
}

export interface InspectContext extends JobContext {
  readonly stdin: Readable;
}
