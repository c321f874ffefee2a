import { open } from 'node:fs/promises';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';

/** No answer of ours is longer. */
const MOST_BYTES = 256 * 1024 * 1024;

/** A JSON document the user named. Throws FILE_NOT_FOUND, IO_FAILED, INPUT_INVALID. */
export async function readJsonFile(path: string): Promise<unknown> {
  let text: string;
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > MOST_BYTES) throw new RegopsError('INPUT_INVALID', `${path}: larger than 256 MiB`);
      text = await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof RegopsError) throw error;
    if (systemCode(error) === 'ENOENT') {
      throw new RegopsError('FILE_NOT_FOUND', `no such file: ${path}`, { cause: error });
    }
    throw new RegopsError('IO_FAILED', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RegopsError('INPUT_INVALID', `${path} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
