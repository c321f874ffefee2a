import { messageOf, RegopsError, safeJson, writeFileAtomically } from '../base/index.ts';
import { nagiosLine, type Report, renderNagios, renderTable } from '../report/index.ts';
import { exitCodeOf, NAGIOS } from './exit-codes.ts';
import type { OutputFormat } from './flags.ts';

/** What a command has to say in the end. */
export interface Answer {
  /** The command's words joined by dots: `config.set`. */
  readonly command: string;
  /** The JSON answer's `result`; null when the work failed before it had any. */
  readonly result: unknown;
  readonly report: Report;
  readonly exitCode: number;
  readonly interrupted: boolean;
  readonly warnings: readonly string[];
  /** Already free of secrets. */
  readonly error?: RegopsError | undefined;
}

/** How text for people is drawn. */
export interface Drawing {
  readonly color: boolean;
  readonly tty: boolean;
  readonly width: number | undefined;
}

/** The JSON answer (cli.md, "Streams"). */
export function jsonAnswer(answer: Answer): string {
  const { command, result, exitCode, interrupted, warnings, error } = answer;
  const envelope = {
    schema: `regops.${command}/1`,
    ok: exitCode === 0,
    exitCode,
    ...(interrupted ? { interrupted } : {}),
    result: result ?? null,
    warnings,
    ...(error
      ? {
          error: {
            code: error.code,
            message: error.message,
            hints: error.hints,
            ...(Object.keys(error.details).length > 0 ? { details: error.details } : {}),
          },
        }
      : {}),
  };
  return `${safeJson(envelope, 2)}\n`;
}

/** The answer's text in a format, and the exit code where the format has its own. */
export function renderAnswer(
  answer: Answer,
  format: OutputFormat,
  drawing: Drawing,
): { text: string; exitCode: number } {
  switch (format) {
    case 'json':
      return { text: jsonAnswer(answer), exitCode: answer.exitCode };
    case 'nagios': {
      const { error, report } = answer;
      const service = answer.command.split('.').join(' ');
      if (error) {
        const exitCode = exitCodeOf(error, true);
        const state = exitCode === NAGIOS.critical ? 'CRITICAL' : 'UNKNOWN';
        return { text: nagiosLine(service, state, error.message), exitCode };
      }
      const { state, line } = renderNagios(report, service);
      return { text: line, exitCode: NAGIOS[state.toLowerCase() as keyof typeof NAGIOS] };
    }
    case 'table':
      return {
        text: renderTable(answer.report, {
          color: drawing.color,
          tty: drawing.tty,
          ...(drawing.width === undefined ? {} : { width: drawing.width }),
        }),
        exitCode: answer.exitCode,
      };
  }
}

/** Writes `--output FILE` (0644, atomically). Throws OUTPUT_FAILED. */
export async function writeOutput(path: string, text: string): Promise<void> {
  try {
    await writeFileAtomically(path, text, 0o644);
  } catch (error) {
    throw new RegopsError('OUTPUT_FAILED', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}
