import { counted, formatBytes, formatDuration } from '../../base/index.ts';
import type { Report } from '../../report/model.ts';
import type {
  PrunedSnapshot,
  PushedSnapshot,
  SnapshotListResult,
  SnapshotPruneResult,
  SnapshotPullResult,
  SnapshotPushResult,
} from './result.ts';

/** snapshot push for people and pipes: one `REF@DIGEST` line for every registry, or the local name. */
export function reportSnapshotPush(result: SnapshotPushResult): Report {
  const { snapshot, local, destinations } = result;
  const pushed = destinations.filter(({ status }) => status === 'pushed');
  const lines = pushed.map(({ reference, digest }) => `${reference}@${digest}`);
  return {
    lines: destinations.length === 0 ? [local.reference] : lines,
    sections: [
      {
        facts: [
          ['snapshot', snapshot.id],
          ['of', `${snapshot.source || 'an image'}${snapshot.parent ? ` (${snapshot.parent})` : ''}`],
          [
            'local',
            local.removed
              ? `${local.reference} (removed)`
              : `${local.reference}, ${formatBytes(local.sizeBytes)}`,
          ],
          ['expires', snapshot.expires ?? 'never'],
          ...pushed.map((one): [string, string] => ['pushed', pushedLine(one)]),
        ],
      },
    ],
    summary:
      destinations.length === 0
        ? `${local.reference}: ${formatBytes(local.sizeBytes)}, in this engine only`
        : `${counted(pushed.length, 'registry', 'registries')} of ${destinations.length} ${pushed.length === 1 ? 'has' : 'have'} ${snapshot.tag}; ${formatDuration(result.durationMs)}`,
  };
}

function pushedLine({ reference, sizeBytes, layers, sentBytes, durationMs }: PushedSnapshot): string {
  const counts = layers
    ? `, ${counted(layers.moved, 'layer')} pushed, ${layers.existing + layers.mounted} skipped`
    : '';
  const sent = sentBytes === undefined ? '' : `, sent ${formatBytes(sentBytes)}`;
  return `${reference}: ${formatBytes(sizeBytes ?? 0)}${counts}${sent}, ${formatDuration(durationMs)}`;
}

/** snapshot pull for people and pipes: the container's ID when one was started, else the image. */
export function reportSnapshotPull(result: SnapshotPullResult): Report {
  const { container, reference, digest, imageId, snapshot } = result;
  const name = digest === undefined || reference.includes('@') ? reference : `${reference}@${digest}`;
  const how =
    result.status === 'present' ? 'was there already' : `pulled in ${formatDuration(result.durationMs)}`;
  return {
    lines: [container?.id ?? name],
    sections: [
      {
        facts: [
          ['image', `${imageId.slice(0, 19)}, ${formatBytes(result.sizeBytes)}, ${how}`],
          ...(snapshot
            ? ([
                ['snapshot', `${snapshot.id} of ${snapshot.source}, ${snapshot.created}`],
                ['expires', snapshot.expires ?? 'never'],
              ] as const)
            : []),
          ...(container ? ([['container', `${container.name} (${container.status})`]] as const) : []),
        ],
      },
    ],
    summary: container ? `${name}: ${how}; ${container.name} is ${container.status}` : `${name}: ${how}`,
  };
}

/** snapshot list: a table. */
export function reportSnapshotList(result: SnapshotListResult): Report {
  const { snapshots } = result;
  const bytes = snapshots.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const expired = snapshots.filter((one) => one.expired).length;
  return {
    sections: [
      {
        table: {
          columns: [
            { title: 'ID' },
            { title: 'SOURCE', shrink: true },
            { title: 'CREATED' },
            { title: 'AGE', align: 'right' },
            { title: 'EXPIRES' },
            { title: 'SIZE', align: 'right' },
            { title: 'DIGEST' },
            { title: 'WHERE' },
          ],
          rows: snapshots.map((one) => [
            one.id,
            one.source,
            one.created,
            formatDuration(one.ageMs),
            one.expired ? 'expired' : (one.expires ?? 'never'),
            formatBytes(one.sizeBytes),
            one.digest ?? '',
            one.where,
          ]),
        },
      },
    ],
    metrics: [
      { name: 'snapshots', help: 'snapshots found', value: snapshots.length },
      { name: 'snapshots_expired', help: 'snapshots past their expiry', value: expired },
      { name: 'snapshots_size_bytes', help: 'sum of their sizes', value: bytes, unit: 'B' },
    ],
    summary: `${counted(snapshots.length, 'snapshot')}, ${formatBytes(bytes)}${expired > 0 ? `, ${expired} expired` : ''}`,
  };
}

const VERBS: Readonly<Record<PrunedSnapshot['status'], string>> = {
  deleted: 'deleted',
  planned: 'would go',
  failed: 'FAILED',
  shared: 'kept',
  'in-use': 'kept',
};

/** snapshot prune: one row for all that a rule spoke of. */
export function reportSnapshotPrune(result: SnapshotPruneResult): Report {
  const { snapshots, totals, dryRun } = result;
  const planned = snapshots.filter(({ status }) => status === 'planned').length;
  const left = [
    ...(result.repository === null ? [] : [`${formatBytes(totals.registryBytes)} in the registry`]),
    ...(totals.localBytes > 0 || result.repository === null
      ? [`${formatBytes(totals.localBytes)} in the engine`]
      : []),
  ].join(', ');
  return {
    sections:
      snapshots.length === 0
        ? []
        : [
            {
              table: {
                columns: [
                  { title: 'ID' },
                  { title: 'SOURCE', shrink: true },
                  { title: 'CREATED' },
                  { title: 'SIZE', align: 'right' },
                  { title: 'PLACE' },
                  { title: 'RULE' },
                  { title: '' },
                ],
                rows: snapshots.map((one) => [
                  one.id,
                  one.source,
                  one.created,
                  formatBytes(one.sizeBytes),
                  one.place,
                  one.reason,
                  `${VERBS[one.status]}${one.message ? `: ${one.message}` : ''}`,
                ]),
              },
            },
          ],
    summary: dryRun
      ? `dry run: ${counted(planned, 'snapshot')} would go, ${totals.kept} stay (${left})`
      : `${totals.deleted} deleted, ${totals.failed} failed, ${totals.kept} stay (${left})`,
  };
}
