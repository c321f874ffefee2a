import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Test files that take half a minute or more, the longest first. */
const LONG: readonly string[] = [
  'real/package-test-run',
  'commands/torture-verdict',
  'commands/torture',
  'real/snapshot',
  'e2e/push-kill',
  'real/torture-verdict',
  'commands/fault-schedules',
  'e2e/snapshot-interrupt',
  'e2e/torture-interrupt',
  'commands/torture-figures',
  'real/package-test-submit',
  'commands/torture-faults',
  'real/torture-under-pushes',
  'commands/hostile-registries',
  'real/push-inspect',
  'commands/pullthrough-bench',
];

/**
 * Vitest's order, but for the files that take long, which come first: one that began last would run on when all
 * others have ended, on one processor.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONG.indexOf(relative(`${import.meta.dirname}/..`, moduleId).replace(/\.test\.ts$/, ''));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).sort((one, other) => place(one) - place(other));
  }
}
