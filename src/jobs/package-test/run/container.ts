import { randomBytes } from 'node:crypto';
import type { Repository } from '../../../alts/index.ts';
import { tarStream } from '../../../archive/index.ts';
import { isRegopsError } from '../../../base/index.ts';
import type { Engine, Image } from '../../../engine/index.ts';
import type { Platform } from '../../../oci/index.ts';
import type { PackageTestRunOptions } from './options.ts';
import type { Target } from './stage.ts';

/** Says whose containers these are: `docker ps --filter label=regops.package-test`. */
const LABEL = 'regops.package-test';
/** ALTS' own limit: a container whose regops is gone ends and is removed by the engine. */
const LIFE_SECONDS = 21_600;
const REMOVAL_MS = 60_000;
/** A command that was interrupted must be gone within 5 s. */
const QUICK_REMOVAL_MS = 4_000;

/** A test's container. */
export interface TestContainer {
  readonly id: string;
  readonly name: string;
}

export interface ContainerOptions {
  readonly subject: string;
  readonly image: Image;
  readonly platform?: Platform | undefined;
  readonly network: string;
  readonly repositories: readonly Repository[];
  /** It may be kept: then it stays until somebody removes it. */
  readonly lasting: boolean;
}

/** Makes a container that does nothing, and starts it. One that does not start is removed again. */
export async function startContainer(
  engine: Engine,
  options: ContainerOptions,
  signal: AbortSignal,
): Promise<TestContainer> {
  const { subject, image, platform, network, repositories, lasting } = options;
  const word = subject.replaceAll(/[^A-Za-z0-9_.-]/g, '-').slice(0, 60);
  const name = `regops-test-${word}-${randomBytes(4).toString('hex')}`;
  const id = await engine.containers.create(
    {
      image: image.id,
      name,
      ...(platform ? { platform } : {}),
      run: {
        entrypoint: ['/bin/sh', '-c', `exec sleep ${lasting ? 'infinity' : LIFE_SECONDS}`],
        command: [],
        user: '0',
        workingDir: '/',
        labels: { [LABEL]: subject },
      },
      host: {
        networkMode: network,
        autoRemove: !lasting,
        binds: foldersOf(repositories).map((folder) => `${folder}:${folder}:ro`),
      },
    },
    { signal },
  );
  try {
    await engine.containers.start(id, { signal });
    return { id, name };
  } catch (error) {
    await removeContainer(engine, id, true).catch(() => {});
    throw error;
  }
}

/** Removes it with all that runs in it, also when the command has been interrupted. One that is gone already is fine. */
export async function removeContainer(engine: Engine, id: string, quickly = false): Promise<void> {
  const signal = AbortSignal.timeout(quickly ? QUICK_REMOVAL_MS : REMOVAL_MS);
  try {
    await engine.containers.remove(id, { force: true, volumes: true, signal });
  } catch (error) {
    if (isRegopsError(error, 'CONTAINER_NOT_FOUND')) return;
    // The engine removes by itself what has ended.
    if (isRegopsError(error, 'ENGINE_CONFLICT') && /already in progress/.test(error.message)) return;
    throw error;
  }
}

/** Folders of this machine that repositories lie in: the container sees them under the same path. Pure. */
export function foldersOf(repositories: readonly Repository[]): string[] {
  const folders = repositories.flatMap(({ url }) => {
    const address = /(?:^|\s)file:(?:\/\/)?(\/[^\s]*)/.exec(url)?.[1];
    const folder = address?.replace(/\/+$/, '');
    // A colon would end the path in the engine's eyes.
    return folder && !folder.includes(':') ? [folder] : [];
  });
  return [...new Set(folders)];
}

/** A script in a container. */
export interface DeliveredTest {
  /** Without its folder. */
  readonly name: string;
  readonly path: string;
}

/** Where in a container what it was given is. */
export interface Delivered {
  readonly files: readonly string[];
  readonly tests: readonly DeliveredTest[];
}

/** Puts package files, scripts and test folders into a folder of the container's, which is made. */
export async function deliver(
  { engine, container, folder, signal }: Target,
  { files, scripts, testFolders }: Pick<PackageTestRunOptions, 'files' | 'scripts' | 'testFolders'>,
): Promise<Delivered> {
  const names = files.map(({ name }, at) => `files/${at}/${safeName(name)}`);
  const scriptNames = scripts.map(({ name }, at) => `scripts/${at}/${safeName(name)}`);
  const folders = testFolders.map((_, at) => `tests/${at}`);
  const archive = tarStream([
    ...files.map(({ size, open }, at) => ({ name: names[at] as string, size, open: async () => open() })),
    ...scripts.map(({ content }, at) => ({
      name: scriptNames[at] as string,
      size: content.length,
      open: async () => [content],
    })),
  ]);
  if (files.length + scripts.length === 0) archive.destroy();
  else await engine.containers.copyIn(container, folder, archive, { signal });
  for (const [at, one] of testFolders.entries()) {
    await engine.containers.copyIn(container, `${folder}/${folders[at]}`, one.archive(), { signal });
  }
  const test = (path: string): DeliveredTest => ({
    name: path.slice(path.lastIndexOf('/') + 1),
    path: `${folder}/${path}`,
  });
  return {
    files: names.map((name) => `${folder}/${name}`),
    tests: [
      ...scripts.map(({ name }, at) => ({ ...test(scriptNames[at] as string), name })),
      ...testFolders.flatMap((one, at) => one.scripts.map((path) => test(`${folders[at]}/${path}`))),
    ],
  };
}

/** The end of a name, which holds what package managers go by: they take files by their extension. */
function safeName(name: string): string {
  return name.replaceAll(/[^\w.+~-]/g, '_').slice(-80);
}
