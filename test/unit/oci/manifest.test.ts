import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRegopsError } from '../../../src/base/index.ts';
import {
  buildManifest,
  descriptorOf,
  digestOf,
  LIMITS,
  type Manifest,
  MEDIA_TYPES,
  parseManifest,
  referencedDescriptors,
  SCHEMA1_MEDIA_TYPES,
} from '../../../src/oci/index.ts';

type Json = Record<string, unknown>;

const descriptor = (name: string, mediaType: string = MEDIA_TYPES.ociLayerGzip) => ({
  mediaType,
  digest: digestOf(name),
  size: name.length,
});

const ociImage = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociManifest,
  config: descriptor('config', MEDIA_TYPES.ociConfig),
  layers: [descriptor('one'), descriptor('two')],
};
const ociIndex = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociIndex,
  manifests: [
    { ...descriptor('amd', MEDIA_TYPES.ociManifest), platform: { os: 'linux', architecture: 'amd64' } },
    {
      ...descriptor('arm', MEDIA_TYPES.ociManifest),
      platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
    },
  ],
};
const dockerImage = { ...ociImage, mediaType: MEDIA_TYPES.dockerManifest };
const dockerList = { ...ociIndex, mediaType: MEDIA_TYPES.dockerManifestList };

/** The document without one field. */
function without(document: Json, field: string): Json {
  return Object.fromEntries(Object.entries(document).filter(([name]) => name !== field));
}

const bytesOf = (document: unknown): Buffer => Buffer.from(JSON.stringify(document));

function parse(document: unknown, contentType?: string): Manifest {
  return parseManifest(bytesOf(document), { contentType });
}

/** The error for a document that must be refused. */
function refusal(document: unknown, contentType?: string): { code: string; message: string } {
  const bytes = document instanceof Uint8Array ? document : bytesOf(document);
  try {
    parseManifest(bytes, { contentType, what: 'it' });
  } catch (error) {
    if (isRegopsError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it was accepted');
}

describe('both families are read', () => {
  test.each([
    ['an OCI image', ociImage, 'image'],
    ['an OCI index', ociIndex, 'index'],
    ['a Docker image', dockerImage, 'image'],
    ['a Docker list', dockerList, 'index'],
  ])('%s', (_what, document, kind) => {
    const bytes = bytesOf(document);
    for (const contentType of [undefined, document.mediaType, `${document.mediaType}; charset=utf-8`]) {
      const manifest = parseManifest(bytes, { contentType });
      expect(manifest.kind).toBe(kind);
      expect(manifest.mediaType).toBe(document.mediaType);
      expect(manifest.document).toEqual(document);
      expect(manifest.bytes).toBe(bytes);
      expect(manifest.digest).toBe(digestOf(bytes));
    }
  });

  test('a Content-Type that says nothing is not believed and not refused', () => {
    for (const contentType of ['application/json', 'application/octet-stream', 'text/plain', '']) {
      expect(parse(ociIndex, contentType).mediaType).toBe(MEDIA_TYPES.ociIndex);
    }
  });

  test('without a mediaType of its own the Content-Type decides, then the shape', () => {
    const image = without(ociImage, 'mediaType');
    const index = without(ociIndex, 'mediaType');
    expect(parse(image, MEDIA_TYPES.dockerManifest).mediaType).toBe(MEDIA_TYPES.dockerManifest);
    expect(parse(image).mediaType).toBe(MEDIA_TYPES.ociManifest);
    expect(parse(image, 'application/json').mediaType).toBe(MEDIA_TYPES.ociManifest);
    expect(parse(index).mediaType).toBe(MEDIA_TYPES.ociIndex);
    expect(parse(index, MEDIA_TYPES.dockerManifestList).kind).toBe('index');
  });

  test('an artifact with a subject, a type and annotations', () => {
    const artifact = {
      ...ociImage,
      artifactType: 'application/vnd.example.sbom',
      config: descriptor('{}', MEDIA_TYPES.ociEmpty),
      layers: [descriptor('sbom', 'application/spdx+json')],
      subject: descriptor('image', MEDIA_TYPES.ociManifest),
      annotations: { 'org.opencontainers.image.created': '2026-01-01T00:00:00Z' },
    };
    expect(parse(artifact).document).toEqual(artifact);
  });

  test('an image may have no layers, an index no manifests', () => {
    expect(parse({ ...ociImage, layers: [] }).kind).toBe('image');
    expect(parse({ ...ociIndex, manifests: [] }).kind).toBe('index');
  });

  test('unknown fields pass by and annotations that are no strings are dropped', () => {
    const manifest = parse({ ...ociImage, future: { deep: [1] }, annotations: { a: 'b', n: 1, o: {} } });
    expect(manifest.document.annotations).toEqual({ a: 'b' });
    expect(manifest.document).not.toHaveProperty('future');
  });

  test('the digest is of the bytes as they came, spaces and all', () => {
    const pretty = Buffer.from(`${JSON.stringify(ociImage, null, 3)}\n`);
    expect(parseManifest(pretty).digest).toBe(digestOf(pretty));
  });
});

describe('the digest it was asked by', () => {
  const bytes = bytesOf(ociImage);

  test.each(['sha256', 'sha512'] as const)('%s is compared', (algorithm) => {
    const digest = digestOf(bytes, algorithm);
    expect(parseManifest(bytes, { digest }).digest).toBe(digest);
    expect(() => parseManifest(bytes, { digest: digestOf('another', algorithm), what: 'app:1' })).toThrow(
      expect.objectContaining({
        code: 'DIGEST_MISMATCH',
        message: expect.stringMatching(/^app:1: expected sha/),
      }),
    );
  });

  test('and compared before the content is looked at', () => {
    expect(() => parseManifest(Buffer.from('<html>'), { digest: digestOf(bytes) })).toThrow(
      expect.objectContaining({ code: 'DIGEST_MISMATCH' }),
    );
  });
});

describe('type confusion is refused (CVE-2021-41190)', () => {
  test.each([
    ['an image served as an index', ociImage, MEDIA_TYPES.ociIndex],
    ['an index served as an image', ociIndex, MEDIA_TYPES.ociManifest],
    ['an OCI image served as a Docker one', ociImage, MEDIA_TYPES.dockerManifest],
    ['a Docker list served as an OCI index', dockerList, MEDIA_TYPES.ociIndex],
    ['an image served as schema 1', ociImage, SCHEMA1_MEDIA_TYPES[1]],
    ['an index that has layers too', { ...ociIndex, layers: [] }, undefined],
    ['an index that has a config too', { ...ociIndex, config: ociImage.config }, undefined],
    ['an index that has layers, even null', { ...ociIndex, layers: null }, undefined],
    ['an image that has manifests too', { ...ociImage, manifests: [] }, undefined],
    ['an image that has schema 1 layers too', { ...ociImage, fsLayers: [] }, undefined],
    ['an image that has what Go reads as manifests', { ...ociImage, Manifests: [] }, undefined],
    ['an index that has what Go reads as a config', { ...ociIndex, CONFIG: {} }, undefined],
    ['both, with no media type', without({ ...ociIndex, ...ociImage }, 'mediaType'), undefined],
    [
      'an image by Content-Type that is an index by shape',
      without(ociIndex, 'mediaType'),
      MEDIA_TYPES.ociManifest,
    ],
    [
      'an index by Content-Type that is an image by shape',
      without(ociImage, 'mediaType'),
      MEDIA_TYPES.ociIndex,
    ],
  ])('%s', (_what, document, contentType) => {
    expect(refusal(document, contentType).code).toBe('MANIFEST_INVALID');
  });
});

describe('what is no manifest is refused', () => {
  test.each([
    ['nothing', Buffer.alloc(0), 'not JSON'],
    ['HTML', Buffer.from('<!DOCTYPE html>'), 'not JSON'],
    ['cut JSON', bytesOf(ociImage).subarray(0, 50), 'not JSON'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'not JSON'],
    ['a byte order mark in UTF-16', Buffer.from('\ufeff{}', 'utf16le'), 'not JSON'],
    ['brackets without end', Buffer.from('['.repeat(100_000)), 'not JSON'],
    ['an array', [ociImage], 'not a JSON object'],
    ['a string', 'manifest', 'not a JSON object'],
    ['null', null, 'not a JSON object'],
    ['an empty object', {}, 'unknown media type (none)'],
    [
      'an unknown type',
      { ...ociImage, mediaType: 'application/vnd.example+json' },
      'unknown media type application/vnd.example+json',
    ],
    ['a config as manifest', { ...ociImage, mediaType: MEDIA_TYPES.ociConfig }, 'unknown media type'],
    ['schema 1 by number', { schemaVersion: 1, name: 'x', fsLayers: [] }, 'schema 1'],
    ['schema 1 by name', { ...ociImage, mediaType: SCHEMA1_MEDIA_TYPES[0] }, 'schema 1'],
    ['schema 3', { ...ociImage, schemaVersion: 3 }, 'schemaVersion'],
    ['schema "2"', { ...ociImage, schemaVersion: '2' }, 'schemaVersion'],
    ['no schema', without(ociImage, 'schemaVersion'), 'schemaVersion'],
    ['a mediaType that is no string', { ...ociImage, mediaType: 7 }, 'mediaType'],
    ['no config', without(ociImage, 'config'), 'config'],
    ['no layers', without(ociImage, 'layers'), 'layers'],
    ['no manifests', without(ociIndex, 'manifests'), 'manifests'],
    ['manifests null', { ...ociIndex, manifests: null }, 'manifests'],
    ['layers as an object', { ...ociImage, layers: { 0: descriptor('x') } }, 'layers'],
    [
      'a descriptor without digest',
      { ...ociImage, layers: [without(descriptor('x'), 'digest')] },
      'layers.0.digest',
    ],
    [
      'a digest that climbs',
      { ...ociImage, layers: [{ ...descriptor('x'), digest: 'sha256:../../etc' }] },
      'layers.0.digest',
    ],
    [
      'a digest of another kind',
      { ...ociImage, config: { ...ociImage.config, digest: `md5:${'0'.repeat(32)}` } },
      'config.digest',
    ],
    ['a negative size', { ...ociImage, layers: [{ ...descriptor('x'), size: -1 }] }, 'layers.0.size'],
    ['half a byte', { ...ociImage, layers: [{ ...descriptor('x'), size: 1.5 }] }, 'layers.0.size'],
    [
      'a size nobody can count',
      { ...ociImage, layers: [{ ...descriptor('x'), size: 2 ** 60 }] },
      'layers.0.size',
    ],
    ['a size in words', { ...ociImage, layers: [{ ...descriptor('x'), size: '10' }] }, 'layers.0.size'],
    [
      'a descriptor without type',
      { ...ociImage, layers: [without(descriptor('x'), 'mediaType')] },
      'layers.0.mediaType',
    ],
    [
      'a platform without OS',
      { ...ociIndex, manifests: [{ ...descriptor('x'), platform: { architecture: 'arm' } }] },
      'platform.os',
    ],
    ['a subject that is a string', { ...ociImage, subject: digestOf('x') }, 'subject'],
  ])('%s', (_what, document, reason) => {
    const { code, message } = refusal(document);
    expect(code).toBe('MANIFEST_INVALID');
    expect(message).toContain(reason);
    expect(message.startsWith('it: ')).toBe(true);
  });

  test('a long foreign type is not repeated whole', () => {
    const long = `application/${'x'.repeat(1_000_000)}`;
    expect(refusal({ ...ociImage, mediaType: long }).message.length).toBeLessThan(400);
    expect(refusal({ ...ociImage, mediaType: long }, MEDIA_TYPES.ociManifest).message.length).toBeLessThan(
      400,
    );
  });
});

describe('limits', () => {
  test('bytes: as large as allowed is read, one more is refused before anything else', () => {
    const padded = bytesOf(ociImage).toString().padEnd(LIMITS.manifestBytes, ' ');
    expect(parseManifest(Buffer.from(padded)).kind).toBe('image');
    expect(refusal(Buffer.from(`${padded} `)).code).toBe('MANIFEST_TOO_LARGE');
    expect(refusal(Buffer.alloc(LIMITS.manifestBytes + 1)).code).toBe('MANIFEST_TOO_LARGE');
  });

  test('descriptors: as many as allowed are read, one more is refused', () => {
    const layers = Array.from({ length: LIMITS.descriptors }, () => descriptor('x', 'a/b'));
    expect(referencedDescriptors(parse({ ...ociImage, layers }))).toHaveLength(LIMITS.descriptors + 1);
    expect(refusal({ ...ociImage, layers: [...layers, descriptor('x', 'a/b')] }).message).toContain('layers');
  });
});

describe('what a manifest gives', () => {
  test('its descriptors in order: config, then layers; or the children', () => {
    expect(referencedDescriptors(parse(ociImage))).toEqual([ociImage.config, ...ociImage.layers]);
    expect(referencedDescriptors(parse(ociIndex))).toEqual(ociIndex.manifests);
  });

  test('its own descriptor', () => {
    const bytes = bytesOf(dockerList);
    expect(descriptorOf(parseManifest(bytes))).toEqual({
      mediaType: MEDIA_TYPES.dockerManifestList,
      digest: digestOf(bytes),
      size: bytes.length,
    });
  });

  test('one that is built has the same bytes each time, and reads back', () => {
    const document = parse(ociIndex).document;
    const built = buildManifest(document);
    expect(built.bytes).toEqual(buildManifest(structuredClone(document)).bytes);
    expect(built.document).toEqual(document);
    expect(Buffer.from(built.bytes).toString()).not.toMatch(/\s/);
  });

  test('what cannot be read back cannot be built', () => {
    const wrong = { ...parse(ociImage).document, schemaVersion: 1 } as never;
    expect(() => buildManifest(wrong)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }));
  });
});

describe('for all input', () => {
  /** Documents that are nearly right: each field kept, lost, or replaced by anything. */
  const fields = Object.entries({
    ...ociIndex,
    ...ociImage,
    subject: ociImage.config,
    annotations: {},
    fsLayers: [],
  });
  const broken = fc.tuple(
    ...fields.map(([name, value]) =>
      fc.oneof(
        { weight: 4, arbitrary: fc.constant<[string, unknown]>([name, value]) },
        { weight: 4, arbitrary: fc.constant<[string, unknown]>(['_', 0]) },
        fc.jsonValue().map((any): [string, unknown] => [name, any]),
      ),
    ),
  );
  const contentType = fc.option(
    fc.constantFrom(...Object.values(MEDIA_TYPES), ...SCHEMA1_MEDIA_TYPES, 'a/b', ''),
    {
      nil: undefined,
    },
  );

  test('a nearly right document is read or refused with a word of ours; what is read is of one kind', () => {
    fc.assert(
      fc.property(broken, contentType, (entries, type) => {
        const document: Json = Object.fromEntries(entries);
        try {
          const manifest = parse(document, type);
          expect('manifests' in document).toBe(manifest.kind === 'index');
          expect('layers' in document).toBe(manifest.kind === 'image');
        } catch (error) {
          if (!isRegopsError(error, 'MANIFEST_INVALID')) throw error;
          expect(error.message.length).toBeLessThan(800);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('any bytes are refused with a word of ours', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          expect(refusal(bytes).code).toBe('MANIFEST_INVALID');
        },
      ),
      { numRuns: 500 },
    );
  });
});
