import { z } from 'zod';

const optionalText = z.string().nullish();

/** What `POST /tasks/schedule` takes, as ALTS' pydantic models have it; unknown keys are ignored there too. */
const payloadSchema = z.object({
  runner_type: z.string().default('any'),
  dist_name: z.string(),
  dist_version: z.union([z.string(), z.number()]).transform(String),
  dist_arch: z.string(),
  package_name: z.string(),
  package_version: optionalText,
  repositories: z.array(z.object({ name: optionalText, baseurl: z.string() })).default([]),
  module_name: optionalText,
  module_stream: optionalText,
  module_version: optionalText,
  package_channel: z.enum(['stable', 'beta']).nullish(),
  test_configuration: z
    .object({
      tests: z
        .array(
          z.object({
            url: z.string(),
            test_dir: z.string(),
            git_ref: optionalText,
            tests_to_run: z.array(z.string()).nullish(),
          }),
        )
        .default([]),
      test_env: z.object({ extra_env_vars: z.array(z.string()).nullish() }).nullish(),
    })
    .nullish(),
});

/** A test as it was submitted. */
export type AltsPayload = Readonly<z.infer<typeof payloadSchema>>;

/** For a journal, which holds what was accepted before. */
export const storedPayloadSchema: z.ZodType<AltsPayload> = payloadSchema;

/** One fault of a request, as FastAPI tells it in a 422. */
export interface FieldFault {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
}

/** Reads the body of a request to schedule a test. */
export function readPayload(body: string): { payload: AltsPayload } | { faults: readonly FieldFault[] } {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    return { faults: [{ loc: ['body'], msg: 'JSON decode error', type: 'value_error.jsondecode' }] };
  }
  const { data, error } = payloadSchema.safeParse(document);
  if (data) return { payload: data };
  return {
    faults: error.issues.map(({ path, message, code }) => {
      const isMissing = code === 'invalid_type' && message.endsWith('received undefined');
      return {
        loc: ['body', ...path.map((part) => (typeof part === 'number' ? part : String(part)))],
        msg: isMissing ? 'field required' : message,
        type: isMissing ? 'value_error.missing' : `value_error.${code}`,
      };
    }),
  };
}

const RUNNERS = ['any', 'docker', 'opennebula'];
const DISTRIBUTIONS = ['almalinux', 'centos', 'debian', 'fedora', 'raspbian', 'rhel', 'ubuntu'];
const ARCHITECTURES = [
  ...['x86_64', 'x86_64_v2', 'amd64', 'i386', 'i486', 'i586', 'i686'],
  ...['aarch64', 'arm64', 'ppc64le', 's390x'],
];

/** False for what no runner is configured for: ALTS fails on it without a word (500). */
export function isConfigured({ runner_type, dist_name, dist_arch }: AltsPayload): boolean {
  return (
    RUNNERS.includes(runner_type) && DISTRIBUTIONS.includes(dist_name) && ARCHITECTURES.includes(dist_arch)
  );
}
