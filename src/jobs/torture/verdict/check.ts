import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { counted, isRegopsError, type Log, RegopsError, unreadable } from '../../../base/index.ts';
import {
  HistoryDecoder,
  type HistoryEntry,
  HistoryJudge,
  type Operation,
  readHistory,
} from '../../../history/index.ts';
import type { KindFigures } from '../../../load/index.ts';
import type { Progress, ProgressTask } from '../../../progress/events.ts';
import { RunFigures } from './figures.ts';
import { LastLooks } from './last-looks.ts';
import { type Requirement, runOf, type VerdictResult, verdictResult } from './result.ts';

/** Operations that one mark may leave open; a history without marks is held whole. */
const MAX_OPEN = 2_000_000;

export interface CheckOptions {
  /** The history file; it may be a pipe. */
  readonly file: string;
  readonly required: Requirement;
  /** How long lists and lagging replicas may take after the last change before that is a finding. */
  readonly settleMs: number;
  /** How long what was deleted may still be found. */
  readonly deleteGraceMs: number;
}

export interface CheckContext {
  readonly signal: AbortSignal;
  readonly progress: Progress;
  readonly log: Log;
}

/**
 * Judges a recorded history as it is read: what a mark of it settles is forgotten. One whose last line was cut off is
 * judged up to its last mark, with a warning: what was under way at its end is not in it.
 * @throws FILE_NOT_FOUND, IO_FAILED, INPUT_INVALID with the line's number; INTERRUPTED
 */
export async function checkHistory(options: CheckOptions, context: CheckContext): Promise<VerdictResult> {
  const { file } = options;
  const decoder = new HistoryDecoder(file);
  const judge = new HistoryJudge({
    settleUs: options.settleMs * 1000,
    deleteGraceUs: options.deleteGraceMs * 1000,
  });
  const feed = new Feed(judge, decoder, file);
  const size = await stat(file).then(
    (one) => (one.isFile() ? one.size : undefined),
    () => undefined,
  );
  const task = context.progress.task(basename(file), size);
  let torn = false;
  try {
    for await (const entries of readHistory(chunksOf(file, task, context.signal), decoder, () => {
      torn = true;
    })) {
      for (const entry of entries) feed.take(entry);
    }
  } catch (error) {
    task.end('failed');
    throw error;
  }
  task.end('judged');
  const left = feed.end(torn);
  if (torn) {
    context.log.warn(
      `${file}: the last line is cut off: what followed the last mark (${counted(left, 'operation')}) is not judged`,
    );
  }
  const judgement = judge.finish();
  if (judgement.late > 0) {
    context.log.warn(
      `${file}: ${counted(judgement.late, 'operation')} of repositories that had ended: not judged`,
    );
  }
  return verdictResult(judgement, options.required, {
    ...runOf(decoder.header),
    durationMs: feed.durationMs,
    kinds: feed.kinds(),
    unseenRepositories: feed.unseen,
    settleMs: options.settleMs,
    deleteGraceMs: options.deleteGraceMs,
    history: file,
    repro: null,
    interrupted: false,
  });
}

/**
 * Gives a judge only what is known whole: an operation that was not over at the last mark may have seen one that is
 * not in the file when the file was cut off.
 */
class Feed {
  readonly #judge: HistoryJudge;
  readonly #decoder: HistoryDecoder;
  readonly #file: string;
  #figures: RunFigures | undefined;
  #looks: LastLooks | undefined;
  #open: Operation[] = [];
  #ended: string[] = [];
  #fromUs = Number.POSITIVE_INFINITY;
  #toUs = 0;

  constructor(judge: HistoryJudge, decoder: HistoryDecoder, file: string) {
    this.#judge = judge;
    this.#decoder = decoder;
    this.#file = file;
  }

  get durationMs(): number {
    return Math.max(0, this.#toUs - this.#fromUs) / 1000;
  }

  /** Repositories that gave no answer when they were looked at once more. */
  get unseen(): number {
    return this.#looks?.unseen ?? 0;
  }

  /** How fast what was judged was, by kind of operation. */
  kinds(): KindFigures[] {
    return this.#figures?.kinds() ?? [];
  }

  take(entry: HistoryEntry): void {
    if (entry.type === 'operation') {
      if (this.#open.length >= MAX_OPEN) {
        throw new RegopsError('INPUT_INVALID', `${this.#file}: more than ${MAX_OPEN} operations at once`, {
          hints: ['A history says with ["m",TIME] up to when it is complete.'],
        });
      }
      this.#open.push(entry.operation);
    } else if (entry.type === 'end') this.#ended.push(entry.repository);
    else this.#settle(entry.knownUs);
  }

  /** No more comes. Gives how many operations were left out. */
  end(torn: boolean): number {
    const left = torn ? this.#open.length : 0;
    if (!torn) this.#settle(Number.POSITIVE_INFINITY);
    this.#open = [];
    return left;
  }

  #settle(knownUs: number): void {
    // The header is known by now.
    this.#figures ??= new RunFigures(this.#decoder.header?.clients);
    this.#looks ??= new LastLooks(this.#decoder.header?.clients);
    const open: Operation[] = [];
    let completeUs = knownUs;
    for (const operation of this.#open) {
      if (operation.returnUs < knownUs) {
        this.#judge.add(operation);
        this.#figures.add(operation);
        this.#looks.add(operation);
        this.#fromUs = Math.min(this.#fromUs, operation.callUs);
        this.#toUs = Math.max(this.#toUs, operation.returnUs);
      } else {
        open.push(operation);
        completeUs = Math.min(completeUs, operation.callUs);
      }
    }
    this.#open = open;
    if (Number.isFinite(completeUs)) this.#judge.mark(completeUs);
    const stillOpen = new Set(open.map(({ repository }) => repository));
    for (const repository of this.#ended) {
      if (stillOpen.has(repository)) continue;
      this.#judge.closeRepository(repository);
      this.#looks.close(repository);
    }
    this.#ended = this.#ended.filter((repository) => stillOpen.has(repository));
  }
}

async function* chunksOf(file: string, task: ProgressTask, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(file, { signal, highWaterMark: 64 * 1024 })) {
      task.advance(chunk.length);
      yield chunk;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw isRegopsError(error) ? error : unreadable(file, error);
  }
}
