import { counted, formatDuration } from '../../../base/index.ts';
import { INVARIANTS } from '../../../history/index.ts';
import type { Check, Report } from '../../../report/model.ts';
import { cleanupCheck, cleanupSection } from '../stress/report.ts';
import type { ReplayResult } from './replay.ts';
import { evidenceOf, findingSection } from './report.ts';

const GROUP = 'replay';

/** How often a counterexample came true again, in every format. */
export function reportReplay(result: ReplayResult): Report {
  const { registry, file, invariant, sentence, times, reproduced, otherwise, rounds, finding } = result;
  const played = counted(rounds.length, 'round');
  return {
    title: `replay of ${invariant} on ${registry}`,
    sections: [
      {
        title: 'Replay',
        facts: [
          ['registry', registry],
          ['repro file', file],
          ['invariant', `${invariant}: ${INVARIANTS[invariant].says}`],
          ['why', sentence],
          ['played', rounds.length === times ? played : `${played} of ${times}`],
          ['reproduced', `${reproduced} of ${rounds.length}`],
          ...(otherwise > 0 ? [['something else', `${otherwise} of ${rounds.length}`] as const] : []),
        ],
      },
      {
        title: 'Rounds',
        table: {
          columns: [
            { title: 'round', align: 'right' },
            { title: 'reproduced' },
            { title: 'violated' },
            { title: 'took', align: 'right' },
          ],
          rows: rounds.map(({ reproduced, violated, durationMs }, at) => [
            String(at + 1),
            reproduced ? 'yes' : 'no',
            violated.join(', ') || '-',
            formatDuration(durationMs),
          ]),
        },
      },
      ...(finding ? [findingSection(finding)] : []),
      cleanupSection(result.cleanup),
    ],
    checks: [
      {
        group: GROUP,
        name: invariant,
        status: rounds.length === 0 ? 'unknown' : reproduced > 0 ? 'fail' : 'pass',
        message: `violated again in ${reproduced} of ${played}`,
        ...(reproduced > 0 && finding ? { evidence: evidenceOf(finding) } : {}),
      },
      ...(otherwise > 0 ? [otherCheck(result)] : []),
      cleanupCheck(result.cleanup, GROUP),
    ],
    metrics: [
      { name: 'torture_replay_rounds_total', help: 'Rounds that were played', value: rounds.length },
      {
        name: 'torture_replay_reproduced_total',
        help: 'Rounds in which the invariant was violated again',
        value: reproduced,
      },
    ].map((metric) => ({ ...metric, type: 'counter' as const, unit: 'c' as const, labels: { invariant } })),
    summary: `${reproduced} of ${rounds.length} reproduced: ${invariant}${otherwise > 0 ? `; something else was violated in ${otherwise}` : ''}`,
  };
}

/** Told, and no more: what is asked is whether the play comes true. */
function otherCheck({ invariant, rounds, otherwise }: ReplayResult): Check {
  const others = new Set(rounds.flatMap(({ violated }) => violated).filter((name) => name !== invariant));
  return {
    group: GROUP,
    name: 'other invariants',
    status: 'warn',
    advisory: true,
    message: `${[...others].join(', ')} violated in ${counted(otherwise, 'round')} instead`,
  };
}
