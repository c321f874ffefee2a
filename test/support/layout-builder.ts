import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { blobPath } from './image-archives.ts';

export interface BuiltDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: unknown;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
}

/**
 * Builds an OCI layout folder document by document, for what no tool would write: attestations, foreign
 * layers, indexes in indexes, descriptors that lie. Shares no code with src/.
 */
export class LayoutBuilder {
  readonly #blobs = new Map<string, Buffer>();

  /** Adds content (an object as JSON) and gives its descriptor, with `extra` fields in it. */
  add(content: string | Buffer | object, mediaType: string, extra: object = {}): BuiltDescriptor {
    const bytes =
      typeof content === 'string' || Buffer.isBuffer(content)
        ? Buffer.from(content as string)
        : Buffer.from(JSON.stringify(content));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    this.#blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length, ...extra };
  }

  /** Content under a digest that is not its own. */
  corrupt(digest: string, content: Buffer): void {
    this.#blobs.set(digest, content);
  }

  bytesOf(digest: string): Buffer {
    const bytes = this.#blobs.get(digest);
    if (!bytes) throw new Error(`no blob ${digest}`);
    return bytes;
  }

  /** Writes the folder; blobs of `omit` are left out. */
  async write(
    folder: string,
    manifests: readonly BuiltDescriptor[],
    omit: readonly string[] = [],
  ): Promise<void> {
    for (const [digest, bytes] of this.#blobs) {
      if (omit.includes(digest)) continue;
      const path = join(folder, blobPath(digest));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
    }
    await mkdir(folder, { recursive: true });
    const index = { schemaVersion: 2, mediaType: TYPES.index, manifests };
    await writeFile(join(folder, 'index.json'), JSON.stringify(index));
    await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  }
}

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';

/** Media types by what they are for. */
export const TYPES = {
  manifest: `${OCI}.manifest.v1+json`,
  index: `${OCI}.index.v1+json`,
  config: `${OCI}.config.v1+json`,
  layer: `${OCI}.layer.v1.tar`,
  layerGzip: `${OCI}.layer.v1.tar+gzip`,
  layerZstd: `${OCI}.layer.v1.tar+zstd`,
  layerForeign: `${OCI}.layer.nondistributable.v1.tar+gzip`,
  empty: 'application/vnd.oci.empty.v1+json',
  dockerManifest: `${DOCKER}.distribution.manifest.v2+json`,
  dockerConfig: `${DOCKER}.container.image.v1+json`,
  dockerLayer: `${DOCKER}.image.rootfs.diff.tar`,
  dockerLayerGzip: `${DOCKER}.image.rootfs.diff.tar.gzip`,
} as const;

/** An image manifest with a configuration for the platform, added to the layout. */
export function addImage(
  layout: LayoutBuilder,
  spec: {
    readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
    readonly layers: readonly BuiltDescriptor[];
    readonly manifest?: object;
    readonly descriptor?: object;
    readonly config?: object;
  },
): BuiltDescriptor & { readonly config: BuiltDescriptor } {
  const platform = spec.platform ?? { os: 'linux', architecture: 'amd64' };
  const config = layout.add(
    {
      ...platform,
      rootfs: { type: 'layers', diff_ids: spec.layers.map((layer) => layer.digest) },
      ...spec.config,
    },
    TYPES.config,
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: TYPES.manifest,
    config,
    layers: spec.layers,
    ...spec.manifest,
  };
  return { ...layout.add(manifest, TYPES.manifest, { platform, ...spec.descriptor }), config };
}

/** An index of these, added to the layout. */
export function addIndex(
  layout: LayoutBuilder,
  children: readonly object[],
  extra: { readonly document?: object; readonly descriptor?: object } = {},
): BuiltDescriptor {
  const manifests = children.map((child) => {
    const { config: _, ...descriptor } = child as { config?: unknown };
    return descriptor;
  });
  return layout.add(
    { schemaVersion: 2, mediaType: TYPES.index, manifests, ...extra.document },
    TYPES.index,
    extra.descriptor,
  );
}
