/** What a dynamic ELF file says of its libraries. */
export interface ElfFile {
  readonly needed: readonly string[];
  readonly runPath?: string;
}

/**
 * A 64-bit shared object for x86-64 that has nothing in it but a dynamic section (System V ABI, "Dynamic Linking"):
 * the loader reads it, and looks for what it needs.
 */
export function elfLibrary({ needed, runPath }: ElfFile): Buffer {
  const names = [...needed, ...(runPath === undefined ? [] : [runPath])];
  const offsets: number[] = [];
  let strings = '\0';
  for (const name of names) {
    offsets.push(strings.length);
    strings += `${name}\0`;
  }
  const [header, programHeaders] = [64, 2 * 56];
  const symbols = header + programHeaders;
  const text = symbols + 24;
  const dynamic = Math.ceil((text + strings.length) / 8) * 8;
  const entries: [tag: number, value: number][] = [
    ...needed.map((_, at): [number, number] => [1, offsets[at] as number]),
    ...(runPath === undefined ? [] : [[29, offsets.at(-1) as number] as [number, number]]),
    ...([
      [5, text],
      [6, symbols],
      [10, strings.length],
      [11, 24],
      [0, 0],
    ] as [number, number][]),
  ];
  const size = dynamic + entries.length * 16;
  const file = Buffer.alloc(size);
  // The header: 64 bit, little-endian, ET_DYN, x86-64.
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(file);
  file.writeUInt16LE(3, 16);
  file.writeUInt16LE(62, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(2, 56);
  file.writeUInt16LE(64, 58);
  writeSegment(file, header, 1, 6, 0, size, 0x1000);
  writeSegment(file, header + 56, 2, 6, dynamic, entries.length * 16, 8);
  file.write(strings, text, 'latin1');
  for (const [at, [tag, value]] of entries.entries()) {
    file.writeBigUInt64LE(BigInt(tag), dynamic + at * 16);
    file.writeBigUInt64LE(BigInt(value), dynamic + at * 16 + 8);
  }
  return file;
}

function writeSegment(
  file: Buffer,
  at: number,
  type: number,
  flags: number,
  offset: number,
  size: number,
  align: number,
): void {
  file.writeUInt32LE(type, at);
  file.writeUInt32LE(flags, at + 4);
  for (const [field, value] of [offset, offset, offset, size, size, align].entries()) {
    file.writeBigUInt64LE(BigInt(value), at + 8 + field * 8);
  }
}
