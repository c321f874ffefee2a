/** What we read of vitest's JSON report (the format is Jest's). */
export interface VitestReport {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Counts what a test run found. A file that could not run at all, and a run that failed beside its tests
 * (an unhandled rejection, a missing report), count as one failure each: nothing red may look green.
 */
export function summarise(report: VitestReport | undefined): Summary {
  if (!report) return { passed: 0, failed: 1, skipped: 0 };
  const files = report.testResults;
  const statuses = files.flatMap((file) => file.assertionResults.map((test) => test.status));
  const count = (status: string): number => statuses.filter((one) => one === status).length;
  const brokenFiles = files.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = count('failed') + brokenFiles.length;
  return {
    passed: count('passed'),
    failed: failed === 0 && !report.success ? 1 : failed,
    skipped: statuses.length - count('passed') - count('failed'),
  };
}

/** `12 passed, 0 failed`, and `, 3 skipped` when there are any. */
export function formatSummary({ passed, failed, skipped }: Summary): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
