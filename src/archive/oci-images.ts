import { type Log, messageOf, RegopsError } from '../base/index.ts';
import { z } from '../base/schema.ts';
import {
  type Descriptor,
  type Digest,
  type IndexDocument,
  isManifestMediaType,
  LIMITS,
  parseManifest,
} from '../oci/index.ts';
import type { DockerEntry } from './docker-images.ts';
import { invalidArchive } from './failures.ts';
import type { ArchiveImage } from './model.ts';
import { type ArchiveFiles, readWhole } from './stored-file.ts';
import { StoredNames } from './stored-names.ts';

/** The two files that make a folder or tar an OCI layout (image spec, image-layout.md). */
const LAYOUT_FILE = 'oci-layout';
const INDEX_FILE = 'index.json';

const layoutSchema = z.object({ imageLayoutVersion: z.string().check(z.maxLength(64)) });

/**
 * The index.json of a layout; undefined when the files are no OCI layout at all.
 * Throws ARCHIVE_INVALID, ARCHIVE_UNSUPPORTED (another layout version), MANIFEST_INVALID.
 */
export async function readLayoutIndex(files: ArchiveFiles): Promise<IndexDocument | undefined> {
  const layout = files.find(LAYOUT_FILE);
  const index = files.find(INDEX_FILE);
  if (!layout || !index) return undefined;
  checkVersion(files, await readWhole(files, layout, LIMITS.manifestBytes));
  const what = `${files.path}: ${INDEX_FILE}`;
  const manifest = parseManifest(await readWhole(files, index, LIMITS.manifestBytes), { what });
  if (manifest.kind !== 'index') throw invalidArchive(files.path, `${INDEX_FILE} is an image, not an index`);
  return manifest.document;
}

function checkVersion(files: ArchiveFiles, bytes: Buffer): void {
  let version: string | undefined;
  try {
    version = layoutSchema.safeParse(JSON.parse(bytes.toString('utf8'))).data?.imageLayoutVersion;
  } catch (error) {
    throw invalidArchive(files.path, `${LAYOUT_FILE} is not JSON (${messageOf(error)})`);
  }
  if (version === undefined) throw invalidArchive(files.path, `${LAYOUT_FILE} has no imageLayoutVersion`);
  if (!version.startsWith('1.')) {
    throw new RegopsError(
      'ARCHIVE_UNSUPPORTED',
      `${files.path}: OCI layout version ${version}, only 1.x is known`,
    );
  }
}

/**
 * The images of a layout: one per digest in its index, with the names of all entries for it and, where
 * docker save wrote a manifest.json beside it, the tags of that. An index stays one image.
 */
export async function readOciImages(
  files: ArchiveFiles,
  index: IndexDocument,
  dockerEntries: readonly DockerEntry[],
  options: { signal?: AbortSignal | undefined; log?: Log | undefined },
): Promise<ArchiveImage[]> {
  const roots = new Map<Digest, Descriptor[]>();
  // image-layout.md: an unknown media type in index.json is no error.
  const passedOver = new Set<string>();
  for (const descriptor of index.manifests) {
    const entries = roots.get(descriptor.digest);
    if (!isManifestMediaType(descriptor.mediaType)) passedOver.add(descriptor.mediaType);
    else if (entries) entries.push(descriptor);
    else roots.set(descriptor.digest, [descriptor]);
  }
  const names = new StoredNames(files, roots, dockerEntries, options.signal);
  const images: ArchiveImage[] = [];
  for (const [digest, [root]] of roots) {
    if (!root) continue;
    images.push({ index: images.length, names: await names.of(digest), content: { kind: 'oci', root } });
  }
  warn(options.log, `${files.path}: ${INDEX_FILE} has entries of an unknown type`, [...passedOver]);
  warn(options.log, `${files.path}: in manifest.json but not in ${INDEX_FILE}`, names.unclaimed());
  return images;
}

const LISTED_IN_WARNINGS = 5;

function warn(log: Log | undefined, what: string, which: readonly string[]): void {
  if (which.length === 0) return;
  const more = which.length > LISTED_IN_WARNINGS ? ` and ${which.length - LISTED_IN_WARNINGS} more` : '';
  log?.warn(`${what}, left out: ${which.slice(0, LISTED_IN_WARNINGS).join(', ')}${more}`);
}
