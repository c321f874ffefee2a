import { RegopsError } from '../../base/index.ts';
import { type Digest, digestMismatch, formatReference, type Reference } from '../../oci/index.ts';
import { headManifest, type RegistryClient } from '../../registry/index.ts';
import type { SnapshotContext } from './options.ts';

/** Harbor shows a tag some time after it took the manifest. */
const WAITS_MS = [250, 500, 1000, 2000];

/**
 * Asks the registry for the tag: only what it says itself proves a push. An engine's word does not: one with
 * containerd's image store has reported success when the manifest had come by digest and the tag had not
 * (moby#50194).
 *
 * @throws PROTOCOL_VIOLATION when the tag is not there; DIGEST_MISMATCH when it points at something else
 */
export async function proveTag(
  client: RegistryClient,
  reference: Reference,
  expected: Digest,
  context: Pick<SnapshotContext, 'clock' | 'signal'>,
): Promise<void> {
  const { clock, signal } = context;
  const name = formatReference(reference);
  let found: Digest | undefined;
  for (let attempt = 0; ; attempt++) {
    found = (await headManifest(client, reference.repository, reference.tag ?? '', signal))?.digest;
    if (found === expected) return;
    const wait = WAITS_MS[attempt];
    if (wait === undefined) break;
    await clock.sleep(wait, signal);
  }
  if (found !== undefined) throw digestMismatch(`${name} after the push`, expected, found);
  throw new RegopsError(
    'PROTOCOL_VIOLATION',
    `${name}: the registry took the image but does not know the tag; the push is not proven`,
    { hints: ['Push it once more, and look into the registry’s log.'], details: { digest: expected } },
  );
}
