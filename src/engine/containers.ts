import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { escapeText, RegopsError } from '../base/index.ts';
import { formatPlatform, type Platform } from '../oci/index.ts';
import { type CommitOptions, commit } from './commit.ts';
import { CALL_TIMEOUT_MS, type CallOptions, type EngineConnection, transferring } from './connection.ts';
import { type ExecOptions, type ExecResult, exec } from './exec.ts';
import { filters } from './images.ts';
import {
  type Container,
  type ContainerEntry,
  containerListSchema,
  containerSchema,
  createdSchema,
  type HostSettings,
  type RunConfig,
  waitSchema,
} from './model.ts';
import { Demultiplexer } from './multiplexed.ts';
import { containerPath, type ImageName, imageText } from './names.ts';
import { type CollectedOutput, OutputCollector, type OutputLimits } from './output.ts';

/** A container to be made. What is not given comes from the image and the engine. */
export interface NewContainer {
  readonly image: ImageName;
  readonly name?: string;
  readonly platform?: Platform;
  readonly hostname?: string;
  readonly tty?: boolean;
  readonly openStdin?: boolean;
  readonly run?: Partial<RunConfig>;
  readonly host?: Partial<HostSettings>;
}

/** What became of a container that has ended. */
export interface ContainerExit {
  readonly exitCode: number;
  /** The engine's own trouble with it, '' for none. */
  readonly error: string;
}

const POLL_MS = 100;

/** The engine's containers, by name or ID. */
export class Containers {
  readonly #connection: EngineConnection;
  readonly #podman: boolean;

  constructor(connection: EngineConnection, podman: boolean) {
    this.#connection = connection;
    this.#podman = podman;
  }

  /** @param call.size also says how much the container has written, which the engine must count. Throws CONTAINER_NOT_FOUND. */
  inspect(container: string, call: CallOptions & { readonly size?: boolean } = {}): Promise<Container> {
    return this.#connection.json(
      {
        ...call,
        ...this.#about('inspect', container),
        method: 'GET',
        path: `${containerPath(container)}/json`,
        query: { size: call.size },
      },
      containerSchema,
    );
  }

  /**
   * Running or not.
   * @param labels all of which a container must have: `name` or `name=value`
   */
  list(labels: readonly string[], call: CallOptions = {}): Promise<readonly ContainerEntry[]> {
    return this.#connection.json(
      {
        ...call,
        what: 'cannot list containers',
        method: 'GET',
        path: '/containers/json',
        query: { all: true, ...filters(labels) },
      },
      containerListSchema,
    );
  }

  /** Makes a container and gives its ID. Throws IMAGE_NOT_FOUND, and ENGINE_CONFLICT when the name is taken. */
  async create(container: NewContainer, call: CallOptions = {}): Promise<string> {
    const { Id, Warnings } = await this.#connection.json(
      {
        ...call,
        what: `cannot create a container of ${imageText(container.image)}`,
        missing: 'IMAGE_NOT_FOUND',
        method: 'POST',
        path: '/containers/create',
        query: {
          name: container.name,
          platform: container.platform && formatPlatform(container.platform),
        },
        body: createBody(container),
      },
      createdSchema,
    );
    for (const warning of Warnings) this.#connection.log.warn(`engine: ${escapeText(warning.slice(0, 300))}`);
    return Id;
  }

  /** Starts it; one that runs already is left alone. */
  async start(container: string, call: CallOptions = {}): Promise<void> {
    await this.#act('start', container, call);
  }

  /** Asks it to end, and ends it after so many seconds (default 10). One that does not run is left alone. */
  async stop(container: string, call: CallOptions & { readonly seconds?: number } = {}): Promise<void> {
    const seconds = call.seconds ?? 10;
    await this.#act(
      'stop',
      container,
      { timeoutMs: CALL_TIMEOUT_MS + seconds * 1000, ...call },
      { t: seconds },
    );
  }

  /** Throws ENGINE_CONFLICT when it runs and `force` is not given. @param call.volumes also its anonymous volumes */
  async remove(
    container: string,
    call: CallOptions & { readonly force?: boolean; readonly volumes?: boolean } = {},
  ): Promise<void> {
    await this.#connection.done({
      ...call,
      ...this.#about('remove', container),
      method: 'DELETE',
      path: containerPath(container),
      query: { force: call.force, v: call.volumes },
    });
  }

  /** Waits until it has ended, however long that takes. */
  async wait(container: string, call: CallOptions = {}): Promise<ContainerExit> {
    const { StatusCode, Error: error } = await this.#connection.json(
      {
        ...call,
        timeoutMs: call.timeoutMs ?? Number.POSITIVE_INFINITY,
        ...this.#about('wait for', container),
        method: 'POST',
        path: `${containerPath(container)}/wait`,
      },
      waitSchema,
    );
    return { exitCode: StatusCode, error: error?.Message ?? '' };
  }

  /**
   * Waits until it runs, and is healthy when its image has a health check. Throws ENGINE_FAILED with the last lines of its
   * log when it ends instead, and TIMED_OUT.
   */
  async waitUntilRunning(
    container: string,
    call: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number } = {},
  ): Promise<Container> {
    const timeoutMs = call.timeoutMs ?? 60_000;
    const until = performance.now() + timeoutMs;
    for (;;) {
      const found = await this.inspect(container, { signal: call.signal });
      const { status, running, health, exitCode, error } = found.state;
      if (status === 'exited' || status === 'dead' || health === 'unhealthy') {
        const said = health === 'unhealthy' ? 'it is unhealthy' : `it ended with ${exitCode}`;
        throw new RegopsError(
          'ENGINE_FAILED',
          `the container ${container} does not run: ${escapeText(error) || said}${await this.#lastWords(container, call.signal)}`,
          { details: { exitCode }, hints: [`Look at what it said: docker logs ${container}`] },
        );
      }
      if (running && status !== 'restarting' && health !== 'starting') return found;
      if (performance.now() > until) {
        throw new RegopsError(
          'TIMED_OUT',
          `the container ${container} does not run within ${timeoutMs / 1000} s`,
          {
            details: { status },
          },
        );
      }
      await wait(POLL_MS);
    }
  }

  /**
   * Makes an image of it and gives the image's ID. The engine pauses it meanwhile. Throws CONTAINER_NOT_FOUND, and IO_FAILED
   * when the engine's disk is full.
   */
  commit(container: string, options: CommitOptions): Promise<string> {
    return commit(this.#connection, container, options, this.#podman);
  }

  /**
   * Runs a program in it. That the program fails is a result, not an error. When its time is over or the signal
   * aborts, it is killed with everything it started. Throws ENGINE_CONFLICT when the container does not run.
   */
  exec(container: string, command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return exec(this.#connection, container, command, options);
  }

  /** Unpacks a tar archive in a folder, which must exist (FILE_NOT_FOUND). The archive is destroyed in the end. */
  async copyIn(container: string, folder: string, archive: Readable, call: CallOptions = {}): Promise<void> {
    await this.#connection.done({
      ...transferring(call),
      ...this.#about('copy files into', container),
      method: 'PUT',
      path: `${containerPath(container)}/archive`,
      query: { path: folder, noOverwriteDirNonDir: true },
      upload: archive,
    });
  }

  /** What it has written so far. @param options.tail only so many lines from the end */
  async logs(
    container: string,
    options: CallOptions & { readonly tail?: number; readonly limits?: OutputLimits } = {},
  ): Promise<CollectedOutput> {
    const { tty } = await this.inspect(container, { signal: options.signal });
    const reply = await this.#connection.open({
      signal: options.signal,
      timeoutMs: options.timeoutMs ?? CALL_TIMEOUT_MS,
      ...this.#about('read the log of', container),
      method: 'GET',
      path: `${containerPath(container)}/logs`,
      query: { stdout: true, stderr: true, tail: options.tail },
    });
    const output = new OutputCollector(undefined, options.limits);
    const frames = new Demultiplexer();
    for await (const chunk of reply.chunks()) {
      if (tty) output.add({ stream: 'stdout', bytes: chunk });
      else for (const piece of frames.feed(chunk)) output.add(piece);
    }
    return output.end();
  }

  async #act(
    verb: 'start' | 'stop',
    container: string,
    call: CallOptions,
    query: Readonly<Record<string, number>> = {},
  ): Promise<void> {
    const { signal, timeoutMs } = call;
    try {
      await this.#connection.done({
        ...{ signal, timeoutMs },
        ...this.#about(verb, container),
        method: 'POST',
        path: `${containerPath(container)}/${verb}`,
        query,
      });
    } catch (error) {
      // It is so already.
      if (error instanceof RegopsError && error.details['status'] === 304) return;
      throw error;
    }
  }

  async #lastWords(container: string, signal: AbortSignal | undefined): Promise<string> {
    try {
      const { stdout, stderr } = await this.logs(container, { tail: 5, signal, timeoutMs: 5_000 });
      const words = `${stdout}${stderr}`.trim().slice(-500);
      return words === '' ? '' : `; it said: ${escapeText(words.replaceAll(/\s*\n\s*/g, ' | '))}`;
    } catch {
      return '';
    }
  }

  #about(verb: string, container: string) {
    return { what: `cannot ${verb} the container ${container}`, missing: 'CONTAINER_NOT_FOUND' } as const;
  }
}

/** Go's names of what was given. */
function createBody({
  image,
  hostname,
  tty,
  openStdin,
  run = {},
  host = {},
}: NewContainer): Record<string, unknown> {
  return {
    Image: imageText(image),
    Hostname: hostname,
    Tty: tty,
    OpenStdin: openStdin,
    Cmd: run.command,
    Entrypoint: run.entrypoint,
    Env: run.env,
    Labels: run.labels,
    WorkingDir: run.workingDir,
    User: run.user,
    ExposedPorts: run.exposedPorts && Object.fromEntries(run.exposedPorts.map((port) => [port, {}])),
    Volumes: run.volumes && Object.fromEntries(run.volumes.map((path) => [path, {}])),
    StopSignal: run.stopSignal,
    HostConfig: {
      NetworkMode: host.networkMode,
      PortBindings:
        host.portBindings &&
        Object.fromEntries(
          Object.entries(host.portBindings).map(([port, bindings]) => [
            port,
            bindings.map(({ hostIp, hostPort }) => ({ HostIp: hostIp, HostPort: hostPort })),
          ]),
        ),
      Binds: host.binds,
      Memory: host.memoryBytes,
      NanoCpus: host.nanoCpus,
      CpuShares: host.cpuShares,
      PidsLimit: host.pidsLimit,
      ShmSize: host.shmBytes,
      RestartPolicy: host.restart && {
        Name: host.restart.name,
        MaximumRetryCount: host.restart.maximumRetries,
      },
      Privileged: host.privileged,
      ReadonlyRootfs: host.readonlyRootfs,
      Init: host.init,
      AutoRemove: host.autoRemove,
      CapAdd: host.capAdd,
      CapDrop: host.capDrop,
      ExtraHosts: host.extraHosts,
      Dns: host.dns,
    },
  };
}
