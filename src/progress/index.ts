/**
 * progress: what is happening. Work reports to a Progress (events.ts) without knowing who looks; here are
 * the three that show it: bars on a terminal, plain lines in a log, nothing at all. All of it goes to the
 * stream it is given (stderr), never to the answer.
 */
import type { Display, ProgressOptions } from './display.ts';
import { silentProgress } from './events.ts';
import { PlainProgress } from './plain.ts';

export type { Display, ProgressMode, ProgressOptions, ProgressStream } from './display.ts';
export * from './events.ts';
export { sparkline } from './sparkline.ts';

/** The display that fits the stream and the wish. */
export async function createProgress(options: ProgressOptions): Promise<Display> {
  const { stream, mode } = options;
  if (mode === 'silent') return silentDisplay(options);
  if (mode === 'tty' || (mode === 'auto' && stream.isTTY)) {
    // Loaded only here: a log or a pipe does not pay for it.
    const { TerminalProgress } = await import('./terminal.ts');
    return new TerminalProgress(options);
  }
  return new PlainProgress(options);
}

/** Draws nothing, but still prints the lines of others. */
function silentDisplay({ stream }: ProgressOptions): Display {
  return {
    ...silentProgress,
    line: (text) => void stream.write(`${text}\n`),
    panel: () => false,
  };
}
