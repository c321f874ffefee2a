import { RegopsError } from '../../base/index.ts';
import { parseSettings, type RestoreSettings, settingsText } from './settings.ts';

const PREFIX = 'regops.snapshot.';
/** The label that makes an image a snapshot, and by which an engine finds them. */
export const ID_LABEL = `${PREFIX}id`;
const NEVER = 'never';
/** Labels come back from registries, where anybody may have written them. */
const VALUE_MAX = 512;

/** What an image says of itself as a snapshot. */
export interface SnapshotFacts {
  readonly id: string;
  /** The tag it was made with. */
  readonly tag: string;
  /** Name of the container it was made of. */
  readonly source: string;
  readonly sourceId: string;
  /** Name of the engine's machine. */
  readonly host: string;
  /** Milliseconds since the epoch. */
  readonly createdMs: number;
  /** When it may be pruned; undefined for never. */
  readonly expiresMs?: number | undefined;
  /** The image the container ran, as whoever started it named it. */
  readonly parent: string;
  /** What the container was given and no image keeps. */
  readonly settings: RestoreSettings;
}

/**
 * The labels of a snapshot. All of them are always written: a container that was restored from a snapshot
 * still has that one's, and the engine only adds what is missing.
 */
export function snapshotLabels(facts: SnapshotFacts): Readonly<Record<string, string>> {
  return {
    [ID_LABEL]: facts.id,
    [`${PREFIX}tag`]: facts.tag,
    [`${PREFIX}source`]: facts.source,
    [`${PREFIX}source-id`]: facts.sourceId,
    [`${PREFIX}host`]: facts.host,
    [`${PREFIX}created`]: new Date(facts.createdMs).toISOString(),
    [`${PREFIX}expires`]: facts.expiresMs === undefined ? NEVER : new Date(facts.expiresMs).toISOString(),
    [`${PREFIX}parent`]: facts.parent,
    [`${PREFIX}settings`]: settingsText(facts.settings),
  };
}

/**
 * Reads labels, which may come from anywhere: what is missing or malformed is empty, and nothing is taken for a
 * time that is none.
 *
 * @param fallbackMs when the image was made, in case the labels do not say
 * @returns undefined for an image that is no snapshot
 */
export function readSnapshotLabels(
  labels: Readonly<Record<string, string>>,
  fallbackMs = 0,
): SnapshotFacts | undefined {
  const read = (name: string): string =>
    (Object.hasOwn(labels, `${PREFIX}${name}`) ? (labels[`${PREFIX}${name}`] ?? '') : '').slice(0, VALUE_MAX);
  const id = read('id');
  if (id === '') return undefined;
  const expiresMs = timeOf(read('expires'));
  return {
    id,
    tag: read('tag'),
    source: read('source'),
    sourceId: read('source-id'),
    host: read('host'),
    createdMs: timeOf(read('created')) ?? fallbackMs,
    ...(expiresMs === undefined ? {} : { expiresMs }),
    parent: read('parent'),
    settings: parseSettings(labels[`${PREFIX}settings`]),
  };
}

/** Labels of the user's own: `key=value`. Throws USAGE for those that are regops' own. */
export function parseLabel(text: string): readonly [key: string, value: string] {
  const equals = text.indexOf('=');
  const key = text.slice(0, equals);
  if (equals < 1 || /\s/.test(key)) {
    throw new RegopsError('USAGE', `invalid label '${text.slice(0, 100)}'`, {
      hints: ['Write it KEY=VALUE.'],
    });
  }
  if (key.startsWith(PREFIX)) {
    throw new RegopsError('USAGE', `labels that begin with ${PREFIX} are regops' own`);
  }
  return [key, text.slice(equals + 1)];
}

/** What `toISOString` writes, and nothing that `Date` would guess at. */
function timeOf(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
