import type { Clock } from '../../base/index.ts';
import type { Progress, ProgressTask } from '../../progress/events.ts';
import type { PushedBlobResult, PushedManifest, PushedTag } from './result.ts';

/** What just happened in a push; the lines of `--format ndjson`. */
export type PushTarEvent =
  /** All that is going to be done; bytes as the archive holds them. */
  | {
      readonly type: 'plan';
      readonly plan: { readonly images: number; readonly blobs: number; readonly bytes: number };
    }
  /** At most once a second, while bytes move. */
  | { readonly type: 'progress'; readonly progress: PushProgress }
  | { readonly type: 'blob'; readonly repository: string; readonly blob: PushedBlobResult }
  | { readonly type: 'manifest'; readonly repository: string; readonly manifest: PushedManifest }
  /** Everything below it is there. */
  | { readonly type: 'tag'; readonly tag: PushedTag; readonly digest: string };

/** Bytes as the archive holds them, of all blobs in all repositories. */
export interface PushProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly doneBlobs: number;
  readonly totalBlobs: number;
}

const TELL_EVERY_MS = 1000;

/** The same progress, and told to `tell` as well, with sums. */
export function toldProgress(
  progress: Progress,
  clock: Pick<Clock, 'now'>,
  tell: (progress: PushProgress) => void,
): Progress {
  let [doneBytes, totalBytes, doneBlobs, totalBlobs] = [0, 0, 0, 0];
  let toldAt = clock.now();
  const moved = (bytes: number): void => {
    doneBytes += bytes;
    const now = clock.now();
    if (now - toldAt < TELL_EVERY_MS) return;
    toldAt = now;
    tell({ doneBytes, totalBytes, doneBlobs, totalBlobs });
  };
  return {
    phase: (text) => progress.phase(text),
    close: () => progress.close(),
    expect(tasks, bytes) {
      totalBlobs += tasks;
      totalBytes += bytes;
      progress.expect(tasks, bytes);
    },
    task(label, bytes = 0): ProgressTask {
      const inner = progress.task(label, bytes);
      let left = bytes;
      return {
        advance(more) {
          left -= more;
          moved(more);
          inner.advance(more);
        },
        total: (all) => inner.total(all),
        end(outcome) {
          if (outcome !== 'failed') {
            doneBlobs++;
            moved(left);
          }
          inner.end(outcome);
        },
      };
    },
  };
}
