import { counted, formatBytes, formatDuration } from '../../base/index.ts';
import type { Report } from '../../report/model.ts';
import type { PushedImage, PushTarResult } from './result.ts';

/**
 * push-tar's answer for people and pipes: one `REF@DIGEST` line per tag, nothing else on stdout; the
 * sums are its summary.
 */
export function reportPushTar(result: PushTarResult): Report {
  return {
    lines: result.images.flatMap((image) => linesOf(image, result.dryRun)),
    summary: summaryOf(result),
  };
}

/** What an error kept from being tagged is no answer; a dry run names what would be. */
function linesOf(image: PushedImage, dryRun: boolean): string[] {
  return image.tags
    .filter((tag) => dryRun || tag.status !== 'planned')
    .map(({ reference }) =>
      image.digest === undefined || reference.includes('@') ? reference : `${reference}@${image.digest}`,
    );
}

function summaryOf({ totals, dryRun }: PushTarResult): string {
  if (dryRun) {
    const planned = totals.blobs - totals.existing;
    return `dry run: ${planned} of ${totals.blobs} blobs would be pushed, ${totals.existing} are there`;
  }
  const rate =
    totals.durationMs > 0 ? ` at ${formatBytes((totals.sentBytes / totals.durationMs) * 1000)}/s` : '';
  return (
    `${counted(totals.tags, 'tag')}, ${counted(totals.blobs, 'blob')}: ${totals.uploaded} uploaded, ${totals.mounted} mounted, ` +
    `${totals.existing} there already; sent ${formatBytes(totals.sentBytes)} in ${formatDuration(totals.durationMs)}` +
    (totals.sentBytes > 0 ? rate : '')
  );
}
