/**
 * archive: reads image archives where they lie (docker-archive, oci-archive, OCI layout; plain, gzip or
 * zstd; file, pipe or stdin) and knows where each byte of them is; packs and verifies layers. Nothing is
 * ever extracted: names and links mean something only inside the archive, and every read is bounded. It
 * writes two files, a temporary one without a name (`spool.ts`) and the layer cache.
 */
export { plainLayer, readBlob, readManifest, readSource } from './blobs.ts';
export * from './compress.ts';
export { decompress, EXPANSION_LIMIT, type ExpansionLimit, layerPacking } from './compression.ts';
export { type SendAhead, type SentFile, type TemporaryCopy, temporaryCopy } from './kept-files.ts';
export * from './layer-cache.ts';
export * from './model.ts';
export { type OpenOptions, openArchive, STDIN_NAME } from './open.ts';
export { type Compressor, type Packer, parallelPacker } from './packer.ts';
export { type PassingFile, passTar } from './passing-tar.ts';
export { type TarFile, tarStream } from './tar-stream.ts';
