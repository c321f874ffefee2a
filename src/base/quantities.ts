/**
 * Sizes, durations and rates as users write them (`64MiB`, `30s`, `10MiB/s`) and as regops shows them.
 * Own parsers, because the known packages read `KB` as 1024 or do not know `MiB` at all.
 */
import { RegopsError } from './errors.ts';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  kib: 1024,
  m: 1e6,
  mb: 1e6,
  mib: 1024 ** 2,
  g: 1e9,
  gb: 1e9,
  gib: 1024 ** 3,
  t: 1e12,
  tb: 1e12,
  tib: 1024 ** 4,
};
const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 };

function usage(what: string, text: string, examples: string): RegopsError {
  return new RegopsError('USAGE', `invalid ${what} '${text.slice(0, 100)}'`, {
    hints: [`Write it like ${examples}.`],
  });
}

/** The number a size stands for, not rounded; NaN when it is none. */
function amountOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  return Number(match?.[1]) * (SIZE_UNITS[match?.[2]?.toLowerCase() ?? 'none'] ?? Number.NaN);
}

/** Bytes of `512`, `5MB` (decimal) or `64MiB` (binary). Throws USAGE on anything else. */
export function parseSize(text: string): number {
  const bytes = Math.round(amountOf(text));
  if (!Number.isSafeInteger(bytes)) throw usage('size', text, '512, 5MB or 64MiB');
  return bytes;
}

/** Milliseconds of `30s`, `5m`, `1h`, `1h30m`, `250ms`, `14d`; a bare number is seconds. Throws USAGE on anything else. */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  const written = /^\d+(\.\d+)?$/.test(trimmed) ? `${trimmed}s` : trimmed;
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(written)) throw usage('duration', text, '30s, 5m or 1h30m');
  let total = 0;
  for (const [, amount, unit] of written.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (DURATION_UNITS[unit ?? ''] ?? Number.NaN);
  }
  const ms = Math.round(total);
  if (!Number.isSafeInteger(ms)) throw usage('duration', text, '30s, 5m or 1h30m');
  return ms;
}

/**
 * A rate per second: `200/s` counts, `10MiB/s` bytes, `30/m` per minute, `0.5/s` one every two seconds.
 * Throws USAGE on anything else.
 */
export function parseRate(text: string): number {
  const match = /^(.+)\/(s|m|h)$/.exec(text.trim());
  const rate = amountOf(match?.[1] ?? '') / ((DURATION_UNITS[match?.[2] ?? 's'] ?? 1000) / 1000);
  if (!(rate > 0 && rate <= Number.MAX_SAFE_INTEGER)) throw usage('rate', text, '200/s or 10MiB/s');
  return rate;
}

/** `0 B`, `512 B`, `1.5 KiB`, `64 MiB`: binary units, at most one decimal. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (Math.round(Math.abs(value)) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const shown = unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, '');
  return `${shown} ${units[unit]}`;
}

/** `0.25s`, `4.2s`, `1m05s`, `2h03m`, `3d04h`: for people, not for parsing. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${(ms / 1000).toFixed(2)}s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const pad = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${pad(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h${pad(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d${pad(Math.floor(minutes / 60) % 24)}h`;
}

/** `1 tag`, `0 tags`, `5 repositories`: a number with its noun. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
