import { messageOf, RegopsError } from '../base/index.ts';
import { z } from '../base/schema.ts';
import { digestSchema } from './descriptor.ts';
import { LIMITS } from './limits.ts';
import { describeIssue } from './manifest.ts';
import type { Platform } from './platform.ts';

const text = z.nullish(z.string());
const texts = z.nullish(z.array(z.string()));
/** Go's maps to nothing: their keys are what counts. */
const keys = z.nullish(z.record(z.string(), z.unknown()));

/** The parts of an image configuration (OCI image spec, config.md) that regops reads; the rest passes by. */
const imageConfigSchema = z.object({
  architecture: z.optional(z.string()),
  os: z.optional(z.string()),
  variant: z.optional(z.string()),
  'os.version': z.optional(z.string()),
  created: text,
  author: text,
  config: z.nullish(
    z.object({
      User: text,
      Env: texts,
      Entrypoint: texts,
      Cmd: texts,
      WorkingDir: text,
      ExposedPorts: keys,
      Volumes: keys,
      Labels: z.nullish(z.record(z.string(), z.string())),
      StopSignal: text,
    }),
  ),
  rootfs: z.object({
    type: z.string(),
    diff_ids: z.nullish(z.array(digestSchema).check(z.maxLength(LIMITS.descriptors))),
  }),
  history: z.nullish(
    z
      .array(
        z.object({
          created: text,
          created_by: text,
          comment: text,
          author: text,
          empty_layer: z.nullish(z.boolean()),
        }),
      )
      .check(z.maxLength(LIMITS.descriptors)),
  ),
});

export type ImageConfig = Readonly<z.infer<typeof imageConfigSchema>>;

/** The platform an image configuration says it is for; undefined when it does not say. */
export function platformOfConfig({ os, architecture, variant }: ImageConfig): Platform | undefined {
  return os && architecture ? { os, architecture, ...(variant ? { variant } : {}) } : undefined;
}

/** Reads an image configuration. Throws MANIFEST_TOO_LARGE or MANIFEST_INVALID; `what` names it there. */
export function parseImageConfig(bytes: Uint8Array, what = 'image configuration'): ImageConfig {
  if (bytes.length > LIMITS.configBytes) {
    throw new RegopsError('MANIFEST_TOO_LARGE', `${what}: larger than ${LIMITS.configBytes} bytes`);
  }
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw new RegopsError('MANIFEST_INVALID', `${what}: not JSON (${messageOf(error)})`);
  }
  const parsed = imageConfigSchema.safeParse(document);
  if (!parsed.success) throw new RegopsError('MANIFEST_INVALID', `${what}: ${describeIssue(parsed.error)}`);
  return parsed.data;
}
