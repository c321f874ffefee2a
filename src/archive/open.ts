import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { type Log, RegopsError, throwIfAborted } from '../base/index.ts';
import type { Digest, LayerCompression } from '../oci/index.ts';
import { findBlob } from './blobs.ts';
import { detectPacking, type ExpansionLimit, MAGIC_BYTES } from './compression.ts';
import { readDockerImages, readDockerManifest } from './docker-images.ts';
import { invalidArchive, quoted, readFailure } from './failures.ts';
import type { SendAhead } from './kept-files.ts';
import { LayoutFolder } from './layout-folder.ts';
import type { Archive, ArchiveFormat, ArchiveImage, BlobSource } from './model.ts';
import { readLayoutIndex, readOciImages } from './oci-images.ts';
import { RandomAccessFile, RangeStream } from './random-access-file.ts';
import { spool } from './spool.ts';
import type { ArchiveFiles } from './stored-file.ts';
import { TarIndex } from './tar-index.ts';
import { indexTar } from './tar-scan.ts';

export interface OpenOptions {
  /** What `-` reads. */
  readonly stdin?: Readable | undefined;
  /** What that is called in messages; default: standard input. */
  readonly stdinName?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Where a stream or a compressed file is spooled; default: the system's folder for temporary files. */
  readonly tempDir?: string | undefined;
  readonly log?: Log | undefined;
  /** Told the bytes read from a source that has to be spooled, since the last call. */
  readonly onSpool?: ((bytes: number) => void) | undefined;
  /** How far a compressed archive may grow; default: EXPANSION_LIMIT. */
  readonly expansion?: ExpansionLimit | undefined;
  /** Takes what is large of a pipe while it passes, so that it needs no temporary file; see {@link openArchive}. */
  readonly sendAhead?: SendAhead | undefined;
}

/** What `-` is, in messages. */
export const STDIN_NAME = 'standard input';

/**
 * Opens an image archive where it lies: a docker-archive (old layout or docker ≥ 25), an oci-archive, an
 * OCI layout folder; the tars also gzip- or zstd-compressed, from a pipe, or from stdin (`-`). A plain tar
 * and a folder are read in place; what cannot be read by position is first spooled into a private
 * temporary file that goes with the process. Of a pipe, what `sendAhead` takes is not: it passes once, and opening
 * it later is up to who took it. Close the archive when done.
 *
 * @throws USAGE for `-` without a pipe or file, FILE_NOT_FOUND, ARCHIVE_INVALID, ARCHIVE_UNSUPPORTED,
 * MANIFEST_INVALID, MANIFEST_TOO_LARGE, DIGEST_MISMATCH, IO_FAILED, INTERRUPTED
 */
export async function openArchive(path: string, options: OpenOptions = {}): Promise<Archive> {
  throwIfAborted(options.signal);
  const { files, compression } = await openFiles(path, options);
  try {
    return await readArchive(path, files, compression, options);
  } catch (error) {
    await files.close();
    throw error;
  }
}

interface OpenedFiles {
  readonly files: ArchiveFiles;
  readonly compression: LayerCompression;
}

async function openFiles(path: string, options: OpenOptions): Promise<OpenedFiles> {
  if (path === '-') {
    if (!options.stdin) throw new RegopsError('USAGE', 'there is no standard input to read an archive from');
    const name = options.stdinName ?? STDIN_NAME;
    if ((options.stdin as { readonly isTTY?: boolean }).isTTY) {
      throw new RegopsError('USAGE', `${name} is a terminal, not an archive`, {
        hints: ['Pipe one in: docker save IMAGE | regops … -'],
      });
    }
    const file = await fileBehind(options.stdin, name);
    return file ? openFile(file, name, options) : spool(options.stdin, name, options);
  }
  const found = await stat(path).catch((error: unknown) => {
    throw readFailure(path, error);
  });
  if (found.isDirectory()) return { files: await LayoutFolder.open(path), compression: 'none' };
  // A named pipe, or /dev/fd/63 of a shell's <( … ).
  if (!found.isFile()) return spool(createReadStream(path), path, options);

  return openFile(await RandomAccessFile.open(path), path, options);
}

/** The file that a shell has put in standard input's place (`< file.tar`): it can be read where it lies. */
async function fileBehind(stdin: Readable, name: string): Promise<RandomAccessFile | undefined> {
  if ((stdin as { readonly fd?: number }).fd !== 0) return undefined;
  const path = '/dev/stdin';
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? RandomAccessFile.open(path, name).catch(() => undefined) : undefined;
}

async function openFile(file: RandomAccessFile, path: string, options: OpenOptions): Promise<OpenedFiles> {
  try {
    if (detectPacking(await file.read(0, MAGIC_BYTES)) === 'none') {
      if (file.size === 0) throw invalidArchive(path, 'it is empty');
      return { files: await indexTar(file, options), compression: 'none' };
    }
    const whole = new RangeStream(
      quoted(path),
      async () => ({ file, release: async () => {} }),
      0,
      file.size,
    );
    const opened = await spool(whole, path, { ...options, sendAhead: undefined });
    await file.close();
    return opened;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readArchive(
  path: string,
  files: ArchiveFiles,
  outerCompression: LayerCompression,
  options: OpenOptions,
): Promise<Archive> {
  const isFolder = files instanceof LayoutFolder;
  const docker = await readDockerManifest(files);
  const index = await readLayoutIndex(files);
  // Docker from 25 on writes both; the index keeps the digests, manifest.json knows the familiar names.
  const images =
    index && (index.manifests.length > 0 || !docker)
      ? await readOciImages(files, index, docker ?? [], options)
      : docker && !isFolder
        ? await readDockerImages(files, docker, options.signal)
        : undefined;
  if (!images) throw neitherKind(files);
  if (images.length === 0) throw invalidArchive(files.path, 'there is no image in it');
  const format = isFolder ? 'oci-layout' : docker ? 'docker-archive' : 'oci-archive';
  return new OpenedArchive(path, files, format, outerCompression, images);
}

class OpenedArchive implements Archive {
  readonly path: string;
  readonly format: ArchiveFormat;
  readonly outerCompression: LayerCompression;
  readonly images: readonly ArchiveImage[];
  readonly #files: ArchiveFiles;

  constructor(
    path: string,
    files: ArchiveFiles,
    format: ArchiveFormat,
    outerCompression: LayerCompression,
    images: readonly ArchiveImage[],
  ) {
    this.path = path;
    this.#files = files;
    this.format = format;
    this.outerCompression = outerCompression;
    this.images = images;
  }

  blob(digest: Digest): BlobSource | undefined {
    return findBlob(this.#files, digest);
  }

  async close(): Promise<void> {
    await this.#files.close();
  }
}

/** Says what was found, and what it looks like, when that is a known mistake. */
function neitherKind(files: ArchiveFiles): RegopsError {
  const names = files.someNames();
  const found = names.length === 0 ? 'it is empty' : `it begins with ${names.map(quoted).join(', ')}`;
  if (files instanceof LayoutFolder) {
    return invalidArchive(files.path, `not an OCI layout: it has no oci-layout and index.json (${found})`, [
      'Of folders only OCI layouts are read. An unpacked docker save: tar -C FOLDER -c . | regops … -',
    ]);
  }
  return invalidArchive(
    files.path,
    `not an image archive: it has neither manifest.json nor oci-layout and index.json (${found})`,
    files instanceof TarIndex ? likelyMistake(files) : [],
  );
}

function likelyMistake(tar: TarIndex): readonly string[] {
  for (const name of tar.members.keys()) {
    const [folder, file, ...deeper] = name.split('/');
    if (deeper.length === 0 && (file === 'manifest.json' || file === 'oci-layout')) {
      return [`The image lies in the folder ${quoted(folder ?? '')}: pack that with tar -C FOLDER -c .`];
    }
  }
  const topLevel = new Set(Array.from(tar.members.keys(), (name) => name.split('/', 1)[0]));
  return topLevel.has('.dockerenv') || (topLevel.has('etc') && topLevel.has('usr'))
    ? ['It looks like a container’s file system (docker export); save the image with docker save.']
    : [];
}
