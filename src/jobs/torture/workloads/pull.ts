import type { LaneGrant, Puller } from '../../../registry/index.ts';
import type { Done } from './exchange.ts';

/** An image to pull: `reference` is a tag or a digest. */
export interface ImageName {
  readonly repository: string;
  readonly reference: string;
}

/** Pulls an image as one operation. */
export function pullImage(puller: Puller, image: ImageName, grant: LaneGrant, done: Done): void {
  puller.pull({ ...image, grant }, ({ error, redirected, bytes, firstByteMs }) =>
    done({
      kind: redirected ? 'pull_redirected' : 'pull',
      ok: error === undefined,
      bytes,
      ...(error === undefined ? {} : { error }),
      ...(firstByteMs === undefined ? {} : { firstByteMs }),
    }),
  );
}
