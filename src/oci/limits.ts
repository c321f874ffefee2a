/**
 * How much of anything foreign may be held in memory. Manifests: distribution and the spec ("at least
 * 4 MiB") agree on 4 MiB; the others follow containers/image's iolimits.
 */
export const LIMITS = {
  manifestBytes: 4 * 1024 * 1024,
  /** Image configurations with long histories and SBOM labels pass 4 MiB in the wild only by mistake. */
  configBytes: 8 * 1024 * 1024,
  /** A catalog or tag page: ten thousand names of 255 bytes, and room to spare. */
  listPageBytes: 8 * 1024 * 1024,
  tokenBytes: 1024 * 1024,
  errorBytes: 64 * 1024,
  /** Depth of indexes inside indexes. */
  indexDepth: 4,
  /** Entries of one index or layers of one image. */
  descriptors: 10_000,
} as const;
