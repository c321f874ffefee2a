import type { LoadOptions } from '@oclif/core/interfaces';
import { run } from '@oclif/core/run';
import { asRegopsError, isRegopsError, messageOf, systemClock } from '../base/index.ts';
import { wantsColor } from './color.ts';
import { EXIT_CODES, exitCodeOf, SIGNAL_CODES } from './exit-codes.ts';
import { Messages } from './messages.ts';
import { present } from './present.ts';
import { readRawArgv, refusalFormat } from './raw-argv.ts';
import { stopForReader, writeAll } from './stdio.ts';

/**
 * The program: finds and runs the command, and sees to the process around it. A reader of stdout that has
 * seen enough (`| head`) ends it silently; a failure outside of any command is told like one inside; and
 * it never ends with a code that says more than is true.
 */
export async function main(options: Exclude<LoadOptions, string | undefined>): Promise<void> {
  let settled = false;
  // First in the row: oclif's own listener lets work go on after EPIPE, and throws all else.
  process.stdout.prependListener('error', (error: NodeJS.ErrnoException) => {
    settled = true;
    if (error.code === 'EPIPE') {
      if (!stopForReader()) process.exit(process.exitCode ?? 0);
      return;
    }
    process.stderr.write(`error: cannot write to standard output: ${messageOf(error)}\n`);
    process.exit(EXIT_CODES['cannot-write']);
  });
  // Nobody is left to tell, be it a reader that went away or a full disk: that must not end the work.
  process.stderr.on('error', () => {});
  process.on('uncaughtException', (error) => {
    settled = true;
    void tell(error).then(() => process.exit());
  });
  // Work that waits for something that can no longer happen empties the event loop, and Node leaves with 0,
  // or with 13 when a module waits along.
  process.on('exit', (code) => {
    if (settled || (code !== 0 && code !== 13)) return;
    process.stderr.write('error: regops ended before its work was done; this is a bug\n');
    process.exitCode = EXIT_CODES.bug;
  });

  try {
    await run(helpAsFlag(process.argv.slice(2)), options);
  } catch (error) {
    if (isExit(error)) process.exitCode = error.oclif.exit;
    else await tell(error);
  }
  await writeAll(process.stdout, '');
  settled = true;
  // Interrupted work may have left connections that nobody waits for.
  if (Object.values<unknown>(SIGNAL_CODES).includes(process.exitCode)) process.exit();
}

/** `regops help inspect` is `regops inspect --help`. */
function helpAsFlag(argv: readonly string[]): string[] {
  return argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv];
}

/** Tells of a failure outside of any command: an unknown one, a broken installation, a bug. */
async function tell(thrown: unknown): Promise<void> {
  const error = asRegopsError(thrown);
  const raw = readRawArgv(process.argv.slice(2), process.env);
  const messages = new Messages({
    line: (text) => void process.stderr.write(`${text}\n`),
    color: wantsColor(process.stderr, process.env, raw.noColor),
    quiet: raw.quiet,
    verbose: raw.verbose,
  });
  const answer = {
    command: 'cli',
    result: null,
    report: {},
    exitCode: exitCodeOf(error),
    interrupted: false,
    at: systemClock.now(),
    warnings: [],
    error,
  };
  await present(answer, { format: refusalFormat(raw) }, messages);
  messages.error(error);
}

/** How oclif ends a program on purpose. */
function isExit(error: unknown): error is Error & { oclif: { exit: number } } {
  return !isRegopsError(error) && (error as { code?: unknown } | null)?.code === 'EEXIT';
}
