import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Clock, type Log, messageOf, redactText } from '../../base/index.ts';
import { Journal } from '../journal.ts';
import { type AltsPayload, storedPayloadSchema } from './payload.ts';
import { passed, type Script, scriptOf } from './scripts.ts';

/** Celery forgets results after an hour (`result_expires` of ALTS since February 2024). */
const RESULT_LIFETIME_MS = 3_600_000;
const MOST_TASKS = 10_000;

/** Runs a test for real: gives the worker's result in ALTS' shape; what it throws makes the task a FAILURE. */
export type RunTask = (payload: AltsPayload, signal: AbortSignal) => Promise<unknown>;

export interface TaskParts {
  readonly clock: Clock;
  readonly log: Log;
  /** What tests do whose package has no script; by default they pass. */
  readonly runTask: RunTask | undefined;
  /** How long a test takes that is not run for real. */
  readonly taskMs: number;
  /** How many are under way at once. */
  readonly workers: number;
  /** A file that keeps the tasks; without one they end with the process. */
  readonly path: string | undefined;
}

/** What is told of a task. */
export interface TaskState {
  readonly state: string;
  /** Missing as long as there is none. */
  readonly result?: unknown;
}

interface Task {
  readonly id: string;
  readonly payload: AltsPayload;
  state: string;
  result?: unknown;
  endedAt?: number;
}

const changeSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('queued'), id: z.string(), payload: storedPayloadSchema }),
  z.object({ op: z.literal('started'), id: z.string() }),
  z.object({
    op: z.literal('ended'),
    id: z.string(),
    state: z.string(),
    at: z.number(),
    result: z.unknown().optional(),
  }),
  z.object({ op: z.literal('forgotten'), id: z.string() }),
]);

type TaskChange = Readonly<z.infer<typeof changeSchema>>;

/**
 * The tasks of a scheduler, its queue, its workers and its result back end in one. With a file they outlive the
 * process: what was under way is then begun again, and is STARTED meanwhile.
 */
export class Tasks {
  readonly #parts: TaskParts;
  readonly #life = new AbortController();
  /** Oldest first. */
  readonly #tasks = new Map<string, Task>();
  readonly #queue: Task[] = [];
  readonly #running = new Set<Promise<void>>();
  #journal: Journal<TaskChange> | undefined;

  private constructor(parts: TaskParts) {
    this.#parts = parts;
  }

  /** Reads the file, if there is one, and goes on with what it holds. Throws INPUT_INVALID when it is damaged. */
  static async open(parts: TaskParts): Promise<Tasks> {
    const tasks = new Tasks(parts);
    if (parts.path !== undefined) await tasks.#restore(parts.path);
    return tasks;
  }

  /** Queues a test and gives its id. */
  async submit(payload: AltsPayload): Promise<string> {
    const task: Task = { id: randomUUID(), payload, state: 'PENDING' };
    await this.#journal?.append({ op: 'queued', id: task.id, payload });
    this.#tasks.set(task.id, task);
    this.#makeRoom();
    this.#begin(task);
    return task.id;
  }

  /** What an id stands for: an unknown one is PENDING, as in Celery. */
  stateOf(id: string): TaskState {
    const task = this.#tasks.get(id);
    const expired =
      task?.endedAt !== undefined && this.#parts.clock.now() - task.endedAt >= RESULT_LIFETIME_MS;
    if (!task || expired) {
      this.#tasks.delete(id);
      return { state: 'PENDING' };
    }
    const { state, result } = task;
    return { state, ...(result !== undefined && { result }) };
  }

  /** Stops the workers; what they had not ended stays in the file as it was. */
  async close(): Promise<void> {
    this.#life.abort();
    await Promise.all(this.#running);
    await this.#journal?.close();
  }

  async #restore(path: string): Promise<void> {
    try {
      for await (const change of Journal.read(path, changeSchema)) this.#apply(change);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    await Journal.replace(path, [...this.#tasks.values()].flatMap(changesOf));
    this.#journal = await Journal.open<TaskChange>(path);
    for (const task of this.#tasks.values()) if (task.endedAt === undefined) this.#begin(task);
  }

  #apply(change: TaskChange): void {
    const { id } = change;
    if (change.op === 'queued') this.#tasks.set(id, { id, payload: change.payload, state: 'PENDING' });
    const task = this.#tasks.get(id);
    if (!task) return;
    if (change.op === 'started') task.state = 'STARTED';
    if (change.op === 'forgotten') this.#tasks.delete(id);
    if (change.op === 'ended') {
      task.state = change.state;
      task.result = change.result;
      task.endedAt = change.at;
    }
  }

  #begin(task: Task): void {
    if (scriptOf(task.payload.package_name)?.never === 'taken') return;
    this.#queue.push(task);
    this.#fill();
  }

  #fill(): void {
    while (this.#running.size < this.#parts.workers && !this.#life.signal.aborted) {
      const task = this.#queue.shift();
      if (!task) return;
      const work = this.#work(task).finally(() => {
        this.#running.delete(work);
        this.#fill();
      });
      this.#running.add(work);
    }
  }

  /** Never rejects. */
  async #work(task: Task): Promise<void> {
    const { log } = this.#parts;
    const script = scriptOf(task.payload.package_name);
    try {
      await this.#change({ op: 'started', id: task.id });
      // A worker that hangs would keep the others waiting: it is let go.
      if (script?.never === 'ended') return;
      const ending = await this.#run(task.payload, script);
      if (this.#life.signal.aborted) return;
      const at = this.#parts.clock.now();
      await this.#change(
        script?.never === 'kept'
          ? { op: 'forgotten', id: task.id }
          : { op: 'ended', id: task.id, at, ...ending },
      );
    } catch (error) {
      if (!this.#life.signal.aborted) log.warn(`testbed: test ${task.id}: ${redactText(messageOf(error))}`);
    }
  }

  async #run(payload: AltsPayload, script: Script | undefined): Promise<{ state: string; result?: unknown }> {
    const { clock, runTask, taskMs, log } = this.#parts;
    if (!script && runTask) {
      try {
        return { state: 'SUCCESS', result: await runTask(payload, this.#life.signal) };
      } catch (error) {
        if (this.#life.signal.aborted) throw error;
        log.warn(`testbed: the test of ${payload.package_name} failed: ${redactText(messageOf(error))}`);
        return { state: 'FAILURE' };
      }
    }
    await clock.sleep(taskMs, this.#life.signal);
    const state = script?.state ?? 'SUCCESS';
    return state === 'SUCCESS' ? { state, result: (script?.result ?? passed)(payload) } : { state };
  }

  async #change(change: TaskChange): Promise<void> {
    await this.#journal?.append(change);
    this.#apply(change);
  }

  /** Of too many tasks the oldest that has ended goes, else the oldest. */
  #makeRoom(): void {
    if (this.#tasks.size <= MOST_TASKS) return;
    const all = [...this.#tasks.values()];
    const gone = all.find(({ endedAt }) => endedAt !== undefined) ?? all[0];
    if (gone) this.#tasks.delete(gone.id);
  }
}

/** What leads to a task as it is. */
function changesOf({ id, payload, state, result, endedAt }: Task): TaskChange[] {
  const queued: TaskChange = { op: 'queued', id, payload };
  if (endedAt !== undefined) return [queued, { op: 'ended', id, state, at: endedAt, result }];
  return state === 'STARTED' ? [queued, { op: 'started', id }] : [queued];
}
