import type { Engine, Image, ImageEntry, TransferEvent } from '../../engine/index.ts';
import type { Progress, ProgressTask } from '../../progress/events.ts';
import { ID_LABEL, readSnapshotLabels, type SnapshotFacts } from './labels.ts';
import type { SnapshotIdentity } from './result.ts';

/** A snapshot as an engine holds it. */
export interface LocalSnapshot {
  readonly facts: SnapshotFacts;
  readonly image: ImageEntry;
}

/** The snapshots in an engine, however they got there. */
export async function localSnapshots(engine: Engine): Promise<readonly LocalSnapshot[]> {
  return (await engine.images.list([ID_LABEL])).flatMap((image) => {
    const facts = readSnapshotLabels(image.labels, image.createdMs);
    return facts ? [{ facts, image }] : [];
  });
}

/** What an image in an engine says of itself as a snapshot. */
export function factsOf(image: Image): SnapshotFacts | undefined {
  return readSnapshotLabels(image.run.labels, Date.parse(image.created) || 0);
}

/** As answers name a snapshot. */
export function identityOf(facts: SnapshotFacts): SnapshotIdentity {
  const { id, tag, source, parent, host, createdMs, expiresMs } = facts;
  return {
    ...{ id, tag, source, parent, host },
    created: new Date(createdMs).toISOString(),
    expires: expiresMs === undefined ? null : new Date(expiresMs).toISOString(),
  };
}

/** How the layers' phases are called when they are over. */
const ENDS: Readonly<Record<string, string>> = {
  pushed: 'pushed',
  exists: 'exists',
  mounted: 'mounted',
  pulled: 'pulled',
};

/** A bar for each layer that an engine moves; layers that the other side has get none. */
export class LayerBars {
  readonly #progress: Progress;
  readonly #label: string;
  readonly #bars = new Map<string, { task: ProgressTask; shown: number; total: number }>();

  constructor(progress: Progress, label: string) {
    this.#progress = progress;
    this.#label = label;
  }

  /** Shows what the engine said. */
  readonly take = (event: TransferEvent): void => {
    if (event.kind !== 'layer') return;
    const { layer, phase, currentBytes, totalBytes } = event;
    let bar = this.#bars.get(layer);
    const end = ENDS[phase];
    if (end !== undefined) {
      bar?.task.end(end);
      this.#bars.delete(layer);
      return;
    }
    if (phase === 'retrying') {
      this.#move(layer, 0);
      return;
    }
    if ((phase !== 'pushing' && phase !== 'downloading') || currentBytes === undefined) return;
    if (!bar) {
      bar = {
        task: this.#progress.task(`${this.#label} ${layer}`, totalBytes),
        shown: 0,
        total: totalBytes ?? 0,
      };
      this.#bars.set(layer, bar);
    }
    if (totalBytes !== undefined && totalBytes !== bar.total) {
      bar.total = totalBytes;
      bar.task.total(totalBytes);
    }
    this.#move(layer, currentBytes);
  };

  /** Takes down what is still shown: the transfer ended without a word about it. */
  close(outcome: string): void {
    for (const { task } of this.#bars.values()) task.end(outcome);
    this.#bars.clear();
  }

  #move(layer: string, bytes: number): void {
    const bar = this.#bars.get(layer);
    if (!bar || bytes === bar.shown) return;
    bar.task.advance(bytes - bar.shown);
    bar.shown = bytes;
  }
}
