/**
 * oci: the field's vocabulary and grammar, pure: references, digests, descriptors, media types,
 * manifests and indexes of both families, platforms, image configurations, and how large each may be.
 */
export { annotationsSchema, type Descriptor, descriptorSchema, digestSchema } from './descriptor.ts';
export * from './digest.ts';
export * from './image-config.ts';
export * from './limits.ts';
export * from './manifest.ts';
export * from './media-types.ts';
export * from './platform.ts';
export * from './reference.ts';
