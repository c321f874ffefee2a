/**
 * Damage to whole archives, as fast-check draws it: of bytes and blocks, and of the structure (members dropped, doubled,
 * renamed, relinked; numbers and documents inside them changed, with headers that are right again). Shares no code
 * with src/archive.
 */
import fc from 'fast-check';
import { rawHeader, rawMember, TAR_BLOCK, TAR_END } from './tar-writer.ts';

/** Makes another archive of one; gives it back as it is where there is nothing to change. */
export type Damage = (archive: Buffer) => Buffer;

/** Any few damages, one after the other. */
export function anyDamage(): fc.Arbitrary<Damage> {
  const one = fc.oneof(ofBytes(), ofBlocks(), ofMembers());
  return fc
    .array(one, { minLength: 1, maxLength: 3 })
    .map((all) => (archive: Buffer) => all.reduce((bytes, damage) => damage(bytes), archive));
}

/** Damage of bytes: for packed archives, which have no blocks. */
export function ofBytes(): fc.Arbitrary<Damage> {
  const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }).map(
    (spots): Damage =>
      (archive) => {
        const bytes = Buffer.from(archive);
        for (const [at, value] of spots) bytes[at % bytes.length] = value;
        return bytes;
      },
  );
  const cut = fc.nat().map(
    (at): Damage =>
      (archive) =>
        archive.subarray(0, at % archive.length),
  );
  const removed = fc.tuple(fc.nat(), fc.nat(2000)).map(
    ([at, length]): Damage =>
      (archive) => {
        const from = at % archive.length;
        return Buffer.concat([archive.subarray(0, from), archive.subarray(from + length)]);
      },
  );
  return fc.oneof(flips, cut, removed);
}

function ofBlocks(): fc.Arbitrary<Damage> {
  const pair = fc.tuple(fc.nat(), fc.nat());
  const withBlocks = (change: (blocks: Buffer[], one: number, other: number) => void) =>
    pair.map(
      ([one, other]): Damage =>
        (archive) => {
          const blocks = Array.from({ length: Math.floor(archive.length / TAR_BLOCK) }, (_, at) =>
            archive.subarray(at * TAR_BLOCK, (at + 1) * TAR_BLOCK),
          );
          if (blocks.length === 0) return archive;
          change(blocks, one % blocks.length, other % blocks.length);
          return Buffer.concat(blocks);
        },
    );
  return fc.oneof(
    withBlocks((blocks, one, other) => {
      [blocks[one], blocks[other]] = [blocks[other] as Buffer, blocks[one] as Buffer];
    }),
    withBlocks((blocks, one, other) => void blocks.splice(other, 0, blocks[one] as Buffer)),
    withBlocks((blocks, one) => void blocks.splice(one, 1)),
    withBlocks((blocks, one) => void blocks.splice(one, 1, Buffer.alloc(TAR_BLOCK))),
  );
}

interface Member {
  readonly name: string;
  readonly type: string;
  readonly linkName: string;
  readonly content: Buffer;
  /** What its header claims, if not the content's length. */
  readonly size?: number;
}

/** The members of a tar that ustar alone describes; what looks otherwise ends the reading. */
function membersOf(archive: Buffer): Member[] {
  const members: Member[] = [];
  for (let at = 0; at + TAR_BLOCK <= archive.length; ) {
    const text = (from: number, length: number): string =>
      archive.toString('utf8', at + from, at + from + length).replace(/\0.*$/s, '');
    const size = Number.parseInt(text(124, 12), 8);
    if (text(257, 5) !== 'ustar' || !Number.isSafeInteger(size)) break;
    const prefix = text(345, 155);
    const content = archive.subarray(at + TAR_BLOCK, at + TAR_BLOCK + size);
    members.push({
      name: prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`,
      type: text(156, 1) || '0',
      linkName: text(157, 100),
      content,
    });
    at += TAR_BLOCK + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
  return members;
}

function tarOfMembers(members: readonly Member[]): Buffer {
  const parts = members.map(({ name, type, linkName, content, size = content.length }) =>
    rawMember(rawHeader({ name, type, linkName, size }), content),
  );
  return Buffer.concat([...parts, TAR_END]);
}

function ofMembers(): fc.Arbitrary<Damage> {
  const names = fc.constantFrom(
    'manifest.json',
    'index.json',
    'oci-layout',
    '../x',
    '/etc/passwd',
    './',
    'a',
    '\0',
    'blobs/sha256',
  );
  const change = fc.oneof(
    fc.constant((): Member[] => []),
    fc.constant((member: Member): Member[] => [member, member]),
    fc.uint8Array({ maxLength: 600 }).map((bytes) => (member: Member): Member[] => [
      member,
      { ...member, content: Buffer.from(bytes) },
    ]),
    names.map((name) => (member: Member): Member[] => [{ ...member, name }]),
    fc
      .tuple(fc.constantFrom('0', '1', '2', '3', '5', '7', 'S', 'L', 'K', 'x', 'g', 'V'), names)
      .map(([type, linkName]) => (member: Member): Member[] => [{ ...member, type, linkName }]),
    fc.nat(8 ** 11 - 1).map((size) => (member: Member): Member[] => [{ ...member, size }]),
    documentChange().map((edit) => (member: Member): Member[] => [
      { ...member, content: edit(member.content) },
    ]),
  );
  return fc.tuple(fc.nat(), change).map(
    ([at, edit]): Damage =>
      (archive) => {
        const members = membersOf(archive);
        if (members.length === 0) return archive;
        const chosen = at % members.length;
        return tarOfMembers(
          members.flatMap((member, position) => (position === chosen ? edit(member) : [member])),
        );
      },
  );
}

/** Changes one value somewhere in a JSON document; other content stays. */
function documentChange(): fc.Arbitrary<(content: Buffer) => Buffer> {
  const value = fc.oneof(
    fc.constantFrom<unknown>(null, true, -1, 0, 2 ** 60, 1.5, '', 'x'.repeat(5000), [], {}, [[[[]]]]),
    fc.constantFrom(
      'sha256:..',
      `sha256:${'0'.repeat(64)}`,
      `sha512:${'0'.repeat(128)}`,
      '\u001b[31m',
      '../../etc/passwd',
    ),
    fc.json({ maxDepth: 3 }).map((text) => JSON.parse(text) as unknown),
  );
  return fc
    .tuple(fc.array(fc.nat(), { maxLength: 6 }), value, fc.boolean())
    .map(([path, put, raw]) => (content) => {
      try {
        const document: unknown = JSON.parse(content.toString('utf8'));
        const text = JSON.stringify(replaced(document, path, put));
        return Buffer.from(raw ? text.replace('{', '{"__proto__":{"x":1},') : text);
      } catch {
        return content;
      }
    });
}

function replaced(node: unknown, [step, ...rest]: readonly number[], put: unknown): unknown {
  if (step === undefined || typeof node !== 'object' || node === null) return put;
  const keys = Object.keys(node);
  if (keys.length === 0) return put;
  const key = keys[step % keys.length] as string;
  const child = replaced((node as Record<string, unknown>)[key], rest, put);
  return Array.isArray(node)
    ? node.map((one, at) => (String(at) === key ? child : one))
    : { ...node, [key]: child };
}
