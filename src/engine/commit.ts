import { RegopsError } from '../base/index.ts';
import { formatReference, type Reference } from '../oci/index.ts';
import type { CallOptions, EngineConnection } from './connection.ts';
import { createdSchema } from './model.ts';
import { containerPath, repositoryText, tagOf } from './names.ts';

export interface CommitOptions extends CallOptions {
  /** The name the image gets. An image that has it already is left without. */
  readonly name: Reference;
  /** Default true: the engine itself pauses the container and lets it go on, also when we die meanwhile. */
  readonly pause?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  /** Variables that get another value in the image; a variable cannot be taken out, only made empty. */
  readonly env?: Readonly<Record<string, string>>;
  /** Further Dockerfile steps: `CMD ["sh"]`, `WORKDIR /`. */
  readonly changes?: readonly string[];
  readonly comment?: string;
  readonly author?: string;
}

/** A container of many gigabytes is read and hashed before the engine answers. */
const COMMIT_TIMEOUT_MS = 60 * 60_000;

/**
 * Makes an image of a container and gives its ID. Labels and variables travel as JSON: in `changes` their quotes,
 * dollars and line ends would be Dockerfile syntax. Podman wants that JSON too, but reads nothing of it except `changes`.
 */
export async function commit(
  connection: EngineConnection,
  container: string,
  options: CommitOptions,
  podman: boolean,
): Promise<string> {
  const { name, pause = true, labels = {}, env = {}, changes = [], comment, author } = options;
  for (const variable of Object.keys(env)) {
    if (/[=\0]/.test(variable) || variable === '') {
      throw new RegopsError('USAGE', `'${variable.slice(0, 100)}' is not the name of a variable`);
    }
  }
  // A container by the name of an ID's first digits is fine; the path wants either.
  const path = containerPath(container);
  const { Id } = await connection.json(
    {
      signal: options.signal,
      timeoutMs: options.timeoutMs ?? COMMIT_TIMEOUT_MS,
      what: `cannot commit the container ${container} to ${formatReference(name)}`,
      missing: 'CONTAINER_NOT_FOUND',
      method: 'POST',
      path: '/commit',
      query: {
        container: path.slice('/containers/'.length),
        // Checked by its type: 20.10 commits first and leaves the image behind when the name is bad.
        repo: repositoryText(name),
        tag: tagOf(name),
        pause,
        comment,
        author,
        changes: podman ? [...changes, ...asSteps('LABEL', labels), ...asSteps('ENV', env)] : changes,
      },
      body: {
        Labels: labels,
        Env: Object.entries(env).map(([variable, value]) => `${variable}=${value}`),
      },
    },
    createdSchema,
  );
  return Id;
}

/** Podman takes one pair of quotes off a value and leaves all else as it is (containers/common: libimage/image_config.go). */
function asSteps(step: 'LABEL' | 'ENV', entries: Readonly<Record<string, string>>): string[] {
  return Object.entries(entries).map(([name, value]) => `${step} ${name}="${value}"`);
}
