import { open } from 'node:fs/promises';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';
import { type MatrixBlock, parseCsv, parseMatrix } from '../jobs/package-test/matrix/index.ts';

const MOST_BYTES = 16 * 1024 * 1024;

/**
 * The blocks of a matrix file: CSV when its name ends so, else YAML, of which JSON is a part.
 *
 * @throws FILE_NOT_FOUND, IO_FAILED; INPUT_INVALID that names the file and the place
 */
export async function readMatrix(path: string): Promise<MatrixBlock[]> {
  const text = await readText(path);
  try {
    return parseMatrix(/\.csv$/i.test(path) ? parseCsv(text) : await parseYaml(text));
  } catch (error) {
    if (!(error instanceof RegopsError)) throw error;
    throw new RegopsError(error.code, `${path}: ${error.message}`, { hints: error.hints, cause: error });
  }
}

async function parseYaml(text: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { logLevel: 'silent' });
  const [error] = document.errors;
  if (error) {
    // Its own message quotes the line, and a repository's URL may hold a password.
    const line = error.linePos?.[0].line;
    throw new RegopsError(
      'INPUT_INVALID',
      `it is neither YAML nor JSON${line === undefined ? '' : ` at line ${line}`} (${error.code})`,
    );
  }
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    throw new RegopsError('INPUT_INVALID', 'it has too many aliases');
  }
}

async function readText(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      if ((await file.stat()).size > MOST_BYTES) {
        throw new RegopsError('INPUT_INVALID', `${path}: larger than 16 MiB`);
      }
      return await file.readFile('utf8');
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
}
