import { RegopsError, readNamedFile } from '../base/index.ts';

const MAX_BYTES = 1024 * 1024;

/** What a scheduler's configuration says of its tokens. */
export interface AltsConfig {
  readonly secret: string;
  /** As it is written there; the scheduler's default is HS256. */
  readonly algorithm?: string;
}

/**
 * Reads the secret from a scheduler's YAML file (`alts_config.yaml`). The scheduler calls the algorithm
 * `hashing_algorithm`, ALTS' own script `hash_algorithm`: the scheduler's word counts, since it checks the token.
 *
 * @throws FILE_NOT_FOUND, IO_FAILED; CONFIG_INVALID when it is no YAML or holds no secret. The content is never quoted.
 */
export async function readAltsConfig(path: string): Promise<AltsConfig> {
  const { parse } = await import('yaml');
  const invalid = (why: string, ...hints: string[]): RegopsError =>
    new RegopsError('CONFIG_INVALID', `${path}: ${why}`, { hints });
  const content = await readNamedFile(path, {
    maxBytes: MAX_BYTES,
    tooLarge: () => invalid('too large for a configuration'),
  });
  let document: unknown;
  try {
    document = parse(content.toString('utf8'), {
      logLevel: 'error',
      maxAliasCount: 100,
      prettyErrors: false,
    });
  } catch {
    // The parser's words could quote the secret.
    throw invalid('it is no YAML');
  }
  if (typeof document !== 'object' || document === null) throw invalid('it holds no settings');
  const settings = document as Record<string, unknown>;
  const secret = settings['jwt_secret'];
  if (typeof secret !== 'string' || secret === '') {
    throw invalid(
      secret === undefined || secret === null || secret === ''
        ? 'it has no jwt_secret'
        : 'its jwt_secret is no text',
      secret === undefined ? "Give the scheduler's configuration, not the worker's." : 'Write it in quotes.',
    );
  }
  const algorithm = settings['hashing_algorithm'] ?? settings['hash_algorithm'];
  return typeof algorithm === 'string' ? { secret, algorithm } : { secret };
}
