import { isRegopsError, RegopsError, readNamedFile } from '../base/index.ts';
import { parseRepository } from '../oci/index.ts';
import { parseTarget } from '../registry/index.ts';

/** The seed's `snapshot_registry` block, with its variables filled in. Holds a secret. */
export interface SnapshotRegistryBlock {
  readonly url: string;
  readonly repository: string;
  readonly username?: string;
  readonly password?: string;
  /** Plain http, as the seed documents it. */
  readonly insecure: boolean;
}

const MAX_BYTES = 1024 * 1024;
const FIELDS = new Set(['url', 'repository', 'username', 'password', 'insecure']);
const EXAMPLE = `snapshot_registry: { url: registry.example.com, repository: team/snapshots, username: me, password: "\${REGISTRY_PASSWORD}" }`;

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the block of a YAML file. Throws FILE_NOT_FOUND, and CONFIG_INVALID as {@link parseSnapshotConfig}. */
export async function readSnapshotConfig(
  path: string,
  environment: Environment,
): Promise<SnapshotRegistryBlock | undefined> {
  const content = await readNamedFile(path, {
    maxBytes: MAX_BYTES,
    tooLarge: () => broken(path, 'it is larger than 1 MiB'),
    unreadable: 'CONFIG_INVALID',
  });
  return parseSnapshotConfig(content.toString('utf8'), path, environment);
}

/**
 * The `snapshot_registry` block of a YAML document, which may hold much else (it is Indexify's server and dataplane
 * configuration); undefined without one. Variables are filled in after the YAML is read: a value cannot add keys.
 *
 * @throws CONFIG_INVALID for what is no YAML, a field that is missing or unknown, and a variable that is not set
 */
export async function parseSnapshotConfig(
  text: string,
  path: string,
  environment: Environment,
): Promise<SnapshotRegistryBlock | undefined> {
  const { parseDocument } = await import('yaml');
  // Everything as text: a password of digits keeps its zeros.
  const document = parseDocument(text, { schema: 'failsafe', logLevel: 'silent' });
  const [error] = document.errors;
  if (error) {
    // Its own message quotes the line, which may be the password's.
    const line = error.linePos?.[0].line;
    throw broken(path, `it is no YAML${line === undefined ? '' : ` at line ${line}`} (${error.code})`);
  }
  let content: unknown;
  try {
    content = document.toJS({ maxAliasCount: 100 });
  } catch {
    throw broken(path, 'it has too many aliases');
  }
  const block = isRecord(content) ? content['snapshot_registry'] : undefined;
  if (block === undefined || block === null || block === '') return undefined;
  if (!isRecord(block)) throw broken(path, 'snapshot_registry is not a block of fields');
  const unknown = Object.keys(block).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw broken(path, `snapshot_registry has no field '${unknown.slice(0, 60)}'`);
  const read = (name: string): string | undefined => {
    const value = block[name];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value !== 'string') throw broken(path, `snapshot_registry.${name} is not a text`);
    return expandVariables(value, environment, `snapshot_registry.${name} in ${path}`);
  };
  const [url, repository, username, password] = ['url', 'repository', 'username', 'password'].map(read);
  if (url === undefined) throw broken(path, 'snapshot_registry.url is missing');
  if (repository === undefined) throw broken(path, 'snapshot_registry.repository is missing');
  if ((username === undefined) !== (password === undefined)) {
    throw broken(
      path,
      `snapshot_registry has ${username === undefined ? 'a password without a username' : 'a username without a password'}`,
    );
  }
  checked(path, 'url', () => parseTarget(url));
  checked(path, 'repository', () => parseRepository(repository));
  return {
    url,
    repository,
    ...(username === undefined || password === undefined ? {} : { username, password }),
    insecure: booleanOf(read('insecure') ?? 'false', path),
  };
}

/**
 * Puts the values of variables in the place of `${NAME}`; `$${NAME}` stands for that text itself, and a dollar
 * without a brace (Harbor's `robot$name`) for itself. Throws CONFIG_INVALID for one that is not set.
 */
export function expandVariables(text: string, environment: Environment, where: string): string {
  return text.replaceAll(/(\$?)\$\{([^}]*)\}/g, (whole, dollar: string, name: string) => {
    if (dollar !== '') return whole.slice(1);
    if (!/^[A-Za-z_]\w*$/.test(name)) {
      throw new RegopsError(
        'CONFIG_INVALID',
        `${where}: '\${${name.slice(0, 60)}}' does not name a variable`,
      );
    }
    const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
    if (value !== undefined) return value;
    throw new RegopsError('CONFIG_INVALID', `${where}: the variable ${name} is not set`, {
      hints: [`Set it: export ${name}=…`],
    });
  });
}

function booleanOf(text: string, path: string): boolean {
  if (/^(true|yes|on)$/i.test(text)) return true;
  if (/^(false|no|off)$/i.test(text)) return false;
  throw broken(path, 'snapshot_registry.insecure is neither true nor false');
}

/** What a flag's parser does not like is a mistake in the file here. */
function checked(path: string, name: string, parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    if (!isRegopsError(error) || error.kind !== 'usage') throw error;
    throw broken(path, `snapshot_registry.${name}: ${error.message}`);
  }
}

function broken(path: string, why: string): RegopsError {
  return new RegopsError('CONFIG_INVALID', `${path}: ${why}`, { hints: [`Write it like ${EXAMPLE}.`] });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
