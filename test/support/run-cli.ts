import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

/** Where Node keeps what it has compiled of the program from run to run: each run has an empty home. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url));

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  /** The program to run in place of bin/run.js. */
  readonly program?: string;
  /** The Node to run it with, and what comes before the program on its command line. */
  readonly node?: string;
  readonly nodeArgs?: readonly string[];
  /** Called as soon as the process is there. */
  readonly started?: (child: ChildProcess) => void;
  /** Called with the first bytes on stdout or stderr that match. */
  readonly when?: readonly [text: RegExp, act: (child: ChildProcess) => void | Promise<void>];
}

export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Runs the built program in a process of its own, with an empty home and none of the developer's settings,
 * and waits until it has ended.
 */
export async function runCli(argv: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
  const home = await mkdtemp(join(tmpdir(), 'regops-home-'));
  try {
    const child = spawn(
      options.node ?? process.execPath,
      [...(options.nodeArgs ?? []), options.program ?? PROGRAM, ...argv],
      { env: bareEnvironment(home, options.env) },
    );
    return await ended(child, options);
  } finally {
    await rm(home, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Runs a line of bash in which `regops` is the built program. */
export async function runShell(line: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const home = await mkdtemp(join(tmpdir(), 'regops-home-'));
  try {
    const child = spawn('bash', ['--norc', '-c', `regops() { "$NODE" "$PROGRAM" "$@"; }; ${line}`], {
      env: { ...bareEnvironment(home, env), NODE: process.execPath, PROGRAM },
    });
    return await ended(child, {});
  } finally {
    await rm(home, { recursive: true, force: true, maxRetries: 3 });
  }
}

function bareEnvironment(home: string, env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: home,
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_CACHE_HOME: join(home, 'cache'),
    NODE_COMPILE_CACHE: COMPILED,
    ...env,
  };
}

function ended(child: ChildProcess, { stdin, started, when }: SpawnOptions): Promise<Ended> {
  return new Promise((resolve, reject) => {
    started?.(child);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let waiting = when;
    const look = (): void => {
      if (!waiting?.[0].test(`${Buffer.concat(out)}${Buffer.concat(err)}`)) return;
      const act = waiting[1];
      waiting = undefined;
      Promise.resolve(act(child)).catch(reject);
    };
    child.stdout?.on('data', (chunk: Buffer) => {
      out.push(chunk);
      look();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      err.push(chunk);
      look();
    });
    child.on('error', reject);
    child.on('close', (exitCode, signal) => {
      resolve({ stdout: `${Buffer.concat(out)}`, stderr: `${Buffer.concat(err)}`, exitCode, signal });
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
  });
}
