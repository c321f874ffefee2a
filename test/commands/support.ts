import { expect, onTestFinished } from 'vitest';
import {
  type RequestLine,
  startTestbed,
  type Testbed,
  type TestbedOptions,
} from '../../src/testbed/index.ts';
import type { RunResult } from '../support/run-command.ts';

/** A testbed that remembers what was asked of it. */
export interface Registry extends Testbed {
  /** `127.0.0.1:PORT`: its name in references. */
  readonly name: string;
  readonly requests: readonly RequestLine[];
  /** Bytes of bodies that came in. */
  bytesIn(): number;
}

/** Starts a registry that the end of the test closes. */
export async function openRegistry(options: TestbedOptions = {}): Promise<Registry> {
  const requests: RequestLine[] = [];
  const testbed = await startTestbed({ ...options, onRequest: (line) => void requests.push(line) });
  onTestFinished(() => testbed.close());
  return {
    ...testbed,
    name: new URL(testbed.url).host,
    requests,
    bytesIn: () => requests.reduce((sum, line) => sum + line.bytesIn, 0),
  };
}

/** The run, which must have ended with this code. */
export function ended(exitCode: number, run: RunResult): RunResult {
  expect(run.exitCode, run.stderr + run.stdout).toBe(exitCode);
  return run;
}
