import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  parseLabel,
  readSnapshotLabels,
  type SnapshotFacts,
  snapshotLabels,
} from '../../../../src/jobs/snapshot/labels.ts';
import { parseSettings, type RestoreSettings, settingsText } from '../../../../src/jobs/snapshot/settings.ts';

const FACTS: SnapshotFacts = {
  id: 'snap-xyz',
  tag: 'sb-123-snap-xyz',
  source: 'sb-123',
  sourceId: 'f'.repeat(64),
  host: 'builder-1',
  createdMs: Date.UTC(2026, 1, 20, 12, 0, 0, 7),
  expiresMs: Date.UTC(2026, 2, 6, 12),
  parent: 'python:3.11-slim',
  settings: {
    hostname: 'sandbox',
    ports: { '80/tcp': [{ hostIp: '127.0.0.1', hostPort: '8080' }] },
    memoryBytes: 64e6,
    restart: { name: 'on-failure', maximumRetries: 3 },
    capDrop: ['NET_RAW'],
  },
};

test('what is written is read back', () => {
  expect(readSnapshotLabels(snapshotLabels(FACTS))).toEqual(FACTS);
  const { expiresMs: _, ...lasting } = FACTS;
  expect(readSnapshotLabels(snapshotLabels(lasting))).toEqual(lasting);
});

test("a parent snapshot's labels do not shine through", () => {
  const { expiresMs: _, ...lasting } = FACTS;
  const merged = { ...snapshotLabels(FACTS), ...snapshotLabels({ ...lasting, settings: {} }) };
  expect(readSnapshotLabels(merged)).toEqual({ ...lasting, settings: {} });
});

test('an image without an ID is no snapshot', () => {
  expect(readSnapshotLabels({})).toBeUndefined();
  expect(readSnapshotLabels({ 'regops.snapshot.id': '' })).toBeUndefined();
  expect(readSnapshotLabels({ 'regops.snapshot.tag': 'x' })).toBeUndefined();
});

test('labels of anybody are read without harm', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string()), fc.string(), fc.json(), (labels, time, settings) => {
      const facts = readSnapshotLabels(
        {
          ...labels,
          'regops.snapshot.id': 'x',
          'regops.snapshot.created': time,
          'regops.snapshot.expires': time,
          'regops.snapshot.settings': settings,
        },
        7,
      );
      expect(Number.isFinite(facts?.createdMs)).toBe(true);
      expect(facts && snapshotLabels(facts)['regops.snapshot.id']).toBe('x');
    }),
  );
});

test.each(['2026', 'tomorrow', '2026-02-20T12:00:00+01:00', '2026-02-30T99:00:00Z', '1'])(
  '%s is no time: the fallback counts, and nothing expires',
  (time) => {
    const labels = {
      'regops.snapshot.id': 'x',
      'regops.snapshot.created': time,
      'regops.snapshot.expires': time,
    };
    const facts = readSnapshotLabels(labels, 7);
    expect(facts?.createdMs).toBe(7);
    expect(facts?.expiresMs).toBeUndefined();
  },
);

describe('settings', () => {
  test('nothing that gives power over the host is read', () => {
    const hostile = {
      privileged: true,
      binds: ['/:/host'],
      capAdd: ['SYS_ADMIN'],
      capDrop: ['all; rm -rf /', 'NET_RAW'],
      ports: { '80/tcp': [{ hostIp: 'x', hostPort: '1' }], 'evil/port': [] },
      memoryBytes: -1,
      nanoCpus: '1',
      restart: { name: 'sometimes', maximumRetries: 1 },
      hostname: 'a b',
      __proto__: { tty: true },
    };
    expect(parseSettings(JSON.stringify(hostile))).toEqual({ capDrop: ['NET_RAW'], ports: { '80/tcp': [] } });
  });

  test.each(['', 'null', '[]', '7', '{', undefined, `"${'x'.repeat(10_000)}"`])('%j says nothing', (text) => {
    expect(parseSettings(text)).toEqual({});
  });

  test('more than a label holds goes without its ports', () => {
    const ports = Object.fromEntries(
      Array.from({ length: 2000 }, (_, at) => [`${at + 1}/tcp`, [{ hostIp: '', hostPort: `${at + 1}` }]]),
    );
    const settings: RestoreSettings = { memoryBytes: 1, ports };
    expect(settingsText(settings)).toBe('{"memoryBytes":1}');
  });
});

test('labels of the user', () => {
  expect(parseLabel('a=b=c')).toEqual(['a', 'b=c']);
  expect(parseLabel('a=')).toEqual(['a', '']);
  for (const bad of ['a', '=b', 'a b=c', '']) expect(() => parseLabel(bad)).toThrow(/invalid label/);
  expect(() => parseLabel('regops.snapshot.id=x')).toThrow(/regops' own/);
});
