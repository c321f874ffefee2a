/**
 * Image archives that no honest tool would write, byte by byte: each a sound one with one thing wrong. Shares no
 * code with src/archive, which it bears witness against.
 */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { makeImage, type TestImage, treeOf } from './image-archives.ts';
import {
  base256,
  gnuLong,
  paxHeader,
  rawHeader,
  rawMember,
  TAR_BLOCK,
  TAR_END,
  tarHeader,
} from './tar-writer.ts';

/** A member of an archive that is made: its header blocks, and its content. */
export interface HostileMember {
  readonly name: string;
  readonly type?: string;
  readonly linkName?: string;
  readonly content?: Buffer | string;
  /** Header blocks in place of those that fit. */
  readonly header?: Buffer;
}

/** A small tar of these members; without its end when `end` is false. */
export function tarFrom(members: readonly HostileMember[], end = true): Buffer {
  const blocks = members.map(({ content = '', header, ...entry }) => {
    const bytes = Buffer.from(content);
    return rawMember(header ?? tarHeader({ ...entry, size: bytes.length }), bytes);
  });
  return Buffer.concat([...blocks, ...(end ? [TAR_END] : [])]);
}

/** What a sound archive is made of. */
export interface SoundParts {
  readonly image: TestImage;
  readonly config: Buffer;
  /** The plain layer. */
  readonly layer: Buffer;
  /** Every blob of the image as a layout holds it (layers gzip-compressed), by digest. */
  readonly blobs: ReadonlyMap<string, Buffer>;
  /** The descriptor of its manifest. */
  readonly root: { readonly mediaType: string; readonly digest: string; readonly size: number };
}

/** The parts of an image `app:1` with one small layer. */
export async function soundParts(): Promise<SoundParts> {
  const image = await makeImage({ seed: 'hostile', names: ['app:1'], layers: [{ size: 1500, files: 1 }] });
  const { root, blobs } = await treeOf(image);
  const [layer] = image.layers;
  if (!layer) throw new Error('no layer');
  const held = new Map<string, Buffer>();
  for (const [digest, blob] of blobs) held.set(digest, await bytesOf(blob.open()));
  return { image, config: image.config, layer: await bytesOf(layer.open()), blobs: held, root };
}

async function bytesOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

export function sha256(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Where a layout holds a blob. */
export function blobName(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** A docker-archive's members, with these in place of those of the same name, or beside them. */
export function dockerMembers(
  parts: SoundParts,
  changes: {
    readonly manifest?: unknown;
    readonly config?: Buffer | string;
    readonly layer?: HostileMember;
    readonly first?: readonly HostileMember[];
    readonly last?: readonly HostileMember[];
  } = {},
): HostileMember[] {
  const { manifest = [DOCKER_ENTRY], config = parts.config } = changes;
  return [
    ...(changes.first ?? []),
    { name: 'config.json', content: config },
    changes.layer ?? { name: 'layer.tar', content: parts.layer },
    { name: 'manifest.json', content: typeof manifest === 'string' ? manifest : JSON.stringify(manifest) },
    ...(changes.last ?? []),
  ];
}

/** What manifest.json says of a sound image. */
export const DOCKER_ENTRY = { Config: 'config.json', RepoTags: ['app:1'], Layers: ['layer.tar'] };

const INDEX = 'application/vnd.oci.image.index.v1+json';

/** An oci-archive's members; `omit` names blobs that are left out, `replace` gives others other bytes. */
export function layoutMembers(
  parts: SoundParts,
  changes: {
    readonly index?: unknown;
    readonly layout?: string;
    readonly omit?: readonly string[];
    readonly replace?: ReadonlyMap<string, Buffer>;
    readonly more?: readonly HostileMember[];
  } = {},
): HostileMember[] {
  const { index = layoutIndex([parts.root]), omit = [], replace } = changes;
  return [
    { name: 'oci-layout', content: changes.layout ?? '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: typeof index === 'string' ? index : JSON.stringify(index) },
    ...[...parts.blobs]
      .filter(([digest]) => !omit.includes(digest))
      .map(([digest, bytes]) => ({ name: blobName(digest), content: replace?.get(digest) ?? bytes })),
    ...(changes.more ?? []),
  ];
}

/** An index.json that names the first of these `app:1`. */
export function layoutIndex(manifests: readonly object[]): object {
  const annotations = { 'org.opencontainers.image.ref.name': 'app:1' };
  return {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: manifests.map((one, at) => (at === 0 ? { ...one, annotations } : one)),
  };
}

/** Index over index, each naming the next `width` times: a tree of `width ** depth` images in a few kilobytes. */
export function indexTower(
  parts: SoundParts,
  shape: { readonly width: number; readonly depth: number },
): HostileMember[] {
  const more: HostileMember[] = [];
  let child: object = parts.root;
  for (let level = 0; level < shape.depth; level++) {
    const manifests = Array.from({ length: shape.width }, () => child);
    const content = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
    const digest = sha256(content);
    child = { mediaType: INDEX, digest, size: content.length };
    more.push({ name: blobName(digest), content });
  }
  return layoutMembers(parts, { index: layoutIndex([child]), more });
}

/** An index that names itself: its digest cannot be right. */
export function indexRing(parts: SoundParts): HostileMember[] {
  const digest = `sha256:${'a'.repeat(64)}`;
  const size = 300;
  const self = { mediaType: INDEX, digest, size };
  const text = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [self] });
  const more = [{ name: blobName(digest), content: text.padEnd(size) }];
  return layoutMembers(parts, { index: layoutIndex([self]), more });
}

/** A header whose size field is these twelve bytes, and content that somebody may take for more headers. */
function sized(name: string, sizeField: Buffer | string, content: Buffer): HostileMember {
  const field = Buffer.alloc(12);
  Buffer.from(sizeField as string, 'latin1').copy(field);
  return { name, header: rawHeader({ name, sizeField: field }), content };
}

/** A header behind an extended one with these records. */
function extended(name: string, records: Readonly<Record<string, string>>, content: Buffer): HostileMember {
  const header = Buffer.concat([paxHeader(records), rawHeader({ name, size: content.length })]);
  return { name, header, content };
}

/** Member headers that lie about sizes and names, each for a layer of a docker-archive. */
export function lyingLayers(layer: Buffer): Readonly<Record<string, HostileMember>> {
  const name = 'layer.tar';
  const huge = Buffer.alloc(12, 0xff);
  huge[0] = 0x80;
  return {
    'a negative size': sized(name, Buffer.alloc(12, 0xff), layer),
    'a base-256 size beyond counting': sized(name, huge, layer),
    'a base-256 size of exactly 2^53': sized(name, base256(2n ** 53n), layer),
    'an octal size of 8 GiB': sized(name, '77777777777\0', layer),
    'an octal size in all twelve digits': sized(name, '777777777777', layer),
    'a size that is no octal': sized(name, '00000000999\0', layer),
    'a size with a sign': sized(name, '-0000000001\0', layer),
    'a PAX size beyond the file': extended(name, { size: String(2 ** 40) }, layer),
    'a PAX size beyond counting': extended(name, { size: '9'.repeat(16) }, layer),
    'a negative PAX size': extended(name, { size: '-1' }, layer),
    'a PAX size in another notation': extended(name, { size: '1e3' }, layer),
    'a PAX size that ends inside the content': extended(name, { size: String(TAR_BLOCK + 1) }, layer),
    'a PAX record longer than its header': {
      name,
      header: Buffer.concat([
        rawMember(rawHeader({ name: 'x', type: 'x', size: 20 }), Buffer.from('9999999 path=a/b/cd\n')),
        rawHeader({ name, size: layer.length }),
      ]),
      content: layer,
    },
    'a long name of 2 MiB': {
      name,
      header: Buffer.concat([gnuLong('L', 'l'.repeat(2 ** 21)), rawHeader({ name, size: layer.length })]),
      content: layer,
    },
    'a PAX name of 2 MiB': extended(name, { path: 'p'.repeat(2 ** 21) }, layer),
    'a wrong checksum': {
      name,
      header: rawHeader({ name, size: layer.length, checksum: 1 }),
      content: layer,
    },
  };
}

/** Sparse members in every dialect: none of them may be read as if they were whole. */
export function sparseLayers(layer: Buffer): Readonly<Record<string, HostileMember>> {
  const name = 'layer.tar';
  return {
    'GNU’s own type': {
      name,
      header: rawHeader({ name, type: 'S', size: layer.length, magic: 'gnu' }),
      content: layer,
    },
    'PAX 0.0': extended(name, { 'GNU.sparse.numblocks': '1000000000', 'GNU.sparse.size': '1' }, layer),
    'PAX 0.1': extended(name, { 'GNU.sparse.map': '0,1,'.repeat(1000) }, layer),
    'PAX 1.0': extended(name, { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0' }, layer),
  };
}

const DIGITS = 9;
const COUNTED = rawHeader({ name: `m/${'0'.repeat(DIGITS)}${'9'.repeat(DIGITS)}`, size: 0 });

/**
 * A tar of `count` empty members after a sound head, made while it is read. Each name is a number and its nines'
 * complement, so that all of them have one checksum.
 */
export function* endlessMembers(head: readonly HostileMember[], count: number): Generator<Buffer> {
  yield tarFrom(head, false);
  const most = 10 ** DIGITS - 1;
  const batch = 2000;
  for (let made = 0; made < count; made += batch) {
    const headers = Buffer.alloc(Math.min(batch, count - made) * TAR_BLOCK, COUNTED);
    for (let at = 0; at * TAR_BLOCK < headers.length; at++) {
      const number = String(made + at).padStart(DIGITS, '0');
      headers.write(
        `${number}${String(most - made - at).padStart(DIGITS, '0')}`,
        at * TAR_BLOCK + 2,
        'latin1',
      );
    }
    yield headers;
  }
  yield TAR_END;
}

/** A gzip of zeros that grows a thousandfold, and the digest of what it grows to. */
export function zeroBomb(plainBytes: number): { readonly packed: Buffer; readonly plainDigest: string } {
  const zeros = Buffer.alloc(plainBytes);
  return { packed: gzipSync(zeros), plainDigest: sha256(zeros) };
}

/** The offsets of every block of a file, its end left out. */
export function blockOffsets(bytes: Buffer): number[] {
  return Array.from({ length: Math.ceil(bytes.length / TAR_BLOCK) }, (_, at) => at * TAR_BLOCK);
}
