import type { OperationOutcome } from '../../../load/index.ts';
import { LaneExchanger, type RegistryLane } from '../../../registry/index.ts';
import type { Ledger, RequestKind } from './ledger.ts';

export type Done = (outcome: OperationOutcome) => void;

/** A thread's lane with its counting. */
export type Exchanger = LaneExchanger<RequestKind>;

/** A lane whose requests are counted as this thread's. */
export function countedExchanger(lane: RegistryLane, ledger: Ledger, thread: number): Exchanger {
  return new LaneExchanger(lane, (kind) => {
    ledger.add(thread, kind);
  });
}

/** Resolves when nothing is under way any more, or after so long. */
export async function settled(lane: RegistryLane, withinMs: number): Promise<void> {
  const until = performance.now() + withinMs;
  while (lane.active > 0 && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 10));
}
