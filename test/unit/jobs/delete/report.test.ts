import { expect, test } from 'vitest';
import { reportDelete } from '../../../../src/jobs/delete/index.ts';
import { digestOf } from '../../../../src/oci/index.ts';

const digest = digestOf('deleted');
const deletion = { reference: 'r.example.com/app:1', digest, removedTags: ['1'], keptTags: [] };

test.each([
  [{ manifestDeleted: false }, 'deleted r.example.com/app:1'],
  [
    { manifestDeleted: false, keptTags: ['2', 'latest'] },
    `deleted r.example.com/app:1; ${digest} stays under 2, latest`,
  ],
  [
    { manifestDeleted: true, removedTags: ['1', '2'] },
    `deleted r.example.com/app:1: manifest ${digest} with its tags 1, 2`,
  ],
  [{ manifestDeleted: true, removedTags: [] }, `deleted r.example.com/app:1: manifest ${digest}`],
])('%o', (more, line) => {
  expect(reportDelete({ deleted: [{ ...deletion, ...more }] })).toEqual({ lines: [line] });
});

test('one line for each that is gone, in order; none when nothing is', () => {
  const two = [deletion, { ...deletion, reference: 'r.example.com/app:2' }].map((one) => ({
    ...one,
    manifestDeleted: false,
  }));
  expect(reportDelete({ deleted: two }).lines).toEqual([
    'deleted r.example.com/app:1',
    'deleted r.example.com/app:2',
  ]);
  expect(reportDelete({ deleted: [] })).toEqual({ lines: [] });
});
