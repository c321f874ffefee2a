/** Layers of real files for benchmarks: pseudo-random bytes compress neither like programs nor like text. */
import { createReadStream } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { measure, type TestLayer } from '../support/image-archives.ts';

const ROOTS = ['/usr/lib', '/usr/bin', '/usr/share'];

interface SystemFile {
  readonly path: string;
  readonly size: number;
}

/** So many layers of about so many bytes each, of files under /usr; fewer bytes where there are not enough. */
export async function systemLayers(count: number, bytes: number): Promise<TestLayer[]> {
  const layers: TestLayer[] = [];
  let files: SystemFile[] = [];
  let size = 0;
  for await (const file of systemFiles()) {
    files.push(file);
    size += file.size;
    if (size < bytes) continue;
    layers.push(await layerOf(files));
    if (layers.length === count) return layers;
    files = [];
    size = 0;
  }
  if (files.length > 0) layers.push(await layerOf(files));
  return layers;
}

async function* systemFiles(): AsyncGenerator<SystemFile> {
  for (const root of ROOTS) {
    for await (const entry of await opendir(root, { recursive: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const { size } = await stat(path);
      if (size > 0) yield { path, size };
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
    for (const { path, size } of files) {
      await pipeline(
        createReadStream(path, { end: size - 1 }),
        tar.entry({ name: path.slice(1), size, mtime: new Date(0) }),
      );
    }
    tar.finalize();
  };
  fill().catch((error: Error) => tar.destroy(error));
  return tar;
}
