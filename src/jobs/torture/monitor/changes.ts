import type { RegistryState } from '../view.ts';
import type { StateChanges } from './result.ts';

const MAX_NAMES = 100;

/** What is different between two states. Pure. */
export function changesBetween(first: RegistryState, last: RegistryState): StateChanges {
  const appeared = [...last.tagCounts.keys()].filter((name) => !first.tagCounts.has(name));
  const vanished = [...first.tagCounts.keys()].filter((name) => !last.tagCounts.has(name));
  let retaggedCount = 0;
  for (const [name, count] of last.tagCounts) {
    if ((first.tagCounts.get(name) ?? count) !== count) retaggedCount++;
  }
  return {
    repositories: last.repositories - first.repositories,
    manifests: last.manifests - first.manifests,
    blobs: last.blobs - first.blobs,
    appeared: appeared.sort().slice(0, MAX_NAMES),
    appearedCount: appeared.length,
    vanished: vanished.sort().slice(0, MAX_NAMES),
    vanishedCount: vanished.length,
    retaggedCount,
  };
}
