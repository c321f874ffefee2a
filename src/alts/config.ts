import { open } from 'node:fs/promises';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';

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
  const text = await readText(path);
  const { parse } = await import('yaml');
  const invalid = (why: string, ...hints: string[]): RegopsError =>
    new RegopsError('CONFIG_INVALID', `${path}: ${why}`, { hints });
  let document: unknown;
  try {
    document = parse(text, { logLevel: 'error', maxAliasCount: 100, prettyErrors: false });
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

async function readText(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const buffer = Buffer.alloc(MAX_BYTES + 1);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
      if (bytesRead > MAX_BYTES)
        throw new RegopsError('CONFIG_INVALID', `${path}: too large for a configuration`);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof RegopsError) throw error;
    if (systemCode(error) === 'ENOENT') throw new RegopsError('FILE_NOT_FOUND', `${path}: no such file`);
    throw new RegopsError('IO_FAILED', `${path}: ${messageOf(error)}`, { cause: error });
  }
}
