import type { Readable } from 'node:stream';
import type { Descriptor, Digest, LayerCompression } from '../oci/index.ts';

/** Bytes that lie in the archive under a known digest. `open` may be called again and again; it verifies nothing by itself. */
export interface BlobSource {
  readonly digest: Digest;
  readonly size: number;
  open(): Readable;
}

/** A layer of an image that has no manifest of its own (docker-archive): known by the digest of its plain tar. */
export interface LayerSource {
  /** Digest of the uncompressed layer, as the image configuration promises it. */
  readonly diffId: Digest;
  /** How the stored bytes are packed; found by looking at them, not by their name. */
  readonly compression: LayerCompression;
  /** Length of the stored bytes. */
  readonly size: number;
  /**
   * Says which stored bytes these are on this machine, and changes when they do: what a cache may
   * remember them by. Absent when they lie in a temporary file.
   */
  readonly identity?: string;
  /** The stored bytes. Packing and verifying a layer uses its chunks up: nobody else may keep one of them. */
  open(): Readable;
}

/** An image whose manifest must be made: the configuration and the layers of a docker-archive. */
export interface DockerContent {
  readonly kind: 'docker';
  readonly config: BlobSource;
  readonly layers: readonly LayerSource[];
}

/** An image or index whose manifest is in the archive: every digest is kept. */
export interface OciContent {
  readonly kind: 'oci';
  readonly root: Descriptor;
}

/** One image of an archive, as `--image NAME|@N` chooses it. */
export interface ArchiveImage {
  /** Position in the archive, from 0: `@N`. */
  readonly index: number;
  /**
   * Names stored with it, exactly as written: `alpine:3`, `localhost:5000/team/app:1`, or just `latest`
   * (a bare OCI ref.name). Of names that mean the same reference only one is kept.
   */
  readonly names: readonly string[];
  readonly content: DockerContent | OciContent;
}

export type ArchiveFormat = 'docker-archive' | 'oci-archive' | 'oci-layout';

/** An opened archive: images in their order, blobs by digest. Close it when done. */
export interface Archive {
  readonly path: string;
  readonly format: ArchiveFormat;
  /** Packing of the whole file. */
  readonly outerCompression: LayerCompression;
  readonly images: readonly ArchiveImage[];
  /**
   * A blob of the archive's OCI part; undefined when it is not there (sparse archives of `docker save`).
   * Throws ARCHIVE_INVALID when it is a link that leads out of the archive or runs in a circle.
   */
  blob(digest: Digest): BlobSource | undefined;
  close(): Promise<void>;
}
