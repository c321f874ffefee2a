import { describe, expect, test } from 'vitest';
import { HistoryJudge, type Operation } from '../../../src/history/index.ts';
import { digest } from './histories.ts';
import { blob, collect, get, one, put, remove, three, two } from './lies.ts';

// A blob that is gone after a garbage collection: whether it was needed hangs on the manifests that refer to it.

const upload = (callUs: number, returnUs: number): Operation =>
  blob('put-blob', callUs, returnUs, { value: one, status: 201 });
const look = (callUs: number, returnUs: number): Operation => blob('head-blob', callUs, returnUs);
/** A manifest by its digest that refers to the blob. */
const image = (callUs: number, returnUs: number, more: Partial<Operation> = {}): Operation => {
  const value = more.value ?? two;
  return put(callUs, returnUs, { reference: value, names: [one], ...more, value });
};
const removal = (callUs: number, returnUs: number, more: Partial<Operation> = {}): Operation =>
  remove(callUs, returnUs, { reference: two, ...more });
const unknown = { outcome: 'unknown', status: 0 } as const;

function findings(operations: readonly Operation[]) {
  const judge = new HistoryJudge();
  for (const each of operations) judge.add(each);
  return judge.finish().findings;
}

test.each<[string, readonly Operation[], string | undefined]>([
  ['no manifest has come', [upload(0, 1), collect(2, 3), look(4, 5)], 'blob-collected'],
  ['a manifest is there', [upload(0, 1), image(2, 3), collect(4, 5), look(6, 7)], 'blob-lost'],
  [
    'its only manifest was deleted',
    [upload(0, 1), image(2, 3), removal(4, 5), collect(6, 7), look(8, 9)],
    undefined,
  ],
  [
    'its only manifest was deleted, nobody knows when garbage is collected',
    [upload(0, 1), image(2, 3), removal(4, 5), look(8, 9)],
    undefined,
  ],
  [
    'one of its two manifests was deleted',
    [upload(0, 1), image(2, 3), image(2, 3, { value: three }), removal(4, 5), collect(6, 7), look(8, 9)],
    'blob-lost',
  ],
  [
    'the one manifest came before the other was deleted, and so on',
    [
      upload(0, 1),
      image(2, 3),
      image(4, 5, { value: three }),
      removal(6, 7),
      image(8, 9, { value: digest(4) }),
      removal(10, 11, { reference: three }),
      collect(12, 13),
      look(14, 15),
    ],
    'blob-lost',
  ],
  [
    'it may have gone before the manifest that is there came',
    [upload(0, 1), image(2, 3), removal(4, 5), collect(5, 6), image(7, 8, { value: three }), look(9, 10)],
    undefined,
  ],
  [
    'it was pushed again after its manifest was deleted',
    [upload(0, 1), image(2, 3), removal(4, 5), upload(6, 7), collect(8, 9), look(10, 11)],
    'blob-collected',
  ],
  [
    'it was pushed again after its manifest was deleted, and got another one',
    [
      upload(0, 1),
      image(2, 3),
      removal(4, 5),
      upload(6, 7),
      image(8, 9, { value: three }),
      collect(10, 11),
      look(12, 13),
    ],
    'blob-lost',
  ],
  [
    'it was pushed again before its manifest was deleted, and the manifest had come before',
    [upload(0, 1), image(2, 3), upload(4, 5), removal(6, 7), collect(8, 9), look(10, 11)],
    'blob-collected',
  ],
  [
    'what is pushed later does not make it fresh',
    [upload(0, 1), image(2, 3), removal(4, 5), look(6, 7), upload(8, 9)],
    undefined,
  ],
  [
    'the delete of its manifest got no answer: it may have happened',
    [upload(0, 1), image(2, 3), removal(4, 5, unknown), collect(6, 7), look(8, 9)],
    undefined,
  ],
  [
    'the delete of its manifest is under way',
    [upload(0, 1), image(2, 3), removal(4, 20), collect(6, 7), look(8, 9)],
    undefined,
  ],
  [
    'the delete of its manifest is called when the look is over',
    [upload(0, 1), image(2, 3), collect(4, 5), look(6, 7), removal(8, 9)],
    'blob-lost',
  ],
  [
    'the delete of its manifest was refused',
    [upload(0, 1), image(2, 3), removal(4, 5, { outcome: 'fail', status: 405 }), collect(6, 7), look(8, 9)],
    'blob-lost',
  ],
  [
    'the push of its manifest got no answer: nobody knows that it refers to it',
    [upload(0, 1), image(2, 3, unknown), collect(4, 5), look(6, 7)],
    'blob-collected',
  ],
  [
    'the push of its manifest is under way',
    [upload(0, 1), collect(2, 3), look(4, 8), image(5, 9)],
    'blob-collected',
  ],
  [
    'its manifest was refused',
    [upload(0, 1), image(2, 3, { outcome: 'fail', status: 404 }), collect(4, 5), look(6, 7)],
    'blob-collected',
  ],
])('%s', (_, operations, expected) => {
  const names = (all: readonly Operation[]): string[] => findings(all).map(({ invariant }) => invariant);
  expect(names(operations)).toEqual(expected === undefined ? [] : [expected]);
  // In whatever order they are told.
  expect(names(operations.toReversed())).toEqual(names(operations));
});

describe('a blob that was lost', () => {
  test('is shown with its last upload, the manifest that refers to it, and the collection', () => {
    const operations = [upload(0, 1), upload(2, 3), image(4, 5), collect(6, 7), look(8, 9)];
    const [finding] = findings(operations);
    expect(finding?.operations).toEqual([operations[1], operations[2], operations[4]]);
    expect(finding?.suspects).toEqual([operations[3]]);
  });

  test('is told once, and not before the last of its manifests may be gone', () => {
    const operations = [
      upload(0, 1),
      image(2, 3),
      removal(4, 5),
      look(6, 7),
      look(8, 9),
      upload(10, 11),
      look(12, 13),
      look(14, 15),
    ];
    expect(findings(operations).map(({ operations }) => operations.map(({ callUs }) => callUs))).toEqual([
      [10, 12],
    ]);
  });

  test('and a manifest of an index likewise', () => {
    const index = put(2, 3, { reference: 'index', value: three, names: [two] });
    const child = put(0, 1, { reference: two, value: two });
    const read = get(8, 9, { reference: two });
    expect(findings([child, index, collect(6, 7), read]).map(({ invariant }) => invariant)).toEqual([
      'manifest-lost',
    ]);
    expect(findings([child, collect(6, 7), read]).map(({ invariant }) => invariant)).toEqual([
      'manifest-collected',
    ]);
    expect(findings([child, index, removal(4, 5, { reference: three }), collect(6, 7), read])).toEqual([]);
  });
});
