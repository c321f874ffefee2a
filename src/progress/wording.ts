import { escapeText, formatBytes, formatDuration } from '../base/index.ts';

/** The line that stays of a task: `uploaded sha256:0123…  12 MiB in 3.2s`. */
export function endedLine(outcome: string, label: string, bytes: number, tookMs: number): string {
  const moved = bytes > 0 ? `  ${formatBytes(bytes)} in ${formatDuration(tookMs)}` : '';
  return `${escapeText(outcome)} ${escapeText(label)}${moved}`;
}
