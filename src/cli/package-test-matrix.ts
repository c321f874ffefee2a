import { isRegopsError, RegopsError, readNamedFile } from '../base/index.ts';
import { type MatrixBlock, parseCsv, parseMatrix } from '../jobs/package-test/matrix/index.ts';

const MOST_BYTES = 16 * 1024 * 1024;

/**
 * The blocks of a matrix file: CSV when its name ends so, else YAML, of which JSON is a part.
 *
 * @throws FILE_NOT_FOUND, IO_FAILED; INPUT_INVALID that names the file and the place
 */
export async function readMatrix(path: string): Promise<MatrixBlock[]> {
  const content = await readNamedFile(path, {
    maxBytes: MOST_BYTES,
    tooLarge: () => new RegopsError('INPUT_INVALID', `${path}: larger than 16 MiB`),
  });
  const text = content.toString('utf8');
  try {
    return parseMatrix(/\.csv$/i.test(path) ? parseCsv(text) : await parseYaml(text));
  } catch (error) {
    throw inFile(path, error);
  }
}

/** What is wrong with a file's content names the file. */
export function inFile(path: string, error: unknown): unknown {
  if (!isRegopsError(error, 'INPUT_INVALID')) return error;
  return new RegopsError(error.code, `${path}: ${error.message}`, { hints: error.hints, cause: error });
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
