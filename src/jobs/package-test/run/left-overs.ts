import { counted } from '../../../base/index.ts';
import type { PackageTools } from './package-tools.ts';
import type { Stage } from './stage.ts';

/** The paths of the system in the file "$1", sorted, a line each; what only lasts until the next boot is left out. */
const RECORD = `
command -v find > /dev/null && command -v comm > /dev/null && command -v sort > /dev/null || exit 3
find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp \\
  -o -path "$2" \\) -prune -o -print0 | tr '\\n\\000' '?\\n' | sort > "$1"
`;

/**
 * Paths of "$2" that are not in "$1", and belong to no package. Packages list /bin/x where the file is /usr/bin/x since
 * the merge of both.
 */
function compareScript(ownedScript: string): string {
  return `
( ${ownedScript}
) 2> /dev/null | sed -e p -e 's,^/\\(s*bin\\|lib[^/]*\\)/,/usr/\\1/,' | sort -u > "$3"
comm -13 "$1" "$2" | comm -23 - "$3"
`;
}

const MAX_LISTED = 100;

/** Traces of every system, whatever was installed and removed. */
const COMMON_TRACES = [
  /^\/etc\/(?:ld\.so\.cache|\.pwd\.lock|\.updated|machine-id|mailcap|aliases)$/,
  // Users and groups are not removed: their numbers must not be given again.
  /^\/etc\/(?:passwd|group|shadow|gshadow|subuid|subgid)-?$/,
  /^\/etc\/(?:rc[0-9S]\.d|alternatives|ca-certificates\.conf)$/,
  // Links that ca-certificates makes, whoever needs it.
  /^\/etc\/ssl\/certs(?:\/|$)/,
  /^\/var\/log\/(?:btmp|wtmp|lastlog|faillog|journal)/,
  /^\/usr\/share\/(?:mime|icons\/[^/]+\/icon-theme\.cache|info\/dir|applications\/mimeinfo\.cache)/,
];

/** What an uninstalled package left. */
export interface LeftOvers {
  /** The package's. */
  readonly own: readonly string[];
  /** Those that may be of a package which came with it. */
  readonly others: readonly string[];
}

/** Notes which files there are. False when the system has not the tools for that. */
export async function recordPaths(stage: Stage, name: 'before' | 'after'): Promise<boolean> {
  const { folder } = stage.target;
  const { exitCode } = await stage.sh(RECORD, [`${folder}/${name}`, folder]);
  return exitCode === 0;
}

/** Finds what is there that was not there before. @param company packages that were installed along with it */
export async function findLeftOvers(
  stage: Stage,
  name: string,
  paths: readonly string[],
  company: readonly string[],
  tools: PackageTools,
): Promise<LeftOvers | undefined> {
  if (!(await recordPaths(stage, 'after'))) return undefined;
  const { folder } = stage.target;
  const { stdout } = await stage.sh(
    compareScript(tools.ownedScript),
    ['before', 'after', 'owned'].map((file) => `${folder}/${file}`),
    { kept: 4 * 1024 * 1024 },
  );
  const found = stdout.split('\n').filter((path) => path !== '');
  return judgeLeftOvers(found, name, paths, company, tools.ownTraces);
}

/**
 * Tells the package's own left-overs from others'. With nobody else installed all are its own; else those in a folder
 * that it brought, and those that bear its name: maintainer scripts write where they like, so more cannot be known. Pure.
 */
export function judgeLeftOvers(
  found: readonly string[],
  name: string,
  paths: readonly string[],
  company: readonly string[],
  traces: readonly RegExp[] = [],
): LeftOvers {
  const left = found.filter((path) => ![...COMMON_TRACES, ...traces].some((trace) => trace.test(path)));
  const brought = new Set(paths);
  const folders = new Set(left.filter((path) => brought.has(path)));
  const isOwn = (path: string): boolean =>
    company.length === 0 || path.split('/').some((part) => part.includes(name)) || within(path, folders);
  return { own: left.filter(isOwn), others: left.filter((path) => !isOwn(path)) };
}

/** The left-overs as a stage's output. */
export function listLeftOvers(paths: readonly string[], whose: string): string[] {
  if (paths.length === 0) return [];
  const more = paths.length - MAX_LISTED;
  return [
    `${counted(paths.length, 'path')} left behind by ${whose}:`,
    ...paths.slice(0, MAX_LISTED).map((path) => `left behind: ${path}`),
    ...(more > 0 ? [`… and ${more} more`] : []),
  ];
}

/** Whether a path is one of the folders, or lies in one. */
function within(path: string, folders: ReadonlySet<string>): boolean {
  for (let at = path.length; at > 0; at = path.lastIndexOf('/', at - 1)) {
    if (folders.has(path.slice(0, at))) return true;
  }
  return false;
}
