import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram, startServer, temporaryFolder } from './processes.ts';

/** A podman of the tests' own, behind its Docker-compatible API. */
export interface Podman {
  /** Path of its socket. */
  readonly socket: string;
  /** Runs the `podman` command line over the same storage and gives its stdout, trimmed. Throws a ProgramFailure. */
  run(args: readonly string[], input?: string): Promise<string>;
  /** The last lines the service logged. */
  log(): Promise<string>;
  /** Stops it and removes all it held. */
  close(): Promise<void>;
}

/**
 * Starts `podman system service` with storage and settings of its own. Registries of the loopback count as insecure:
 * podman's API cannot say so for a pull. Needs root. Containers cannot run where limits may not be raised; they can be made.
 */
export async function startPodman(): Promise<Podman> {
  const cleanup = new AsyncDisposableStack();
  try {
    return await start(cleanup);
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

async function start(cleanup: AsyncDisposableStack): Promise<Podman> {
  const folder = await temporaryFolder('podman');
  cleanup.defer(folder.remove);
  const dir = folder.path;
  const socket = join(dir, 'podman.sock');
  const settings = join(dir, '.config', 'containers');
  await mkdir(settings, { recursive: true });
  const file = async (name: string, lines: readonly string[]): Promise<string> => {
    await writeFile(join(settings, name), `${lines.join('\n')}\n`);
    return join(settings, name);
  };
  await file('policy.json', ['{"default": [{"type": "insecureAcceptAnything"}]}']);
  const env = {
    PATH: process.env['PATH'],
    HOME: dir,
    CONTAINERS_STORAGE_CONF: await file('storage.conf', [
      '[storage]',
      'driver = "vfs"',
      `graphroot = "${dir}/root"`,
      `runroot = "${dir}/run"`,
    ]),
    CONTAINERS_CONF: await file('containers.conf', [
      '[engine]',
      `tmp_dir = "${dir}/tmp"`,
      'cgroup_manager = "cgroupfs"',
      'events_logger = "file"',
    ]),
    CONTAINERS_REGISTRIES_CONF: await file('registries.conf', [
      '[[registry]]',
      'location = "127.0.0.1"',
      'prefix = "127.0.0.1"',
      'insecure = true',
    ]),
  };
  const server = await startServer('podman', ['system', 'service', '--time', '0', `unix://${socket}`], {
    logFile: join(dir, 'log'),
    env,
  });
  // What a service that had to be killed leaves mounted.
  cleanup.defer(() =>
    runProgram('umount', [join(dir, 'root')]).then(
      () => {},
      () => {},
    ),
  );
  cleanup.defer(server.stop);
  const run = async (args: readonly string[], input?: string): Promise<string> =>
    (await runProgram('podman', args, { env, ...(input === undefined ? {} : { input }) })).stdout.trim();
  await server.ready(() => run(['--remote', '--url', `unix://${socket}`, 'version']));
  return { socket, run, log: server.log, close: () => cleanup.disposeAsync() };
}
