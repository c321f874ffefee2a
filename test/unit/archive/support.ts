import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { afterEach, expect } from 'vitest';
import { type Archive, type OpenOptions, openArchive } from '../../../src/archive/index.ts';
import type { ErrorCode } from '../../../src/base/index.ts';

/** Opens archives that are closed when the test ends. */
export function useArchives(): (path: string, options?: OpenOptions) => Promise<Archive> {
  const opened: Archive[] = [];
  afterEach(async () => {
    for (const archive of opened.splice(0)) await archive.close();
  });
  return async (path, options) => {
    const archive = await openArchive(path, options);
    opened.push(archive);
    return archive;
  };
}

/** All bytes of a stream. */
export async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** What a failed promise must look like; `says` are parts of its message and hints. */
export function failure(code: ErrorCode, ...says: string[]): unknown {
  return expect.toSatisfy((thrown: { code?: string; message?: string; hints?: readonly string[] }) => {
    expect(thrown).toMatchObject({ code });
    const text = [thrown.message, ...(thrown.hints ?? [])].join('\n');
    for (const part of says) expect(text).toContain(part);
    return true;
  });
}
