import { describe, expect, test } from 'vitest';
import {
  bareMediaType,
  isForeignLayer,
  isImageMediaType,
  isIndexMediaType,
  isManifestMediaType,
  layerMediaType,
  MANIFEST_ACCEPT,
  MEDIA_TYPES,
  SCHEMA1_MEDIA_TYPES,
} from '../../../src/oci/index.ts';

const IMAGES = [MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest];
const INDEXES = [MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerManifestList];

describe('media types', () => {
  test.each([...Object.values(MEDIA_TYPES), ...SCHEMA1_MEDIA_TYPES, ''])(
    '%s is of at most one kind',
    (type) => {
      expect(isImageMediaType(type)).toBe(IMAGES.includes(type as never));
      expect(isIndexMediaType(type)).toBe(INDEXES.includes(type as never));
      expect(isManifestMediaType(type)).toBe([...IMAGES, ...INDEXES].includes(type as never));
    },
  );

  test('all manifests are accepted, and schema 1 is not asked for', () => {
    expect([...MANIFEST_ACCEPT].sort()).toEqual([...IMAGES, ...INDEXES].sort());
  });

  test.each([
    ['application/json', 'application/json'],
    ['Application/JSON; charset=utf-8', 'application/json'],
    ['  a/b ;q=1;x=";"', 'a/b'],
    ['', ''],
    [';', ''],
  ])('%j without parameters is %j', (header, bare) => {
    expect(bareMediaType(header)).toBe(bare);
  });

  test.each([
    [MEDIA_TYPES.dockerForeignLayer, true],
    ['application/vnd.oci.image.layer.nondistributable.v1.tar', true],
    ['application/vnd.oci.image.layer.nondistributable.v1.tar+zstd', true],
    [MEDIA_TYPES.dockerLayerGzip, false],
    [MEDIA_TYPES.ociLayer, false],
  ])('%s is foreign: %s', (type, foreign) => {
    expect(isForeignLayer(type)).toBe(foreign);
  });

  test.each([
    ['oci', 'none', 'application/vnd.oci.image.layer.v1.tar'],
    ['oci', 'gzip', 'application/vnd.oci.image.layer.v1.tar+gzip'],
    ['oci', 'zstd', 'application/vnd.oci.image.layer.v1.tar+zstd'],
    ['docker', 'none', 'application/vnd.docker.image.rootfs.diff.tar'],
    ['docker', 'gzip', 'application/vnd.docker.image.rootfs.diff.tar.gzip'],
    ['docker', 'zstd', 'application/vnd.docker.image.rootfs.diff.tar.zstd'],
  ] as const)('a layer of %s, %s', (family, compression, type) => {
    expect(layerMediaType(family, compression)).toBe(type);
  });
});
