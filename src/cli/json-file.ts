import { messageOf, RegopsError, readNamedFile } from '../base/index.ts';

/** No answer of ours is longer. */
const MOST_BYTES = 256 * 1024 * 1024;

/** A JSON document the user named. Throws FILE_NOT_FOUND, IO_FAILED, INPUT_INVALID. */
export async function readJsonFile(path: string): Promise<unknown> {
  const content = await readNamedFile(path, {
    maxBytes: MOST_BYTES,
    tooLarge: () => new RegopsError('INPUT_INVALID', `${path}: larger than 256 MiB`),
  });
  try {
    return JSON.parse(content.toString('utf8'));
  } catch (error) {
    throw new RegopsError('INPUT_INVALID', `${path} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
