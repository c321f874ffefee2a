import { RegopsError } from '../../../base/index.ts';
import type { Engine } from '../../../engine/index.ts';
import type { Transcript } from './transcript.ts';

/** How a program in the container ended. */
export interface Step {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** More was written than `stdout` and `stderr` hold. */
  readonly cut: boolean;
}

export interface StepOptions {
  /** What the transcript calls it. Without it nothing of the step is in the transcript. */
  readonly title?: string;
  /** `NAME=value`. */
  readonly env?: readonly string[];
  readonly workingDir?: string;
  /** Characters kept of each stream. Default 1 MiB. */
  readonly kept?: number;
  /** Default: the tools' own language, and no questions. */
  readonly plain?: boolean;
}

/** The container that a test runs in. */
export interface Target {
  readonly engine: Engine;
  readonly container: string;
  /** A folder in it that is ours. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/** Messages that can be read, and no questions that nobody answers. */
const TOOL_ENVIRONMENT = ['LC_ALL=C', 'DEBIAN_FRONTEND=noninteractive', 'DEBCONF_NONINTERACTIVE_SEEN=true'];

/** A stage at work: programs run in the container, all within one limit of time. */
export class Stage {
  readonly target: Target;
  readonly transcript: Transcript;
  readonly #until: number;
  readonly #limitMs: number;

  constructor(target: Target, transcript: Transcript, limitMs: number) {
    this.target = target;
    this.transcript = transcript;
    this.#limitMs = limitMs;
    this.#until = performance.now() + limitMs;
  }

  /**
   * Runs a script with the container's sh. What varies goes into `args` ("$1", "$2" …) or the environment, never
   * into the script: names and paths are foreign text.
   *
   * @throws TIMED_OUT when the stage's time is over; the program is then killed
   */
  async sh(script: string, args: readonly string[] = [], options: StepOptions = {}): Promise<Step> {
    const { title, env = [], workingDir, kept, plain = false } = options;
    const left = Math.ceil(this.#until - performance.now());
    if (left <= 0) throw this.#timedOut();
    if (title !== undefined) this.transcript.line(`$ ${title}`);
    const { engine, container, signal } = this.target;
    const result = await engine.containers.exec(container, ['/bin/sh', '-c', script, 'sh', ...args], {
      signal,
      timeoutMs: left,
      user: '0',
      env: plain ? env : [...TOOL_ENVIRONMENT, ...env],
      ...(workingDir === undefined ? {} : { workingDir }),
      ...(kept === undefined ? {} : { limits: { kept } }),
      ...(title === undefined ? {} : { onLine: (_, line) => this.transcript.line(line) }),
    });
    if (result.exitCode === undefined) throw this.#timedOut();
    const { exitCode, stdout, stderr, cut } = result;
    return { exitCode, stdout, stderr, cut };
  }

  #timedOut(): RegopsError {
    return new RegopsError('TIMED_OUT', `timed out after ${this.#limitMs / 1000} s`, {
      details: { stage: true },
    });
  }
}

/** True for the end of a stage's own time, which is the stage's failure and not the run's. */
export function isStageTimeout(error: RegopsError): boolean {
  return error.code === 'TIMED_OUT' && error.details['stage'] === true;
}
