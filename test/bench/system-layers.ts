/** Layers of real files for benchmarks: pseudo-random bytes compress neither like programs nor like text. */
import { createReadStream } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { measure, type TestLayer } from '../support/image-archives.ts';

const ROOTS = ['/usr/lib', '/usr/bin', '/usr/share'];

/** A file may be so large a part of its layer: one program more must not make a layer twice as large as the others. */
const LARGEST_PART = 1 / 8;

interface SystemFile {
  /** Its name in the layer. */
  readonly name: string;
  readonly path: string;
  readonly size: number;
}

/** So many layers of about so many bytes each, of files under /usr; where those do not suffice, under other names again. */
export async function systemLayers(count: number, bytes: number): Promise<TestLayer[]> {
  const layers: TestLayer[] = [];
  let files: SystemFile[] = [];
  let size = 0;
  for (let pass = 0; layers.length < count; pass++) {
    for await (const { path, size: fileSize } of systemFiles(bytes * LARGEST_PART)) {
      files.push({ path, size: fileSize, name: pass === 0 ? path.slice(1) : `copy-${pass}${path}` });
      size += fileSize;
      if (size < bytes) continue;
      layers.push(await layerOf(files));
      if (layers.length === count) break;
      files = [];
      size = 0;
    }
    if (layers.length === 0 && files.length === 0) throw new Error('there are no files to make layers of');
  }
  return layers;
}

async function* systemFiles(maxSize: number): AsyncGenerator<Omit<SystemFile, 'name'>> {
  for (const root of ROOTS) {
    for await (const entry of await opendir(root, { recursive: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const { size } = await stat(path);
      if (size > 0 && size <= maxSize) yield { path, size };
    }
  }
}

async function layerOf(files: readonly SystemFile[]): Promise<TestLayer> {
  const open = (): Readable => tarOf(files) as unknown as Readable;
  const plain = await measure(open);
  return {
    ...plain,
    async packed(compression) {
      if (compression !== 'none') throw new Error('the benchmarks let the contenders compress');
      return plain;
    },
  };
}

function tarOf(files: readonly SystemFile[]): ReturnType<typeof pack> {
  const tar = pack();
  const fill = async (): Promise<void> => {
    for (const { name, path, size } of files) {
      await pipeline(
        createReadStream(path, { end: size - 1 }),
        tar.entry({ name, size, mtime: new Date(0) }),
      );
    }
    tar.finalize();
  };
  fill().catch((error: Error) => tar.destroy(error));
  return tar;
}
