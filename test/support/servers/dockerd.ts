import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { runProgram, startServer, temporaryFolder } from './processes.ts';

/** Files of an image: path to content. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

/** A Docker Engine of the tests' own. */
export interface Dockerd {
  /** Path of its socket. */
  readonly socket: string;
  /** For a `docker` that a test starts itself. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** Runs the `docker` command line against it and gives its stdout, trimmed. Throws a ProgramFailure. */
  run(args: readonly string[], input?: Uint8Array): Promise<string>;
  /** An image of one layer with these files, without a hub. Nothing in it can run. */
  importBaseImage(name: string, files: Files): Promise<void>;
  /**
   * An image of this machine's own `sh` and a few programs beside it (cat, env, grep, id, ls, mkdir, rm, setsid, sleep), of
   * some MB and in no time: what runs in it really runs. There is a user `anna` (1000). With network mode `host` only.
   */
  importShellImage(name: string): Promise<void>;
  /** An image made by the classic builder; `files` is its context. Steps that need no container to run: FROM, ADD, ENV … */
  buildImage(name: string, dockerfile: string, files?: Files): Promise<void>;
  /** An image with one more layer: a container of `from` gets the files and is committed. */
  commitImage(name: string, from: string, files: Files): Promise<void>;
  /** Real `docker save` output of one image or several. */
  save(images: readonly string[], file: string): Promise<void>;
  /** The last lines it logged. */
  log(): Promise<string>;
  /** Stops it and removes all it held. */
  close(): Promise<void>;
}

/**
 * Starts a Docker Engine with its data in a temporary folder, and a socket. Needs root.
 *
 * @param bridge name of the bridge that its `bridge` network is; without one it has no network but the host's
 */
export async function startDockerd(bridge = 'none'): Promise<Dockerd> {
  // Inside a container overlay2 may not lie on what /tmp is there.
  try {
    return await startWith('overlay2', bridge);
  } catch {
    return await startWith('vfs', bridge);
  }
}

async function startWith(storageDriver: 'overlay2' | 'vfs', bridge: string): Promise<Dockerd> {
  const cleanup = new AsyncDisposableStack();
  try {
    return await start(storageDriver, bridge, cleanup);
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

async function start(storageDriver: string, bridge: string, cleanup: AsyncDisposableStack): Promise<Dockerd> {
  const folder = await temporaryFolder('dockerd');
  cleanup.defer(folder.remove);
  const dir = folder.path;
  const socket = join(dir, 'docker.sock');
  const data = join(dir, 'data');
  await mkdir(data);
  const server = await startServer(
    'dockerd',
    [
      `--storage-driver=${storageDriver}`,
      ...[`--bridge=${bridge}`, '--iptables=false', '--ip6tables=false'],
      ...['--ip-forward=false', '--ip-masq=false'],
      ...['-H', `unix://${socket}`, '--pidfile', join(dir, 'docker.pid')],
      ...['--data-root', data, '--exec-root', join(dir, 'exec')],
      ...['--log-level', 'warn'],
    ],
    { logFile: join(dir, 'log') },
  );
  // What it leaves mounted: its data folder on itself when it had to be killed, and the network of the host
  // when a container used that.
  for (const mounted of [data, join(dir, 'exec', 'netns', 'default')]) {
    cleanup.defer(() =>
      runProgram('umount', [mounted]).then(
        () => {},
        () => {},
      ),
    );
  }
  cleanup.defer(server.stop);

  const env = {
    ...process.env,
    DOCKER_HOST: `unix://${socket}`,
    DOCKER_CONFIG: join(dir, 'config'),
    // The engine is 20.10: no buildx, and `docker build` is the classic builder's.
    DOCKER_BUILDKIT: '0',
  };
  const run = async (args: readonly string[], input?: Uint8Array): Promise<string> =>
    (await runProgram('docker', args, { env, ...(input ? { input } : {}) })).stdout.trim();
  await server.ready(() => run(['version']));

  return {
    ...{ socket, env, run },
    async importBaseImage(name, files) {
      await run(['import', '-', name], await tarOf(files));
    },
    async importShellImage(name) {
      const tar = join(dir, 'shell.tar');
      const programs = SHELL_PROGRAMS.map((program) => `usr/bin/${program}`);
      const linked = await runProgram(
        'ldd',
        programs.map((program) => `/${program}`),
      );
      const libraries = [...linked.stdout.matchAll(/(?:^|\s)\/(\S+) \(0x/gm)].map(
        ([, path]) => path as string,
      );
      await writeFile(join(dir, 'passwd'), 'root:x:0:0::/:/bin/sh\nanna:x:1000:1000::/:/bin/sh\n');
      await runProgram('tar', [
        ...[
          '--create',
          '--dereference',
          '--file',
          tar,
          '--directory',
          '/',
          ...programs,
          ...new Set(libraries),
        ],
        ...['--directory', dir, '--transform', 's,^passwd$,etc/passwd,', 'passwd'],
      ]);
      await run([
        'import',
        '--change',
        'ENV PATH=/usr/bin',
        '--change',
        'CMD ["/usr/bin/sh"]',
        tar,
        `${name}-files`,
      ]);
      // The kernel and regops' own killer look for the shell where every image has it.
      await run(
        ['build', '--quiet', '--tag', name, '-'],
        await tarOf({
          Dockerfile: `FROM ${name}-files\nADD bin.tar /\n`,
          'bin.tar': await linkTar('bin', 'usr/bin'),
        }),
      );
    },
    async buildImage(name, dockerfile, files = {}) {
      await run(['build', '--quiet', '--tag', name, '-'], await tarOf({ Dockerfile: dockerfile, ...files }));
    },
    async commitImage(name, from, files) {
      const container = await run(['create', from, '/nothing']);
      await run(['cp', '-', `${container}:/`], await tarOf(files));
      await run(['commit', container, name]);
      await run(['rm', container]);
    },
    async save(images, file) {
      await run(['save', '--output', file, ...images]);
    },
    log: server.log,
    close: () => cleanup.disposeAsync(),
  };
}

const SHELL_PROGRAMS = ['sh', 'cat', 'env', 'grep', 'id', 'ls', 'mkdir', 'rm', 'setsid', 'sleep'];

/** A tar of one symbolic link. */
function linkTar(name: string, target: string): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name, type: 'symlink', linkname: target });
  tar.finalize();
  return buffer(tar);
}

/** A small tar of regular files. */
async function tarOf(files: Files): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) {
    tar.entry({ name, mode: 0o644, mtime: new Date(0) }, Buffer.from(content));
  }
  tar.finalize();
  return buffer(tar);
}
