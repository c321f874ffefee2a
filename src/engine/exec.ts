import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { isRegopsError, messageOf, RegopsError } from '../base/index.ts';
import type { CallOptions, EngineConnection, EngineReply } from './connection.ts';
import type { Asked } from './failure.ts';
import { createdSchema, execSchema } from './model.ts';
import { Demultiplexer } from './multiplexed.ts';
import { containerPath } from './names.ts';
import { type CollectedOutput, type OnLine, OutputCollector, type OutputLimits } from './output.ts';

export interface ExecOptions extends CallOptions {
  /** `NAME=value`, beside those of the container. */
  readonly env?: readonly string[];
  /** User or number, with `:group`; else the container's. */
  readonly user?: string;
  readonly workingDir?: string;
  readonly onLine?: OnLine;
  readonly limits?: OutputLimits;
}

/** How a program in a container ended. */
export interface ExecResult extends CollectedOutput {
  /** 126 and 127 when it could not be run or found, the reason being on stdout; undefined when it was killed because its time was over. */
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
}

/** How long ending a program may take; an interrupted command must be gone within 5 s. */
const KILL_MS = 3_000;
/** How long the output of a program that has ended may go on: a daemon it started may hold it open for ever. */
const AFTERMATH_MS = 2_000;
const WATCH_MS = 1_000;

/**
 * Kills by a mark in their environment all processes that a program has started, whatever they have done to get
 * away from it, and what shares a session with them. The engine has no call for that: closing the
 * connection leaves the program running.
 */
const KILLER = `
for round in 1 2 3; do
  found=
  for p in /proc/[0-9]*; do
    grep -qsF "$1" "$p/environ" || continue
    read -r stat 2>/dev/null < "$p/stat" || continue
    set -- "$1" \${stat##*) }
    [ "$2" = Z ] && continue
    found="$found $5 "
    kill -KILL "\${p#/proc/}" 2>/dev/null
  done
  [ -z "$found" ] && exit 0
  for p in /proc/[0-9]*; do
    read -r stat 2>/dev/null < "$p/stat" || continue
    set -- "$1" \${stat##*) }
    [ "$5" = 0 ] && continue
    case "$found" in *" $5 "*) kill -KILL "\${p#/proc/}" 2>/dev/null ;; esac
  done
done
exit 0
`;

/** Runs a program in a container, without a terminal and without input. */
export async function exec(
  connection: EngineConnection,
  container: string,
  command: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  const mark = `REGOPS_EXEC=${randomUUID()}`;
  const output = new OutputCollector(options.onLine, options.limits);
  const { signal, env = [], user, workingDir } = options;
  const id = await create(connection, container, {
    ...{ what: `cannot run ${command[0]} in the container ${container}`, signal },
    ...{ command, env: [...env, mark], user, workingDir },
  });
  try {
    await follow(connection, container, id, output, options);
  } catch (error) {
    const timedOut =
      options.timeoutMs !== undefined &&
      isRegopsError(error, 'TIMED_OUT') &&
      error.details['timeoutMs'] === options.timeoutMs;
    const refused = isRegopsError(error) && error.details['status'] !== undefined;
    if (!refused) await kill(connection, container, mark, options.user);
    if (!timedOut) throw error;
    return { ...output.end(), exitCode: undefined, timedOut };
  }
  const exitCode = await exitCodeOf(connection, container, id, options.signal);
  return { ...output.end(), exitCode, timedOut: false };
}

/**
 * The exit code, which is known a moment after the last output. Throws CONNECTION_FAILED when the program still
 * runs: then its output was cut off.
 */
async function exitCodeOf(
  connection: EngineConnection,
  container: string,
  id: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  for (let look = 0; look < 20; look++) {
    const { Running, ExitCode } = await inspect(connection, id, signal);
    if (!Running && ExitCode != null) return ExitCode;
    await wait(100);
  }
  throw outputCut(container);
}

function outputCut(container: string): RegopsError {
  return new RegopsError(
    'CONNECTION_FAILED',
    `the output of a program in the container ${container} was cut off`,
    { hints: ['Was the engine restarted? Its log tells: journalctl -u docker.'] },
  );
}

/** A program as the engine is told of it. */
interface Program {
  /** For errors. */
  readonly what: string;
  readonly signal: AbortSignal | undefined;
  readonly command: readonly string[];
  readonly env?: readonly string[];
  readonly user?: string | undefined;
  readonly workingDir?: string | undefined;
}

/** Prepares a program and gives the ID by which it is started. */
async function create(
  connection: EngineConnection,
  container: string,
  { what, signal, command, env, user, workingDir }: Program,
): Promise<string> {
  const { Id } = await connection.json(
    {
      ...{ what, signal, missing: 'CONTAINER_NOT_FOUND', method: 'POST' },
      path: `${containerPath(container)}/exec`,
      body: {
        AttachStdout: true,
        AttachStderr: true,
        Cmd: command,
        Env: env,
        User: user,
        WorkingDir: workingDir,
      },
    },
    createdSchema,
  );
  return Id;
}

function start(connection: EngineConnection, id: string, asked: Asked & CallOptions): Promise<EngineReply> {
  return connection.open({
    ...asked,
    method: 'POST',
    path: `/exec/${id}/start`,
    body: { Detach: false, Tty: false },
  });
}

/** Starts it and reads what it writes, until it has ended. */
async function follow(
  connection: EngineConnection,
  container: string,
  id: string,
  output: OutputCollector,
  { signal, timeoutMs }: ExecOptions,
): Promise<void> {
  const reply = await start(connection, id, {
    ...{ signal, timeoutMs, missing: 'CONTAINER_NOT_FOUND' },
    what: `cannot run a program in the container ${container}`,
  });
  const frames = new Demultiplexer();
  const watch = watchForEnd(connection, id, signal, reply.close);
  try {
    for await (const chunk of reply.chunks()) {
      for (const piece of frames.feed(chunk)) output.add(piece);
    }
    if (!frames.whole && !watch.ended) throw outputCut(container);
  } catch (error) {
    // Closed by the watch.
    if (!watch.ended) throw error;
  } finally {
    watch.stop();
  }
}

/** Looks now and then whether the program has ended although its output has not; then leaves that after a while. */
function watchForEnd(
  connection: EngineConnection,
  id: string,
  signal: AbortSignal | undefined,
  leave: () => void,
): { readonly ended: boolean; stop(): void } {
  let ended = false;
  let timer: NodeJS.Timeout;
  const look = async (): Promise<void> => {
    const running = await inspect(connection, id, signal).then(
      ({ Running }) => Running,
      () => true,
    );
    if (stopped) return;
    if (running) {
      timer = setTimeout(look, WATCH_MS);
      return;
    }
    timer = setTimeout(() => {
      ended = true;
      leave();
    }, AFTERMATH_MS);
  };
  let stopped = false;
  timer = setTimeout(look, WATCH_MS);
  return {
    get ended() {
      return ended;
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

function inspect(connection: EngineConnection, id: string, signal: AbortSignal | undefined) {
  return connection.json(
    { signal, what: 'cannot ask how the program ended', method: 'GET', path: `/exec/${id}/json` },
    execSchema,
  );
}

/** Ends what is left of a program. That it cannot be done is only warned of: the container itself can still be removed. */
async function kill(
  connection: EngineConnection,
  container: string,
  mark: string,
  user: string | undefined,
): Promise<void> {
  // root in a container may not see the environment of another user's processes; that user may.
  const signal = AbortSignal.timeout(KILL_MS);
  const users = user === undefined ? ['0', undefined] : ['0', user];
  try {
    await Promise.all(users.map((one) => runKiller(connection, container, mark, one, signal)));
  } catch (error) {
    connection.log.warn(`a program in the container ${container} may still be running: ${messageOf(error)}`);
  }
}

async function runKiller(
  connection: EngineConnection,
  container: string,
  mark: string,
  user: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const what = 'cannot end the program';
  const command = ['/bin/sh', '-c', KILLER, 'sh', mark];
  const id = await create(connection, container, { what, signal, command, user });
  const reply = await start(connection, id, { what, signal });
  for await (const _ of reply.chunks());
}
