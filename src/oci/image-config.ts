import { z } from 'zod';
import { messageOf, RegopsError } from '../base/index.ts';
import { digestSchema } from './descriptor.ts';
import { LIMITS } from './limits.ts';
import { describeIssue } from './manifest.ts';
import type { Platform } from './platform.ts';

/** The parts of an image configuration (OCI image spec, config.md) that regops reads; the rest passes by. */
const imageConfigSchema = z.object({
  architecture: z.string().optional(),
  os: z.string().optional(),
  variant: z.string().optional(),
  'os.version': z.string().optional(),
  created: z.string().nullish(),
  author: z.string().nullish(),
  config: z
    .object({
      User: z.string().nullish(),
      Env: z.array(z.string()).nullish(),
      Entrypoint: z.array(z.string()).nullish(),
      Cmd: z.array(z.string()).nullish(),
      WorkingDir: z.string().nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
      StopSignal: z.string().nullish(),
    })
    .nullish(),
  rootfs: z.object({ type: z.string(), diff_ids: z.array(digestSchema).max(LIMITS.descriptors).nullish() }),
  history: z
    .array(
      z.object({
        created: z.string().nullish(),
        created_by: z.string().nullish(),
        comment: z.string().nullish(),
        author: z.string().nullish(),
        empty_layer: z.boolean().nullish(),
      }),
    )
    .max(LIMITS.descriptors)
    .nullish(),
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
