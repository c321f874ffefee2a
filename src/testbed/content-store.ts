import type { Digest } from '../oci/index.ts';
import type { Body } from './exchange.ts';
import type { ByteRange } from './ranges.ts';
import type { Spool } from './storage.ts';

/**
 * A spool as its store sees it. `keep` does not wait: with the change of the index that belongs to it, it is
 * one step, and no push can find content that a delete is about to remove.
 */
export interface StoreSpool extends Spool {
  /** Nothing more will be written: what is open is closed. */
  seal(): Promise<void>;
  /** Puts the sealed bytes under a digest, over what may be there. */
  keep(digest: Digest): void;
}

/** Where bytes lie under their digest. */
export interface ContentStore {
  spool(): StoreSpool;
  /** Throws BLOB_NOT_FOUND when it has just been dropped. */
  read(digest: Digest, range: ByteRange): Promise<Body>;
  /** Does not wait, as {@link StoreSpool.keep}. */
  drop(digest: Digest): void;
  close(): Promise<void>;
}
