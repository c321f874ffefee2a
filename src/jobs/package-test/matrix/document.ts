import {
  type Distribution,
  type Module,
  type Package,
  parseDistribution,
  parseModule,
  parsePackage,
  parseRepository,
  parseTestRepository,
  parseTestVariable,
  type Repository,
  type TestRepository,
} from '../../../alts/index.ts';
import { escapeText, isRegopsError, RegopsError } from '../../../base/index.ts';

/** A part of a matrix: its packages × its distributions × its architectures. What it leaves out comes from elsewhere. */
export interface MatrixBlock {
  readonly packages?: readonly Package[];
  readonly distributions?: readonly Distribution[];
  readonly architectures?: readonly string[];
  readonly repositories?: readonly Repository[];
  readonly testRepositories?: readonly TestRepository[];
  readonly testEnvironment?: Readonly<Record<string, string>>;
  readonly runner?: string;
  readonly module?: Module;
  readonly channel?: string;
  readonly callback?: string;
}

/** Each field, and the other names it goes by: the flags', and the columns of a table with one test a line. */
const NAMES: Readonly<Record<keyof MatrixBlock, readonly string[]>> = {
  packages: ['packages', 'package'],
  distributions: ['distributions', 'distribution', 'dists', 'dist'],
  architectures: ['architectures', 'architecture', 'archs', 'arch'],
  repositories: ['repositories', 'repository'],
  testRepositories: ['testrepositories', 'testrepository', 'test-repos', 'test-repo'],
  testEnvironment: ['testenvironment', 'test-env'],
  runner: ['runner'],
  module: ['module'],
  channel: ['channel'],
  callback: ['callback'],
};
const FIELDS = new Map(
  Object.entries(NAMES).flatMap(([field, names]) => names.map((name) => [name, field as keyof MatrixBlock])),
);
const MOST_BLOCKS = 100_000;

/**
 * Reads a matrix: one block, a list of blocks, or an object with such a list under `tests`. A field holds a list, or
 * one text, in which several values stand between semicolons.
 *
 * @param document as a YAML or JSON parser gives it
 * @throws INPUT_INVALID that names the block and the field
 */
export function parseMatrix(document: unknown): MatrixBlock[] {
  const wrapped = isRecord(document) && Object.keys(document).length === 1 ? document['tests'] : undefined;
  const list = Array.isArray(document) ? document : Array.isArray(wrapped) ? wrapped : [document];
  if (list.length === 0) throw invalid('it holds no tests');
  if (list.length > MOST_BLOCKS) throw invalid(`it has more than ${MOST_BLOCKS} blocks`);
  return list.map((block, at) => readBlock(block, list.length > 1 ? `block ${at + 1}: ` : ''));
}

function readBlock(block: unknown, where: string): MatrixBlock {
  if (!isRecord(block)) throw invalid(`${where}it is no set of fields`);
  const read: Partial<Record<keyof MatrixBlock, unknown>> = {};
  const given = new Map<string, string>();
  for (const [name, value] of Object.entries(block)) {
    if (value === null || value === undefined) continue;
    // CSV's `version` is the package's: it is no field of a block that may have many.
    const field = name.toLowerCase() === 'version' ? 'version' : FIELDS.get(name.toLowerCase());
    if (field === undefined) throw invalid(`${where}there is no field '${shown(name)}'`);
    const before = given.get(field);
    if (before !== undefined) throw invalid(`${where}${shown(before)} and ${shown(name)} are the same`);
    given.set(field, name);
    if (field === 'version') continue;
    read[field] = readField(field, value, `${where}${shown(name)}: `);
  }
  const version = given.get('version');
  if (version !== undefined) read.packages = withVersion(read.packages, block[version], where);
  return read as MatrixBlock;
}

function readField(field: keyof MatrixBlock, value: unknown, where: string): unknown {
  const texts = (): string[] => textsOf(value, where);
  const one = (): string => {
    const [text, ...rest] = texts();
    if (text === undefined || rest.length > 0) throw invalid(`${where}one value is wanted`);
    return text;
  };
  return explained(where, () => {
    switch (field) {
      case 'packages':
        return texts().map(parsePackage);
      case 'distributions':
        return texts().map(parseDistribution);
      case 'architectures':
        return texts();
      case 'repositories':
        return [value].flat().flatMap((item) => repositoriesOf(item, where));
      case 'testRepositories':
        return texts().map(parseTestRepository);
      case 'testEnvironment':
        return Object.fromEntries(variablesOf(value, where).map(parseTestVariable));
      case 'module':
        return parseModule(one());
      default:
        return one();
    }
  });
}

/** A text as of a flag, or an object as in ALTS' own requests, whose documents say `url` and whose code `baseurl`. */
function repositoriesOf(item: unknown, where: string): Repository[] {
  if (!isRecord(item)) return textsOf(item, where).map(parseRepository);
  const { name, url, baseurl, ...rest } = item;
  const address = url ?? baseurl;
  const isFit =
    typeof address === 'string' &&
    (name === undefined || name === null || typeof name === 'string') &&
    (baseurl === undefined || baseurl === address) &&
    Object.keys(rest).length === 0;
  if (!isFit) throw invalid(`${where}a repository has a url (or baseurl), and may have a name`);
  return [parseRepository(name ? `${name as string}=${address}` : address)];
}

/** Texts as of a flag, or an object of names and values. */
function variablesOf(value: unknown, where: string): string[] {
  if (!isRecord(value)) return textsOf(value, where);
  return Object.entries(value).map(([name, text]) => {
    if (typeof text === 'string' || typeof text === 'boolean' || Number.isSafeInteger(text)) {
      return `${name}=${text as string}`;
    }
    throw invalid(
      `${where}${shown(name)}: a text is wanted${typeof text === 'number' ? ': write it in quotes' : ''}`,
    );
  });
}

function withVersion(packages: unknown, value: unknown, where: string): readonly Package[] {
  const [only, ...rest] = (packages ?? []) as readonly Package[];
  if (!only || rest.length > 0 || only.version !== undefined) {
    throw invalid(`${where}version: it belongs to one package without a version`);
  }
  const [version, ...others] = textsOf(value, where);
  if (version === undefined || others.length > 0) throw invalid(`${where}version: one value is wanted`);
  return [explained(`${where}version: `, () => parsePackage(`${only.name}=${version}`))];
}

/** YAML reads `9` and `22.04` as numbers; `22.10` would have become 22.1, so only whole ones are taken. */
function textsOf(value: unknown, where: string): string[] {
  return [value].flat().flatMap((item) => {
    if (typeof item === 'string') {
      return item
        .split(';')
        .map((part) => part.trim())
        .filter((part) => part !== '');
    }
    if (Number.isSafeInteger(item)) return [String(item)];
    throw invalid(`${where}a text is wanted${typeof item === 'number' ? ': write it in quotes' : ''}`);
  });
}

/** What a flag's parser does not like is bad data here. */
function explained<T>(where: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!isRegopsError(error, 'USAGE')) throw error;
    throw new RegopsError('INPUT_INVALID', `matrix: ${where}${error.message}`, {
      hints: error.hints,
      cause: error,
    });
  }
}

function shown(name: string): string {
  return escapeText(name.slice(0, 60));
}

function invalid(why: string): RegopsError {
  return new RegopsError('INPUT_INVALID', `matrix: ${why}`, {
    hints: [
      `Write it like { packages: [curl, jq=1.6-2.1], distributions: ["debian:12"], architectures: [amd64] }.`,
      `Fields: ${Object.keys(NAMES).join(', ')}.`,
    ],
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
