import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  isLocalName,
  localReference,
  newSnapshotId,
  parseSnapshotId,
  readName,
  snapshotTag,
  tagOfName,
} from '../../../../src/jobs/snapshot/names.ts';
import { formatReference, isTag, parseReference } from '../../../../src/oci/index.ts';

test("the seed's shape", () => {
  expect(snapshotTag('sb-123', 'snap-xyz')).toBe('sb-123-snap-xyz');
  expect(formatReference(localReference('sb-123-snap-xyz'))).toBe(
    'docker.io/library/regops-snapshots:sb-123-snap-xyz',
  );
});

test.each([
  ['.hidden', 'hidden-s'],
  ['a b/c', 'a-b-c-s'],
  ['ä', 'container-s'],
  ['', 'container-s'],
])('the name %j becomes the tag %s', (name, tag) => {
  expect(snapshotTag(name, 's')).toBe(tag);
});

test('every name and ID make a tag that holds the whole ID', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 300 }),
      fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/),
      (name, id) => {
        const tag = snapshotTag(name, parseSnapshotId(id));
        expect(isTag(tag)).toBe(true);
        expect(tag.endsWith(`-${id}`)).toBe(true);
      },
    ),
  );
});

test('two long names that differ at their end stay two tags', () => {
  const long = 'c'.repeat(250);
  expect(snapshotTag(`${long}1`, 'snap-x')).not.toBe(snapshotTag(`${long}2`, 'snap-x'));
});

test('new IDs are valid, and another each time', () => {
  const ids = Array.from({ length: 200 }, newSnapshotId);
  for (const id of ids) expect(parseSnapshotId(id)).toBe(id);
  expect(new Set(ids).size).toBe(200);
});

test.each(['', '-x', '.x', 'a b', 'a/b', 'a:b', 'x'.repeat(101)])('%j is no ID', (text) => {
  expect(() => parseSnapshotId(text)).toThrow(/cannot be a snapshot's ID/);
});

test('local names are known however they are written, and no other ones', () => {
  expect(isLocalName(parseReference('regops-snapshots:x'))).toBe(true);
  expect(isLocalName(parseReference('docker.io/library/regops-snapshots:x'))).toBe(true);
  expect(isLocalName(parseReference('registry.example.com/regops-snapshots:x'))).toBe(false);
  expect(isLocalName(parseReference('me/regops-snapshots:x'))).toBe(false);
});

test('what an engine lists is read', () => {
  expect(tagOfName('registry.example.com:5000/team/app:1')).toBe('1');
  expect(tagOfName('registry.example.com:5000/team/app')).toBeUndefined();
  expect(readName('<none>:<none>')).toBeUndefined();
  expect(readName('app:1')).toMatchObject({ repository: 'library/app', tag: '1' });
});
