import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DockerRegistry } from './docker-registry.ts';
import { type ProgramResult, runProgram, temporaryFolder } from './processes.ts';

/** As whom skopeo speaks to a registry, and how it trusts it. */
export interface SkopeoAccess {
  /** `user:password`; anonymous without. */
  readonly credentials?: string;
  /** A folder with `*.crt`, `*.cert`, `*.key` for this one registry. */
  readonly certDir?: string;
  /** False: plain http is tried too and no certificate is checked. */
  readonly verifyTls?: boolean;
}

/** skopeo with an authentication file, a policy and a cache of its own: it neither reads nor changes this machine's. */
export interface Skopeo {
  /** Runs any command line. Throws a ProgramFailure when skopeo does not exit with 0. */
  run(args: readonly string[]): Promise<ProgramResult>;
  /** Copies between two of its transports (`docker-archive:FILE:NAME`, `oci-archive:…`, `docker://HOST/NAME:TAG` …). */
  copy(
    source: string,
    destination: string,
    access?: { source?: SkopeoAccess; destination?: SkopeoAccess; args?: readonly string[] },
  ): Promise<void>;
  /** The manifest behind a reference, as its bytes are. */
  inspectRaw(image: string, access?: SkopeoAccess): Promise<string>;
  /** What `skopeo inspect` says of an image: Name, Digest, Layers, Labels … */
  inspect(image: string, access?: SkopeoAccess): Promise<Record<string, unknown>>;
  /** All tags of a repository (`HOST/NAME`), sorted: distribution gives them in any order. */
  listTags(repository: string, access?: SkopeoAccess): Promise<string[]>;
  close(): Promise<void>;
}

/** How skopeo gets into one of our registries, as its user unless `anonymous`. */
export function skopeoAccess(registry: DockerRegistry, options: { anonymous?: boolean } = {}): SkopeoAccess {
  return {
    ...(options.anonymous ? {} : { credentials: `${registry.username}:${registry.password}` }),
    ...(registry.caFile ? { certDir: join(registry.certsDir, registry.host) } : { verifyTls: false }),
  };
}

/** Prepares skopeo's folder; nothing runs yet. */
export async function openSkopeo(): Promise<Skopeo> {
  const folder = await temporaryFolder('skopeo');
  const authFile = join(folder.path, 'auth.json');
  await writeFile(authFile, '{}');
  const env = {
    ...process.env,
    HOME: folder.path,
    XDG_DATA_HOME: folder.path,
    XDG_RUNTIME_DIR: folder.path,
    // As root its blob-info cache would be the machine's, whatever XDG_DATA_HOME says.
    _CONTAINERS_ROOTLESS_UID: '1000',
  };
  const run = (args: readonly string[]): Promise<ProgramResult> =>
    runProgram('skopeo', ['--insecure-policy', '--tmpdir', folder.path, ...args], { env });

  const flags = (access: SkopeoAccess | undefined, side: 'src-' | 'dest-' | ''): string[] => [
    ...(access?.credentials === undefined ? [] : [`--${side}creds`, access.credentials]),
    ...(access?.certDir === undefined ? [] : [`--${side}cert-dir`, access.certDir]),
    ...(access?.verifyTls === undefined ? [] : [`--${side}tls-verify=${access.verifyTls}`]),
  ];
  const ask = async (command: readonly string[], name: string, access?: SkopeoAccess): Promise<string> =>
    (await run([...command, '--authfile', authFile, ...flags(access, ''), name])).stdout;

  return {
    run,
    async copy(source, destination, { source: from, destination: to, args = [] } = {}) {
      const both = [...flags(from, 'src-'), ...flags(to, 'dest-')];
      await run(['copy', '--quiet', '--authfile', authFile, ...both, ...args, source, destination]);
    },
    inspectRaw: (image, access) => ask(['inspect', '--raw'], image, access),
    inspect: async (image, access) => JSON.parse(await ask(['inspect'], image, access)),
    listTags: async (repository, access) =>
      JSON.parse(await ask(['list-tags'], `docker://${repository}`, access)).Tags.sort(),
    close: folder.remove,
  };
}
