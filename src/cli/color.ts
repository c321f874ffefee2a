import { Chalk, type ChalkInstance } from 'chalk';

/**
 * Whether a stream gets colours: `--no-color`, then NO_COLOR (not empty), then FORCE_COLOR, then whether it
 * is a terminal that knows any (no-color.org, force-color.org).
 */
export function wantsColor(
  stream: { readonly isTTY?: boolean },
  environment: NodeJS.ProcessEnv,
  noColorFlag = false,
): boolean {
  if (noColorFlag || environment['NO_COLOR']) return false;
  const force = environment['FORCE_COLOR'];
  if (force !== undefined) return force !== '0' && force !== 'false';
  return Boolean(stream.isTTY) && environment['TERM'] !== 'dumb';
}

/** The 16 colours every terminal has, or none. */
export function palette(color: boolean): ChalkInstance {
  return new Chalk({ level: color ? 1 : 0 });
}

/**
 * Makes `--no-color` hold for code that decides by the environment alone (oclif's help, Node itself, which
 * lets FORCE_COLOR beat NO_COLOR and warns about it).
 */
export function forbidColor(environment: NodeJS.ProcessEnv): void {
  environment['NO_COLOR'] = '1';
  delete environment['FORCE_COLOR'];
}
