const BARS = '▁▂▃▄▅▆▇█';

/**
 * The last `width` values as a row of bars, one column each, from the least of them (`▁`) to the greatest
 * (`█`); values that are all the same are low bars, one that is not finite is a blank.
 */
export function sparkline(values: readonly number[], width: number): string {
  const shown = width > 0 ? values.slice(-Math.floor(width)) : [];
  const known = shown.filter(Number.isFinite);
  const low = Math.min(...known);
  const range = Math.max(...known) - low;
  return shown
    .map((value) => {
      if (!Number.isFinite(value)) return ' ';
      return BARS[range > 0 ? Math.round(((value - low) / range) * (BARS.length - 1)) : 0];
    })
    .join('');
}
