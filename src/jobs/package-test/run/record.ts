import { join } from 'node:path';
import type { LogLink, StageRecord, TaskResult } from '../../../alts/index.ts';
import { asRegopsError, type Log } from '../../../base/index.ts';
import type { Progress } from '../../../progress/events.ts';
import type { StageDetail } from '../result.ts';
import { isStageTimeout, Stage, type Target } from './stage.ts';
import { Transcript } from './transcript.ts';

/** What a stage came to. */
export interface StageEnd {
  readonly ok: boolean;
  /** In one line. */
  readonly note?: string;
  readonly exitCode?: number;
  /** In place of the transcript. */
  readonly output?: string;
  readonly errorOutput?: string;
}

/** The stages of one test as they end, in ALTS' shape. */
export class TestRecord {
  readonly #subject: string;
  readonly #log: Log;
  readonly #progress: Progress;
  readonly #folder: string | undefined;
  readonly #stages: { name: string; stages?: StageRecord[]; record?: StageRecord }[] = [];
  readonly #details: Record<string, StageDetail> = {};
  readonly #logs: LogLink[] = [];
  readonly #skipped: string[] = [];
  /** What should be known although it decides nothing. */
  readonly warnings: string[] = [];

  /** @param folder where the stages' logs go; it exists */
  constructor(subject: string, log: Log, progress: Progress, folder: string | undefined) {
    this.#subject = subject;
    this.#log = log;
    this.#progress = progress;
    this.#folder = folder;
  }

  /**
   * Runs a stage and notes how it ended; true when it went well. That its time is over is its failure. What else
   * throws is no news of the package: it is thrown on, and the stage not noted.
   *
   * @param path of the stage: its group's name first, if it is in one
   */
  async stage(
    path: readonly [string, string?],
    target: Target,
    limitMs: number,
    work: (stage: Stage) => Promise<StageEnd>,
  ): Promise<boolean> {
    const name = path.filter((part) => part !== undefined).join('/');
    this.#progress.phase(`${this.#subject}: ${name}`);
    const transcript = this.#transcript(name);
    const began = performance.now();
    let end: StageEnd;
    try {
      end = await work(new Stage(target, transcript, limitMs));
    } catch (thrown) {
      const error = asRegopsError(thrown);
      transcript.line(`regops: ${error.message}`);
      if (!isStageTimeout(error)) throw error;
      end = { ok: false, note: error.message };
    } finally {
      await transcript.close();
    }
    this.note(path, { output: transcript.text, ...end }, performance.now() - began);
    return end.ok;
  }

  /** Notes a stage that ran no programs. */
  note(path: readonly [string, string?], end: StageEnd, durationMs: number): void {
    const [first, inner] = path;
    const { ok, note, exitCode, output, errorOutput } = end;
    const record: StageRecord = {
      name: inner ?? first,
      success: ok,
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(output ? { output } : {}),
      ...(errorOutput ? { errorOutput } : {}),
      stages: [],
    };
    if (inner === undefined) this.#stages.push({ name: first, record });
    else {
      let group = this.#stages.find(({ name }) => name === first);
      if (!group) {
        group = { name: first, stages: [] };
        this.#stages.push(group);
      }
      group.stages?.push(record);
    }
    this.#details[inner === undefined ? first : `${first}/${inner}`] = {
      durationMs: Math.round(durationMs),
      ...(note === undefined ? {} : { note }),
    };
  }

  /** Notes a stage that does not apply. */
  skip(name: string, why: string): void {
    this.#skipped.push(name);
    this.#details[name] = { note: why };
  }

  get result(): TaskResult {
    return {
      stages: this.#stages.map(({ name, stages = [], record }) => record ?? { name, stages }),
      logs: this.#logs,
      skippedTests: this.#skipped,
      revoked: false,
      ignored: [],
    };
  }

  get details(): Readonly<Record<string, StageDetail>> {
    return this.#details;
  }

  #transcript(name: string): Transcript {
    const prefix = `${this.#subject} ${name}`;
    if (this.#folder === undefined) return new Transcript(this.#log, prefix);
    const file = `${this.#logs.length + 1}-${name.replaceAll(/[^\w.+-]/g, '_').slice(0, 150)}.log`;
    const path = join(this.#folder, file);
    this.#logs.push({ name, href: path });
    return new Transcript(this.#log, prefix, path);
  }
}
