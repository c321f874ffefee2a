import type { Section } from '../../report/model.ts';
import type { StateSample } from './monitor/result.ts';

/** What the seed's summary is made of. */
export interface TortureTotals {
  readonly operations: number;
  readonly errors: number;
  readonly snapshots: number;
  readonly initial: StateSample | null;
  readonly final: StateSample | null;
}

/**
 * The seed's closing words, `=== Torture Test Summary ===`, as a section: the same lines in the same order,
 * so that what reads its output reads ours. Nothing done is no success: the rate is then 0.00%.
 */
export function tortureSummary(totals: TortureTotals): Section {
  const { operations, errors, snapshots, initial, final } = totals;
  const rate = operations === 0 ? 0 : ((operations - errors) / operations) * 100;
  return {
    text: [
      '=== Torture Test Summary ===',
      `Total operations: ${operations}`,
      `Errors: ${errors}`,
      `Success rate: ${rate.toFixed(2)}%`,
      `State snapshots collected: ${snapshots}`,
      ...(initial ? [`Initial state: ${countsOf(initial)}`] : []),
      ...(final ? [`Final state: ${countsOf(final)}`] : []),
    ].join('\n'),
  };
}

/** The seed's line for a state: `State: repos=5, manifests=23, blobs=67, sessions=0, health=healthy`. */
export function stateLine(state: StateSample): string {
  return `State: ${countsOf(state)}, sessions=${state.sessions ?? 'unknown'}, health=${state.health}`;
}

function countsOf({ repositories, manifests, blobs }: StateSample): string {
  return `repos=${repositories}, manifests=${manifests}, blobs=${blobs}`;
}
