import {
  type HistoryEncoder,
  HistoryJudge,
  type Judgement,
  type JudgeOptions,
  type Operation,
} from '../../../history/index.ts';
import type { KindFigures } from '../../../load/index.ts';
import { RunFigures } from './figures.ts';
import { LastLooks } from './last-looks.ts';

/** How often what is known for sure is judged and forgotten. */
const MARK_MS = 100;

/** An operation under way: who does what, and when it was called. */
export type Call = Pick<Operation, 'kind' | 'client' | 'repository' | 'reference' | 'callUs'>;

/** What came of an operation. */
export type Ending = Omit<Operation, keyof Call | 'process' | 'returnUs'>;

/** Where the lines of the history go as they are made. */
export interface HistorySink {
  readonly encoder: HistoryEncoder;
  write(lines: string): void;
}

/**
 * The record of a run: one monotonic clock, every operation stamped before its first byte and after its last, judged
 * while the run goes on, and written to the history.
 */
export class Recorder {
  readonly #judge: HistoryJudge;
  readonly #history: HistorySink | undefined;
  readonly #figures: RunFigures;
  readonly #looks: LastLooks;
  /** In the order of their calls: the first one is the earliest that is still open. */
  readonly #open = new Set<Call>();
  readonly #beganMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  #markUs = 0;
  #lastReturnUs = 0;
  #operations = 0;

  /** @param clients of the workload, see {@link RunFigures} */
  constructor(options: JudgeOptions, history?: HistorySink, clients?: number) {
    this.#judge = new HistoryJudge(options);
    this.#history = history;
    this.#figures = new RunFigures(clients);
    this.#looks = new LastLooks(clients);
    this.#timer = setInterval(() => this.#mark(), MARK_MS);
  }

  /** Operations that have ended. */
  get operations(): number {
    return this.#operations;
  }

  /** From the first call to the last return. */
  get durationMs(): number {
    return this.#lastReturnUs / 1000;
  }

  /** Repositories that gave no answer when they were looked at once more. */
  get unseen(): number {
    return this.#looks.unseen;
  }

  /** How fast it was, by kind of operation. */
  kinds(): KindFigures[] {
    return this.#figures.kinds();
  }

  /** Stamps the call of an operation: to be sent at once after. */
  begin(call: Omit<Call, 'callUs'>): Call {
    const begun = { ...call, callUs: this.#nowUs() };
    this.#open.add(begun);
    return begun;
  }

  /** Stamps the return of an operation: at once after its last byte, or when it was given up. */
  end(call: Call, ending: Ending): Operation {
    const operation: Operation = { ...call, ...ending, process: 0, returnUs: this.#nowUs() };
    this.#open.delete(call);
    this.#lastReturnUs = operation.returnUs;
    this.#operations++;
    this.#judge.add(operation);
    this.#figures.add(operation);
    this.#looks.add(operation);
    this.#history?.write(this.#history.encoder.operation(operation));
    return operation;
  }

  /**
   * Says that nothing more comes of a repository: it is judged to the end and forgotten. False when it gave no answer
   * when it was looked at once more.
   */
  close(repository: string): boolean {
    this.#mark();
    this.#judge.closeRepository(repository);
    this.#history?.write(this.#history.encoder.end(repository));
    return this.#looks.close(repository);
  }

  /** The judgement of everything; operations that are still open are left out. Call once. */
  finish(): Judgement {
    this.stop();
    this.#mark();
    return this.#judge.finish();
  }

  /** Ends the marks. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #mark(): void {
    const [earliest] = this.#open;
    const knownUs = earliest?.callUs ?? this.#nowUs();
    if (knownUs <= this.#markUs) return;
    this.#markUs = knownUs;
    this.#judge.mark(knownUs);
    this.#history?.write(this.#history.encoder.mark(knownUs));
  }

  #nowUs(): number {
    return Math.floor((performance.now() - this.#beganMs) * 1000);
  }
}
