import type { Operation } from '../../../src/history/index.ts';
import { digestOf } from '../../../src/oci/index.ts';

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
export function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const digests = Array.from({ length: 64 }, (_, index) => digestOf(`manifest ${index}`));

/** The digest of a manifest by its number. */
export function digest(index: number): (typeof digests)[number] {
  return digests[index] ?? digestOf(`manifest ${index}`);
}

/** An operation of tag `latest` in `team/app`, a GET of nothing unless it is said otherwise. */
export function operation(callUs: number, returnUs: number, more: Partial<Operation> = {}): Operation {
  const kind = more.kind ?? 'get-manifest';
  const value = more.value ?? null;
  const ok = kind.startsWith('put') ? 201 : kind.startsWith('delete') ? 202 : value === null ? 404 : 200;
  return {
    kind,
    client: 0,
    process: 0,
    callUs,
    returnUs,
    repository: 'team/app',
    reference: 'latest',
    outcome: 'ok',
    status: more.outcome === 'unknown' ? 0 : ok,
    ...more,
    value,
  };
}

/** What histories of one tag are made of. */
export interface Mixture {
  readonly deletes: boolean;
  readonly repeats: boolean;
}

/**
 * A small history of one tag. Half of them follow a register that works, with a read in ten falsified; the others
 * are drawn without any sense.
 */
export function drawHistory(next: () => number, { deletes, repeats }: Mixture): Operation[] {
  const count = 2 + Math.floor(next() * 8);
  const sensible = next() < 0.6;
  const span = 6 + Math.floor(next() * 40);
  const drafts = Array.from({ length: count }, () => {
    const callUs = Math.floor(next() * span);
    const returnUs = callUs + Math.floor(next() * (span / 2));
    return { callUs, returnUs, atUs: callUs + next() * (returnUs - callUs), choice: next(), fate: next() };
  }).sort((a, b) => a.atUs - b.atUs);
  let current: number | undefined;
  let written = 0;
  return drafts
    .map(({ callUs, returnUs, choice, fate }): Operation => {
      const client = Math.floor(next() * 3);
      if (choice < 0.4) {
        const value = repeats && written > 0 && next() < 0.2 ? Math.floor(next() * written) : written++;
        const unknown = fate < 0.2;
        if (!unknown || next() < 0.5) current = value;
        return operation(callUs, returnUs, {
          kind: 'put-manifest',
          client,
          value: digest(value),
          outcome: unknown ? 'unknown' : 'ok',
        });
      }
      if (deletes && choice < 0.55) {
        const unknown = fate < 0.2;
        const byDigest = next() < 0.4 && written > 0 ? Math.floor(next() * written) : undefined;
        if ((!unknown || next() < 0.5) && (byDigest === undefined || byDigest === current))
          current = undefined;
        return operation(callUs, returnUs, {
          kind: 'delete-manifest',
          client,
          reference: byDigest === undefined ? 'latest' : digest(byDigest),
          outcome: unknown ? 'unknown' : 'ok',
        });
      }
      const honest = sensible ? next() < 0.9 : next() < 0.2;
      const found = honest ? current : Math.floor(next() * (written + 2)) - 1;
      return operation(callUs, returnUs, {
        kind: next() < 0.5 ? 'get-manifest' : 'head-manifest',
        client,
        value: found === undefined || found < 0 ? null : digest(found),
      });
    })
    .sort(() => next() - 0.5);
}
