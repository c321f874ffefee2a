import { messageOf, RegopsError, safeJson, writeFileAtomically } from '../base/index.ts';
import {
  type Ending,
  nagiosLine,
  type Report,
  renderHtml,
  renderJunit,
  renderNagios,
  renderPrometheus,
  renderTable,
} from '../report/index.ts';
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
  /** When it was said, in milliseconds since the epoch. */
  readonly at: number;
  /** What all its numbers are of. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Already free of secrets. */
  readonly error?: RegopsError | undefined;
}

/** How text for people is drawn. */
export interface Drawing {
  readonly color: boolean;
  readonly tty: boolean;
  readonly width: number | undefined;
}

/** How it is drawn where nobody looks. */
export const NO_TERMINAL: Drawing = { color: false, tty: false, width: undefined };

/** The JSON answer (cli.md, "Streams"). */
export function jsonAnswer(answer: Answer): string {
  return `${safeJson(envelopeOf(answer), 2)}\n`;
}

/** The JSON answer as the last line of `ndjson`, after the events. */
export function ndjsonAnswer(answer: Answer): string {
  return `${safeJson({ type: 'result', ...envelopeOf(answer) })}\n`;
}

function envelopeOf(answer: Answer): object {
  const { command, result, exitCode, interrupted, warnings, error } = answer;
  return {
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
}

function endingOf({ command, exitCode, interrupted, at, labels = {}, warnings, error }: Answer): Ending {
  return {
    command: command.split('.').join(' '),
    ok: exitCode === 0,
    interrupted,
    at,
    labels,
    warnings,
    error,
  };
}

/** The answer's text in a format, and the exit code where the format has its own. */
export function renderAnswer(
  answer: Answer,
  format: OutputFormat,
  drawing: Drawing,
): { text: string; exitCode: number } {
  const { report, exitCode } = answer;
  switch (format) {
    case 'json':
      return { text: jsonAnswer(answer), exitCode };
    case 'ndjson':
      return { text: ndjsonAnswer(answer), exitCode };
    case 'junit':
      return { text: renderJunit(report, endingOf(answer)), exitCode };
    case 'prometheus':
      return { text: renderPrometheus(report, endingOf(answer)), exitCode };
    case 'html':
      return { text: renderHtml(report, endingOf(answer)), exitCode };
    case 'nagios': {
      const { error } = answer;
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
        text: renderTable(report, {
          color: drawing.color,
          tty: drawing.tty,
          ...(drawing.width === undefined ? {} : { width: drawing.width }),
        }),
        exitCode,
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
