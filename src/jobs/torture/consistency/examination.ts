import type { RegistryView } from '../view.ts';
import type { Fault } from './faults.ts';
import type { Witness } from './witness.ts';

/** What every look at something needs. */
export interface Examination {
  readonly witness: Witness;
  readonly view: RegistryView;
  readonly deep: boolean;
  readonly signal: AbortSignal;
  /** Counts what was looked at. */
  readonly checked: { tags: number; manifests: number; blobs: number };
  /** True when a blob's bytes are still to be read in this pass; a repeated look reads them again. */
  claimDeepRead(digest: string): boolean;
}

/** Digests of one repository that have been looked at, and what was wrong with them. */
export type Looked = Map<string, Promise<Fault[]>>;

/** Looks at a digest once per repository; whoever asks again gets what the first look gave. */
export function lookOnce(looked: Looked, digest: string, look: () => Promise<Fault[]>): Promise<Fault[]> {
  const known = looked.get(digest);
  if (known) return known;
  const looking = look();
  looked.set(digest, looking);
  return looking;
}
