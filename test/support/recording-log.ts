import type { Log } from '../../src/base/index.ts';

/** A log that keeps what is said. */
export interface RecordingLog extends Log {
  readonly warnings: string[];
  readonly traces: string[];
}

export function recordingLog(): RecordingLog {
  const warnings: string[] = [];
  const traces: string[] = [];
  return {
    warnings,
    traces,
    warn: (text) => void warnings.push(text),
    info() {},
    trace: (text) => void traces.push(text),
  };
}
