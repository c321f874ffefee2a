import { z } from 'zod';
import { type Digest, isDigest } from './digest.ts';
import { platformSchema } from './platform.ts';

/** A digest inside foreign JSON. */
export const digestSchema = z.custom<Digest>(isDigest, { error: 'not a valid digest' });

/** The largest blob anyone may claim: what JavaScript can count exactly. */
const sizeSchema = z.int().min(0);

/** Annotations are strings; anything else is dropped rather than refused (registries store it happily). */
const annotationsSchema = z
  .record(z.string(), z.unknown())
  .transform((all) =>
    Object.fromEntries(
      Object.entries(all).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    ),
  );

/** A content descriptor (OCI image spec, descriptor.md). `urls` are read but never followed (CVE-2020-15157). */
export const descriptorSchema = z.object({
  mediaType: z.string().min(1).max(255),
  digest: digestSchema,
  size: sizeSchema,
  urls: z.array(z.string()).optional(),
  annotations: annotationsSchema.optional(),
  platform: platformSchema.optional(),
  artifactType: z.string().max(255).optional(),
  data: z.string().optional(),
});

export type Descriptor = Readonly<z.infer<typeof descriptorSchema>>;
export { annotationsSchema };
