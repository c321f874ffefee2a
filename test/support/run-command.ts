/**
 * Runs a command in this process, in vitest's own module graph, and catches what it writes. The command
 * sees neither the developer's settings nor any REGOPS_ variable, and every run leaves the process as it was.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Command } from '@oclif/core/command';
import { Config } from '@oclif/core/config';
import { settings } from '@oclif/core/settings';
import { readAnswer, readEvents } from './json-answer.ts';

/** What a developer's or CI's environment may say to regops, and a test must not hear. */
const FOREIGN_VARIABLES =
  /^(REGOPS_|XDG_|NO_COLOR$|FORCE_COLOR$|DOCKER_|REGISTRY_AUTH_FILE$|SSL_CERT_FILE$|(HTTPS?|NO)_PROXY$)/i;

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface RunOptions {
  /** Variables to set beside a bare minimum; `undefined` unsets one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What is piped in; without it stdin is empty. */
  readonly stdin?: string | Uint8Array;
  /** Makes stdout and stderr look like terminals, of this many columns. */
  readonly tty?: number;
  /** Called when the command has begun, with a way to send it a signal, and what it has written to stdout and stderr so far. */
  readonly whileRunning?: (
    signal: (name: 'SIGINT' | 'SIGTERM') => void,
    stdout: () => string,
    stderr: () => string,
  ) => Promise<void>;
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
  /** The JSON answer on stdout, checked against its schema. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any command's result
  json(): any;
  /** The lines of `--format ndjson` on stdout, checked against the schema of these events. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  events(name: string): any[];
}

type Runnable = new (argv: string[], config: Config) => Command;

/** Runs `regops <words> <argv>`: `runCommand('config set', ['timeout', '30s'])`. */
export async function runCommand(
  words: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const place = join(root, 'commands', words.replaceAll(' ', '/'));
  const path = existsSync(`${place}.ts`) ? `${place}.ts` : `${place}/index.ts`;
  const { default: command } = (await import(path)) as { default: Runnable };
  return runCommandClass(command, words.replaceAll(' ', ':'), argv, options);
}

/** As {@link runCommand}, for a command that is not in `commands/`. */
export async function runCommandClass(
  command: Runnable,
  id: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  (command as unknown as { id: string }).id = id;
  const config = await loadConfig();
  const home = await mkdtemp(join(tmpdir(), 'regops-home-'));
  const restore = isolate({ HOME: home, XDG_CONFIG_HOME: join(home, 'config'), ...options.env });
  const stdin = Object.getOwnPropertyDescriptor(process, 'stdin');
  Object.defineProperty(process, 'stdin', {
    configurable: true,
    value: Readable.from(options.stdin === undefined ? [] : [Buffer.from(options.stdin)]),
  });
  const stdout = capture(process.stdout, options.tty);
  const stderr = capture(process.stderr, options.tty);
  const exitCode = process.exitCode;
  process.exitCode = undefined;
  try {
    const running = (new command([...argv], config) as unknown as { _run(): Promise<void> })._run();
    await options.whileRunning?.((name) => void process.emit(name), stdout.text, stderr.text);
    await running;
    const text = stdout.text();
    return {
      stdout: text,
      stderr: stderr.text(),
      exitCode: Number(process.exitCode ?? 0),
      json: () => readAnswer(text),
      events: (name) => readEvents(name, text),
    };
  } finally {
    stdout.restore();
    stderr.restore();
    process.exitCode = exitCode;
    if (stdin) Object.defineProperty(process, 'stdin', stdin);
    restore();
    await rm(home, { recursive: true, force: true });
  }
}

let loaded: Promise<Config> | undefined;

/** The CLI's configuration, its commands read from their sources. */
export function loadConfig(): Promise<Config> {
  loaded ??= (async () => {
    settings.enableAutoTranspile = false;
    const pjson = JSON.parse(
      (await readFile(join(root, 'package.json'), 'utf8')).replaceAll('"./dist/', '"./'),
    );
    return Config.load({ root, pjson, ignoreManifest: true });
  })();
  return loaded;
}

function isolate(variables: Readonly<Record<string, string | undefined>>): () => void {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) {
    if (FOREIGN_VARIABLES.test(name)) delete process.env[name];
  }
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  return () => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  };
}

function capture(
  stream: NodeJS.WriteStream,
  columns: number | undefined,
): { text(): string; restore(): void } {
  const chunks: Buffer[] = [];
  const { write } = stream;
  const looks = columns === undefined ? {} : { isTTY: true, columns, rows: 40 };
  const before = Object.entries(Object.getOwnPropertyDescriptors(stream)).filter(([name]) => name in looks);
  for (const [name, value] of Object.entries(looks)) {
    Object.defineProperty(stream, name, { configurable: true, writable: true, value });
  }
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    chunks.push(Buffer.from(chunk as Uint8Array));
    const done = rest.find((item) => typeof item === 'function') as (() => void) | undefined;
    done?.();
    return true;
  }) as typeof stream.write;
  return {
    text: () => Buffer.concat(chunks).toString('utf8'),
    restore: () => {
      stream.write = write;
      for (const name of Object.keys(looks)) Reflect.deleteProperty(stream, name);
      Object.defineProperties(stream, Object.fromEntries(before));
    },
  };
}
