import type { InvariantName, Operation } from '../../../src/history/index.ts';
import { digest, operation } from './histories.ts';

export const [one, two, three] = [digest(1), digest(2), digest(3)];
export const put = (callUs: number, returnUs: number, more: Partial<Operation> = {}): Operation =>
  operation(callUs, returnUs, { kind: 'put-manifest', value: one, ...more });
export const get = (callUs: number, returnUs: number, more: Partial<Operation> = {}): Operation =>
  operation(callUs, returnUs, more);
export const remove = (callUs: number, returnUs: number, more: Partial<Operation> = {}): Operation =>
  operation(callUs, returnUs, { kind: 'delete-manifest', ...more });
export const blob = (
  kind: Operation['kind'],
  callUs: number,
  returnUs: number,
  more: Partial<Operation> = {},
): Operation => operation(callUs, returnUs, { kind, reference: one, ...more });
export const list = (
  callUs: number,
  returnUs: number,
  names: readonly string[],
  more: Partial<Operation> = {},
): Operation =>
  operation(callUs, returnUs, { kind: 'list-tags', reference: '', status: 200, names, ...more });
export const collect = (callUs: number, returnUs: number): Operation =>
  operation(callUs, returnUs, { kind: 'collect-garbage', repository: '', reference: '', status: 0 });

/** For each invariant operations that break it, with how many of them it takes to show that. */
export const LIES: Readonly<
  Record<InvariantName, readonly [count: number, operations: readonly Operation[]]>
> = {
  'digest-integrity': [1, [put(0, 1), get(2, 3, { reference: one, value: two })]],
  'digest-header': [1, [put(0, 1), get(2, 3, { value: one, announced: two })]],
  'size-agrees': [2, [put(0, 1, { size: 10 }), get(2, 3, { value: one, size: 9 })]],
  'media-type-agrees': [1, [put(0, 1, { mediaType: 'a/a' }), get(2, 3, { value: one, mediaType: 'a/b' })]],
  'torn-manifest': [1, [put(0, 1), get(0, 3, { value: two, announced: one })]],
  'phantom-manifest': [1, [put(0, 1), get(2, 3, { value: two })]],
  'read-before-write': [2, [get(0, 1, { value: one }), put(2, 3)]],
  'manifest-lost': [2, [put(0, 1), get(2, 3, { reference: one })]],
  'blob-lost': [2, [blob('put-blob', 0, 1, { value: one }), blob('head-blob', 2, 3)]],
  'deleted-manifest-readable': [
    3,
    [put(0, 1), remove(2, 3, { reference: one }), get(4, 5, { reference: one, value: one })],
  ],
  'deleted-blob-readable': [
    3,
    [
      blob('put-blob', 0, 1, { value: one }),
      blob('delete-blob', 2, 3),
      blob('get-blob', 4, 5, { value: one }),
    ],
  ],
  'tag-resurrected': [3, [put(0, 1), remove(2, 3), get(4, 5), get(6, 7, { value: one })]],
  'sibling-tag-removed': [
    2,
    [put(0, 1), put(0, 1, { reference: 'other' }), remove(4, 5, { reference: 'other' }), get(6, 7)],
  ],
  'tag-list-order': [
    1,
    [put(0, 1, { reference: 'b' }), put(0, 1, { reference: 'a' }), list(2, 3, ['b', 'a'])],
  ],
  'list-duplicate': [1, [put(0, 1), list(2, 3, ['latest', 'latest'])]],
  'referrer-lost': [
    2,
    [
      put(0, 1, { subject: two }),
      operation(2000, 2001, { kind: 'list-referrers', reference: two, status: 200, names: [] }),
    ],
  ],
  'referrers-not-found': [
    1,
    [operation(0, 1, { kind: 'list-referrers', reference: two, outcome: 'fail', status: 404 })],
  ],
  'stale-read': [3, [put(0, 1), put(2, 3, { value: two }), get(4, 5, { value: one, client: 1 })]],
  'tag-lost': [2, [put(0, 1), get(2, 3, { value: one, client: 1 }), get(4, 5, { client: 2 })]],
  'lost-update': [
    3,
    [put(0, 1), put(2, 3, { value: two, client: 1 }), get(4000, 4001, { value: one, client: 2 })],
  ],
  'read-your-writes': [
    3,
    [put(0, 1), put(2, 3, { value: two, client: 1 }), get(4, 5, { value: one, client: 1 })],
  ],
  'monotonic-reads': [
    4,
    [
      put(0, 1),
      put(2, 3, { value: two, client: 1 }),
      get(4, 5, { value: two, client: 2 }),
      get(6, 7, { value: one, client: 2 }),
    ],
  ],
  'monotonic-writes': [
    4,
    [
      put(0, 1),
      put(2, 3, { value: two }),
      get(4, 5, { value: two, client: 2 }),
      get(6, 7, { value: one, client: 2 }),
    ],
  ],
  'writes-follow-reads': [
    4,
    [
      put(0, 100),
      get(1, 2, { value: one, client: 1 }),
      put(3, 4, { value: two, client: 1 }),
      get(5, 6, { value: two, client: 2 }),
      get(7, 8, { value: one, client: 2 }),
    ],
  ],
  'server-error': [1, [put(0, 1), get(2, 3, { outcome: 'unknown', status: 500 })]],
  'blob-collected': [2, [blob('put-blob', 0, 1, { value: one }), collect(2, 3), blob('head-blob', 4, 5)]],
  'manifest-collected': [2, [put(0, 1), collect(2, 3), get(4, 5, { reference: one })]],
  'upload-lost': [
    2,
    [
      operation(0, 1, { kind: 'open-upload', reference: 'u1', status: 202 }),
      operation(2, 3, { kind: 'extend-upload', reference: 'u1', outcome: 'fail', status: 404 }),
    ],
  ],
  'tag-list-lost': [3, [put(0, 1), list(2, 3, ['latest']), list(4, 5, [])]],
  'tag-list-phantom': [1, [put(0, 1), list(2, 3, ['ghost', 'latest'])]],
  'tag-list-converges': [2, [put(0, 1), list(2000, 2001, [])]],
  'referrers-phantom': [
    1,
    [operation(0, 1, { kind: 'list-referrers', reference: two, status: 200, names: [three] })],
  ],
  'catalog-lost': [
    3,
    [
      put(0, 1),
      list(2, 3, ['team/app'], { kind: 'list-repositories', repository: '' }),
      list(4, 5, [], { kind: 'list-repositories', repository: '' }),
    ],
  ],
  'catalog-converges': [2, [put(0, 1), list(2000, 2001, [], { kind: 'list-repositories', repository: '' })]],
};
