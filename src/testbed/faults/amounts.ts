import { parseDuration, parseSize, RegopsError } from '../../base/index.ts';

/** How long to wait, in milliseconds, given a number in [0, 1). */
export type Delay = (random: number) => number;

/** The longest wait a timer can do. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Reads a delay: `100ms` always; `50ms..150ms` evenly between; `p50=10ms,p90=50ms,p99=200ms` a distribution with
 * these percentiles, straight between them, from 0 (or `p0`) up, and constant above the last.
 */
export function parseDelay(text: string): Delay {
  if (text.startsWith('p')) return parsePercentiles(text);
  const [from = '', to = from, ...more] = text.split('..');
  const [least, most] = [durationOf(from), durationOf(to)];
  if (more.length > 0 || least > most) throw invalid('a delay is like 100ms or 50ms..150ms');
  return (random) => least + (most - least) * random;
}

function parsePercentiles(text: string): Delay {
  const points: { readonly share: number; readonly ms: number }[] = [];
  for (const part of text.split(',')) {
    const [, percent, duration] = /^p(\d{1,3}(?:\.\d+)?)=(.+)$/.exec(part) ?? [];
    const [share, ms] = [Number(percent) / 100, durationOf(duration ?? '')];
    const before = points.at(-1);
    const isInOrder = !before || (before.share < share && before.ms <= ms);
    if (!(share >= 0 && share <= 1) || !isInOrder) {
      throw invalid('percentiles are like p50=10ms,p90=50ms,p99=200ms, in rising order');
    }
    points.push({ share, ms });
  }
  return (random) => {
    let low = { share: 0, ms: 0 };
    for (const point of points) {
      if (random < point.share) {
        return low.ms + ((point.ms - low.ms) * (random - low.share)) / (point.share - low.share);
      }
      low = point;
    }
    return low.ms;
  };
}

/** Milliseconds of `30s` or `250ms`. */
export function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms > LONGEST_MS) throw invalid('too long');
  return ms;
}

/** Bytes of a body that has so many: `50%` of it, or `1KiB` at most. */
export function parseBodyPart(text: string): (length: number) => number {
  const percent = /^(\d{1,2}(?:\.\d+)?|100)%$/.exec(text)?.[1];
  if (percent !== undefined) return (length) => Math.floor((length * Number(percent)) / 100);
  const bytes = parseSize(text);
  return (length) => Math.min(length, bytes);
}

/** How far a list lags behind. */
export type Lag = { readonly ms: number } | { readonly changes: number };

/** Reads `5s` or `3changes`. */
export function parseLag(text: string): Lag {
  const changes = /^(\d{1,6})changes?$/.exec(text)?.[1];
  return changes === undefined ? { ms: durationOf(text) } : { changes: Number(changes) };
}

const COUNTS = ['repositories', 'manifests', 'blobs', 'tags'] as const;

/** What is added to NSCR's counts. */
export type Drift = Readonly<Record<(typeof COUNTS)[number], number>>;

/** Reads `manifests+1,tags-2`. */
export function parseDrift(text: string): Drift {
  const drift = { repositories: 0, manifests: 0, blobs: 0, tags: 0 };
  for (const part of text.split(',')) {
    const [, name, amount] = /^([a-z]+)([+-]\d{1,9})$/.exec(part) ?? [];
    const count = COUNTS.find((one) => one === name);
    if (!count) throw invalid('a drift is like manifests+1,tags-2');
    drift[count] = Number(amount);
  }
  return drift;
}

function invalid(message: string): RegopsError {
  return new RegopsError('CONFIG_INVALID', message);
}
