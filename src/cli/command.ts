import { Command } from '@oclif/core/command';
import type { InferredArgs, InferredFlags } from '@oclif/core/interfaces';
import { asRegopsError, RegopsError, systemClock } from '../base/index.ts';
import type { Answer } from './answer.ts';
import { forbidColor, wantsColor } from './color.ts';
import type { CommandContext, Outcome } from './context.ts';
import { COMMON_EXIT_STATUS, type ExitStatus, exitCodeOf, SIGNAL_CODES } from './exit-codes.ts';
import { dropExcluded, type Origin, prepareFlags } from './flag-values.ts';
import { environmentName, SECRET_FLAGS } from './flags.ts';
import { Messages } from './messages.ts';
import { Output } from './output.ts';
import { present } from './present.ts';
import { readRawArgv, refusalFormat } from './raw-argv.ts';
import { settingNames, unknownSettings } from './setting-keys.ts';
import { cacheFolder, readSettings, settingsPath } from './settings.ts';
import { type StopSignal, watchSignals } from './signals.ts';
import { whenReaderLeaves } from './stdio.ts';
import { usageErrorOf } from './usage-error.ts';
import { usageLine } from './usage-line.ts';

type CommandClass = typeof Command;

/** What a command's body is given. */
export interface CommandInput<C extends CommandClass> {
  readonly flags: InferredFlags<C['flags']>;
  readonly args: InferredArgs<C['args']>;
  /** The positional arguments in their order, as their parsers read them. */
  readonly argv: string[];
  readonly context: CommandContext;
}

/** How a command differs from most. */
export interface WorkOptions {
  /** The settings file is not read: for the commands that repair it. */
  readonly ignoreSettings?: boolean;
  /** SIGINT and SIGTERM are the ordinary end, with exit 0: for servers. */
  readonly endsOnSignal?: boolean;
}

/** A command line, read: flags with their values from wherever they came. */
interface Invocation {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly args: Readonly<Record<string, unknown>>;
  readonly argv: readonly string[];
  /** Flags that were typed. */
  readonly typed: ReadonlySet<string>;
  /** Where the values of others come from. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** By flag, the variable that stands for it. */
  readonly variables: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/**
 * The base of every command. `run()` is one call of {@link work}: it parses, runs the body with a context,
 * presents what the body gave or threw, and sets the exit code. It throws nothing on and, but for a second
 * signal, never exits by force, so that the answer arrives whole.
 */
export abstract class RegopsCommand extends Command {
  /** The EXIT STATUS section of the help page. */
  static exitStatus: readonly ExitStatus[] = COMMON_EXIT_STATUS;
  /** Variables beside those of the flags, for the ENVIRONMENT section: name and meaning. */
  static environment: readonly (readonly [name: string, meaning: string])[] = [];

  /** oclif's own would write the arguments, secrets among them, to DEBUG output. */
  protected override async init(): Promise<void> {}

  /** Runs the command from its arguments to its exit code; `ctor` is the command's own class. */
  protected async work<C extends CommandClass>(
    ctor: C,
    body: (input: CommandInput<C>) => Promise<Outcome>,
    options: WorkOptions = {},
  ): Promise<void> {
    this.parsed = true;
    if (readRawArgv(this.argv, process.env).noColor) forbidColor(process.env);
    try {
      const invocation = await this.#read(ctor, options);
      await this.#perform(invocation, (input) => body(input as unknown as CommandInput<C>), options);
    } catch (error) {
      await this.#refuse(error);
    }
  }

  /** What escapes `run` without `work`. */
  protected override async catch(error: Error): Promise<void> {
    await this.#refuse(error);
  }

  /** Shows the command's own help page, as `--help` does. */
  protected async showHelp(): Promise<void> {
    const { default: RegopsHelp } = await import('./help.ts');
    this.parsed = true;
    await new RegopsHelp(this.config).showHelp((this.id ?? '').split(':'));
  }

  async #read(ctor: CommandClass, options: WorkOptions): Promise<Invocation> {
    const settings = options.ignoreSettings ? undefined : await readSettings(settingsPath(process.env));
    const unknown = settings ? unknownSettings(settings, settingNames(this.config)) : [];
    const { profile } = readRawArgv(this.argv, process.env);
    const { flags, origins } = prepareFlags(ctor.flags, process.env, settings, profile, this);
    const args = Object.fromEntries(
      // Without this, piped stdin silently becomes a missing argument (oclif/core #1107).
      Object.entries(ctor.args).map(([name, arg]) => [name, { ...arg, ignoreStdin: true }]),
    );
    const output = await this.parse({ flags, args, strict: ctor.strict }).catch((error: unknown) => {
      throw usageErrorOf(error, Object.keys(ctor.flags), this.argv);
    });
    const typed = new Set(output.raw.flatMap((token) => (token.type === 'flag' ? [token.flag] : [])));
    const values: Record<string, unknown> = output.flags;
    dropExcluded(values, ctor.flags, origins, typed);
    refuseTwoReaders(output.argv as string[], values);
    // oclif leaves a switch that was not given undefined, though its types say boolean.
    for (const [name, flag] of Object.entries(ctor.flags)) {
      if (flag.type === 'boolean') values[name] ??= false;
    }
    return {
      flags: { ...values, format: values['json'] ? 'json' : values['format'] },
      args: output.args,
      argv: output.argv as string[],
      typed,
      origins,
      variables: new Map(
        Object.entries(ctor.flags).flatMap(([name, { env }]) => (env === undefined ? [] : [[name, env]])),
      ),
      warnings: unknown.map((key) => `${settings?.path}: there is no setting '${key}'; it is ignored`),
    };
  }

  async #perform(
    invocation: Invocation,
    body: (input: { context: CommandContext }) => Promise<Outcome>,
    options: WorkOptions,
  ): Promise<void> {
    if (invocation.flags['no-color']) forbidColor(process.env);
    const output = await Output.open(invocation.flags);
    const { messages } = output;
    const signals = watchSignals({
      source: process,
      onFirst: () => {
        if (!options.endsOnSignal) messages.info('stopping (once more to leave at once)');
      },
      leave: (name) => this.#leave(name, output),
    });
    let unread = false;
    whenReaderLeaves(() => {
      unread = true;
      signals.abandon(() => process.exit());
    });
    const closers: (() => void | Promise<void>)[] = [];
    const labels: Record<string, string> = {};
    const context: CommandContext = {
      signal: signals.signal,
      clock: systemClock,
      progress: output.progress,
      log: messages,
      environment: process.env,
      get stdin() {
        return process.stdin;
      },
      userAgent: `regops/${this.config.version}`,
      cacheFolder: cacheFolder(process.env),
      settingsPath: settingsPath(process.env),
      conceal: (secret) => messages.conceal(secret),
      label(name, value) {
        labels[name] = value;
      },
      defer: (close) => void closers.unshift(close),
      present: (outcome) => output.show({ ...this.#answer(outcome, messages), labels }),
      event: (event) => output.event(event),
      sample: (report) => output.sample({ ...this.#answer({ result: null, report }, messages), labels }),
    };
    try {
      explain(invocation, messages);
      let outcome = await settle(() => body({ ...invocation, context }));
      for (const close of closers) {
        const { error } = await settle(async () => (await close()) ?? NOTHING);
        if (error) messages.trace(`closing: ${error.message}`);
      }
      output.restoreTerminal();
      whenReaderLeaves(undefined);
      // Ends as silently as the reader left; what the work has not closed yet is nothing to wait for.
      if (unread) process.exit();
      const asked = options.endsOnSignal && signals.received !== undefined;
      if (asked && outcome.error?.code === 'INTERRUPTED') outcome = NOTHING;
      const answer = this.#answer(outcome, messages, asked ? undefined : signals.received);
      await output.show({ ...answer, labels });
      if (answer.error) messages.error(answer.error);
    } finally {
      whenReaderLeaves(undefined);
      signals.stop();
      output.close();
    }
  }

  /** Ends the program at once, with what can be said without waiting: a pipe takes this little in one go. */
  #leave(name: StopSignal, output: Output): never {
    output.restoreTerminal();
    const error = new RegopsError('INTERRUPTED', `interrupted by ${name}`);
    output.leave(this.#answer({ ...NOTHING, error }, output.messages, name));
    process.exit(SIGNAL_CODES[name]);
  }

  #answer(outcome: Outcome, messages: Messages, signal?: StopSignal): Answer {
    const { result, report } = outcome;
    const error = outcome.error && this.#ready(outcome.error, messages);
    return {
      command: (this.id ?? 'regops').replaceAll(':', '.'),
      result,
      report,
      exitCode: signal ? SIGNAL_CODES[signal] : error ? exitCodeOf(error) : (outcome.exitCode ?? 0),
      interrupted: signal !== undefined,
      at: systemClock.now(),
      warnings: messages.warnings,
      error,
    };
  }

  /** The error as it is told: without secrets, and a usage error with the way to the command's help. */
  #ready({ code, message, hints, details, cause }: RegopsError, messages: Messages): RegopsError {
    const id = (this.id ?? '').replaceAll(':', ' ');
    const { bin } = this.config;
    const args = Object.entries(this.ctor.args).map(([name, arg]) => ({ ...arg, name }));
    const usage = [`Usage: ${bin} ${usageLine(id, args, this.ctor.strict)}`, `See ${bin} ${id} --help`];
    return new RegopsError(code, messages.clean(message), {
      hints: [...hints, ...(code === 'USAGE' ? usage : [])].map((hint) => messages.clean(hint)),
      details,
      cause,
    });
  }

  /** A failure before the body could run: told where the arguments, as far as they can be read, ask for it. */
  async #refuse(thrown: unknown): Promise<void> {
    const raw = readRawArgv(this.argv, process.env);
    const messages = new Messages({
      line: (text) => void process.stderr.write(`${text}\n`),
      color: wantsColor(process.stderr, process.env, raw.noColor),
      quiet: raw.quiet,
      verbose: raw.verbose,
    });
    const answer = this.#answer({ ...NOTHING, error: asRegopsError(thrown) }, messages);
    await present(answer, { format: refusalFormat(raw) }, messages);
    if (answer.error) messages.error(answer.error);
  }
}

const NOTHING: Outcome = { result: null, report: {} };

/** Standard input can be read only once: as one archive, or as a password. */
function refuseTwoReaders(argv: readonly string[], flags: Readonly<Record<string, unknown>>): void {
  const readers = argv.filter((word) => word === '-').length + (flags['password-stdin'] ? 1 : 0);
  if (readers > 1) {
    throw new RegopsError('USAGE', 'standard input is asked for more than once (by - or --password-stdin)');
  }
}

async function settle(work: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await work();
  } catch (error) {
    return { ...NOTHING, error: asRegopsError(error) };
  }
}

/** What is worth knowing about where values came from. */
function explain({ flags, typed, origins, variables, warnings }: Invocation, messages: Messages): void {
  for (const warning of warnings) messages.warn(warning);
  for (const [name, origin] of origins) {
    if (typed.has(name) || flags[name] === undefined) continue;
    const value = SECRET_FLAGS.has(name) ? '' : `=${origin.value}`;
    messages.trace(`setting: --${name}${value} from ${origin.name}`);
  }
  for (const name of ['password', 'pullthrough-password', 'token', 'secret']) {
    if (!typed.has(name)) continue;
    const safer = `${name === 'password' ? '--password-stdin or ' : ''}${variables.get(name) ?? environmentName(name)}`;
    messages.hint(`--${name} shows the secret to everyone who can list processes; ${safer} does not`);
  }
}
