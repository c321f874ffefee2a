import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const living = new Set<ChildProcess>();
const folders = new Set<string>();
process.on('exit', () => {
  for (const child of living) child.kill('SIGTERM');
  for (const folder of folders) {
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // a server may still be writing there
    }
  }
});

/** What a finished program said. */
export interface ProgramResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** What {@link runProgram} throws: the exit code and both streams. */
export interface ProgramFailure extends Error, ProgramResult {
  readonly code: number | string | null;
}

/**
 * Runs a program to its end, with `input` on its standard input. Throws a {@link ProgramFailure} when it
 * exits with anything but 0, when it is missing (`code` ENOENT), and when it takes longer than two minutes.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  options: { input?: string | Uint8Array; env?: NodeJS.ProcessEnv } = {},
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { env: options.env ?? process.env, timeout: 120_000, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error) reject(Object.assign(error, { stdout, stderr }));
        else resolve({ stdout, stderr });
      },
    );
    // A program that does not want its input closes the pipe: its exit code tells more.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** A server that runs beside the tests. */
export interface ServerProcess {
  /** Waits until the log matches, and gives the match. Throws, with the end of the log, when the server ends first or takes 30 s. */
  logged(pattern: RegExp): Promise<RegExpExecArray>;
  /** Waits until `probe` no longer throws. Throws, with the end of the log, when the server ends first or takes 30 s. */
  ready(probe: () => Promise<unknown>): Promise<void>;
  /** The last lines it wrote. */
  log(): Promise<string>;
  /** Asks it to end (SIGTERM), insists after 10 s (SIGKILL), and comes back when it is gone. */
  stop(): Promise<void>;
}

/**
 * Starts a server whose output goes to a file. It gets SIGTERM when this process ends in any way:
 * setpriv asks the kernel for that, so not even a killed test runner leaves it behind.
 */
export async function startServer(
  program: string,
  args: readonly string[],
  options: { readonly logFile: string; readonly env?: NodeJS.ProcessEnv },
): Promise<ServerProcess> {
  const output = await open(options.logFile, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', program, ...args], {
    env: options.env ?? process.env,
    stdio: ['ignore', output.fd, output.fd],
  });
  await output.close();
  living.add(child);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`cannot start: ${error.message}`));
    child.once('exit', (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
  }).then((how) => {
    living.delete(child);
    return how;
  });
  let how: string | undefined;
  void ended.then((text) => {
    how = text;
  });

  const log = async (): Promise<string> =>
    (await readFile(options.logFile, 'utf8')).split('\n').slice(-40).join('\n');

  async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (how !== undefined || Date.now() > deadline) {
        throw new Error(`${program} ${how ?? 'does not answer'}; it said:\n${await log()}`);
      }
      await Promise.race([wait(20), ended]);
    }
  }

  return {
    log,
    logged: (pattern) =>
      until(async () => pattern.exec(await readFile(options.logFile, 'utf8')) ?? undefined),
    async ready(probe) {
      await until(() =>
        probe().then(
          () => true,
          () => undefined,
        ),
      );
    },
    async stop() {
      if (how !== undefined) return;
      child.kill('SIGTERM');
      const insist = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(insist);
    },
  };
}

/** A folder of a test's own; it is gone after `remove()`, at the latest when this process ends. */
export async function temporaryFolder(name: string): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `regops-${name}-`));
  folders.add(path);
  return {
    path,
    async remove() {
      // A server's own children may write for a moment after it is gone.
      await rm(path, { recursive: true, force: true, maxRetries: 10 });
      folders.delete(path);
    },
  };
}
