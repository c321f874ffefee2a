/**
 * Writes tar headers byte by byte, sound ones and broken ones: tests need archives that no library would
 * write. Shares no code with src/archive, which it bears witness against.
 */

export const TAR_BLOCK = 512;

/** The two blocks of zeros an archive ends with. */
export const TAR_END = Buffer.alloc(2 * TAR_BLOCK);

export interface TarEntry {
  readonly name: string;
  /** Type flag; default `0`, a regular file. `1` hard link, `2` symlink, `5` directory. */
  readonly type?: string;
  /** Length that the header claims; default: the content's. */
  readonly size?: number;
  readonly linkName?: string;
  readonly mode?: number;
}

/**
 * How names longer than 100 bytes and sizes from 8 GiB on are written: `pax` as an extended header, `gnu`
 * as a long-name member and a base-256 size.
 */
export type TarDialect = 'pax' | 'gnu';

/**
 * One header block with any fields whatever, and the right checksum unless told otherwise. Text that is
 * too long for its field is cut.
 */
export function rawHeader(fields: {
  readonly name: string;
  readonly type?: string;
  readonly size?: number;
  /** The twelve bytes of the size field, in place of `size`. */
  readonly sizeField?: Buffer;
  readonly linkName?: string;
  readonly prefix?: string;
  readonly mode?: number;
  /** `ustar\0` + `00`, GNU's `ustar  \0`, or none as before 1988. Default: ustar. */
  readonly magic?: 'ustar' | 'gnu' | 'none';
  readonly checksum?: number;
}): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(fields.name, 0, 100);
  block.write(octal(fields.mode ?? 0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  if (fields.sizeField) fields.sizeField.copy(block, 124, 0, 12);
  else block.write(octal(fields.size ?? 0, 12), 124);
  block.write(octal(0, 12), 136);
  block.write(fields.type ?? '0', 156, 1, 'latin1');
  block.write(fields.linkName ?? '', 157, 100);
  const magic = { ustar: 'ustar\x0000', gnu: 'ustar  \0', none: '' }[fields.magic ?? 'ustar'];
  block.write(magic, 257, 'latin1');
  block.write(fields.prefix ?? '', 345, 155);
  block.fill(' ', 148, 156);
  const sum = fields.checksum ?? block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** Records of an extended header: `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
export function paxRecords(records: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(records).map(([key, value]) => {
      const rest = Buffer.from(` ${key}=${value}\n`);
      let length = rest.length;
      while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}

/** A member with its content, padded: a header of any kind and what follows it. */
export function rawMember(header: Buffer, content: Buffer): Buffer {
  return Buffer.concat([header, content, tarPadding(content.length)]);
}

/** An extended header (`x` for the next member, `g` for all that follow). */
export function paxHeader(records: Readonly<Record<string, string>>, type: 'x' | 'g' = 'x'): Buffer {
  const content = paxRecords(records);
  return rawMember(rawHeader({ name: 'PaxHeaders/0', type, size: content.length }), content);
}

/** A GNU long name (`L`) or long link (`K`) member. */
export function gnuLong(type: 'L' | 'K', text: string): Buffer {
  const content = Buffer.from(`${text}\0`);
  return rawMember(rawHeader({ name: '././@LongLink', type, size: content.length, magic: 'gnu' }), content);
}

/** A size as GNU writes it when octal is too short. */
export function base256(size: number | bigint): Buffer {
  const field = Buffer.alloc(12);
  field.writeBigUInt64BE(BigInt(size), 4);
  field[0] = 0x80;
  return field;
}

/** Everything that comes before a member's content. */
export function tarHeader(entry: TarEntry, dialect: TarDialect = 'pax'): Buffer {
  const { name, linkName = '', size = 0 } = entry;
  const longName = Buffer.byteLength(name) > 100;
  const longLink = Buffer.byteLength(linkName) > 100;
  const large = size >= 8 ** 11;
  const fields = {
    name,
    linkName,
    ...(entry.type === undefined ? {} : { type: entry.type }),
    ...(entry.mode === undefined ? {} : { mode: entry.mode }),
  };
  if (dialect === 'gnu') {
    return Buffer.concat([
      ...(longLink ? [gnuLong('K', linkName)] : []),
      ...(longName ? [gnuLong('L', name)] : []),
      rawHeader({ ...fields, magic: 'gnu', ...(large ? { sizeField: base256(size) } : { size }) }),
    ]);
  }
  const records = {
    ...(longName ? { path: name } : {}),
    ...(longLink ? { linkpath: linkName } : {}),
    ...(large ? { size: String(size) } : {}),
  };
  return Buffer.concat([
    ...(Object.keys(records).length > 0 ? [paxHeader(records)] : []),
    rawHeader({ ...fields, size: large ? 0 : size }),
  ]);
}

/** Zeros that fill a content's last block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK);
}

/** A small tar in memory. */
export function tarOf(
  entries: readonly (TarEntry & { readonly content?: Buffer | string })[],
  options: { readonly dialect?: TarDialect; readonly end?: boolean } = {},
): Buffer {
  const parts = entries.map(({ content = '', ...entry }) => {
    const bytes = Buffer.from(content);
    return rawMember(tarHeader({ size: bytes.length, ...entry }, options.dialect), bytes);
  });
  return Buffer.concat([...parts, ...(options.end === false ? [] : [TAR_END])]);
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`;
}
