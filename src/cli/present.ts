import { isRegopsError } from '../base/index.ts';
import { type Answer, NO_TERMINAL, renderAnswer, writeOutput } from './answer.ts';
import { wantsColor } from './color.ts';
import { exitCodeOf } from './exit-codes.ts';
import type { OutputFormat } from './flags.ts';
import type { Messages } from './messages.ts';
import { writeAll } from './stdio.ts';

/** In which form the answer is given, and where. */
export interface Presentation {
  readonly format: OutputFormat;
  /** A file, or `-` for stdout. */
  readonly output?: string | undefined;
  /** How the answer gets into the file when it is not to replace it. Throws OUTPUT_FAILED. */
  readonly append?: ((text: string) => void) | undefined;
}

/**
 * Gives the answer: on stdout, or in a file with the human summary on stdout. The exit code is set before
 * the first byte is written, for a reader that goes away (EPIPE) ends the program with it. A file that
 * cannot be written changes the exit code and sends the answer to stdout, so that long work is not lost.
 */
export async function present(answer: Answer, how: Presentation, messages: Messages): Promise<void> {
  const { stdout } = process;
  const toFile = how.output !== undefined && how.output !== '-';
  const terminal = {
    color: wantsColor(stdout, process.env),
    tty: Boolean(stdout.isTTY),
    width: stdout.columns,
  };
  const { text, exitCode } = renderAnswer(answer, how.format, toFile ? NO_TERMINAL : terminal);
  process.exitCode = exitCode;
  const { summary, lines, exact } = answer.report;
  if (!toFile) {
    await writeAll(stdout, text);
    // A pipe got the bare lines alone; whoever watches still learns what they sum up to.
    const bare = lines !== undefined || exact !== undefined;
    if (summary !== undefined && bare && how.format === 'table' && !terminal.tty) messages.info(summary);
    return;
  }
  try {
    if (how.append) how.append(text);
    else await writeOutput(how.output, text);
  } catch (error) {
    if (!isRegopsError(error)) throw error;
    messages.error(error);
    const failed = { ...answer, error: answer.error ?? error, exitCode: exitCodeOf(answer.error ?? error) };
    await present(failed, { format: how.format }, messages);
    return;
  }
  if (summary !== undefined) await writeAll(stdout, `${messages.clean(summary)}\n`);
}
