import { z } from '../base/schema.ts';
import { type Digest, isDigest } from './digest.ts';
import { platformSchema } from './platform.ts';

/** A digest inside foreign JSON. */
export const digestSchema = z.custom<Digest>(isDigest, { error: 'not a valid digest' });

/** The largest blob anyone may claim: what JavaScript can count exactly. */
const sizeSchema = z.int().check(z.minimum(0));

/** Annotations are strings; anything else is dropped rather than refused (registries store it happily). */
const annotationsSchema = z.pipe(
  z.record(z.string(), z.unknown()),
  z.transform((all) =>
    Object.fromEntries(
      Object.entries(all).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    ),
  ),
);

/** A content descriptor (OCI image spec, descriptor.md). `urls` are read but never followed (CVE-2020-15157). */
export const descriptorSchema = z.object({
  mediaType: z.string().check(z.minLength(1), z.maxLength(255)),
  digest: digestSchema,
  size: sizeSchema,
  urls: z.optional(z.array(z.string())),
  annotations: z.optional(annotationsSchema),
  platform: z.optional(platformSchema),
  artifactType: z.optional(z.string().check(z.maxLength(255))),
  data: z.optional(z.string()),
});

export type Descriptor = Readonly<z.infer<typeof descriptorSchema>>;
export { annotationsSchema };
