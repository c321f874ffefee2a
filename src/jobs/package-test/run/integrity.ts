import type { Package } from '../../../alts/index.ts';
import { counted } from '../../../base/index.ts';
import type { Installed, PackageTools } from './package-tools.ts';
import type { Stage } from './stage.ts';
import type { Point } from './tap.ts';

/** Prints what is missing, and links that lead nowhere, of the paths in the file "$1". */
const EXIST = `
while IFS= read -r path; do
  [ -e "$path" ] && continue
  if [ -h "$path" ]; then
    printf 'broken link: %s -> %s\\n' "$path" "$(readlink -- "$path")"
  else
    printf 'missing: %s\\n' "$path"
  fi
done < "$1"
`;

/**
 * For each ELF file of the paths in "$1" its path, then what ldd says of it, marked with '> '. What has no dynamic
 * section ldd calls "not a dynamic executable" or "statically linked". The ELF files' paths go to the file "$2".
 */
const LIBRARIES = `
command -v ldd > /dev/null || exit 3
magic=$(printf '\\177ELF')
: > "$2"
while IFS= read -r path; do
  [ -f "$path" ] && [ ! -h "$path" ] || continue
  [ "$(head -c 4 "$path" 2> /dev/null)" = "$magic" ] || continue
  printf '%s\\n' "$path" >> "$2"
  printf '%s\\n' "$path"
  ldd "$path" 2>&1 < /dev/null | sed 's/^[[:space:]]*/> /'
done < "$1"
exit 0
`;

/**
 * For each of the ELF files in "$1" with a run path its path, and the run path as the dynamic loader understands it
 * (each entry with all its subfolders), marked with '> '. The loader is asked since hardly an image has objdump.
 */
const RUN_PATHS = `
set --  "$1" /lib*/ld-linux*.so.? /lib/*/ld-linux*.so.?
elves=$1
shift
found=
while IFS= read -r path; do
  for loader in "$@"; do
    [ -x "$loader" ] || continue
    found=yes
    "$loader" --verify "$path" > /dev/null 2>&1
    case $? in 0 | 2) ;; *) continue ;; esac
    said=$(LD_DEBUG=libs "$loader" --list "$path" 2>&1 > /dev/null < /dev/null | grep -F "PATH from file $path)" |
      sed -n 's/.*search path=\\(.*[^[:space:]]\\)[[:space:]]*(R[UN]*PATH from file .*/> \\1/p' | sort -u)
    [ -n "$said" ] && printf '%s\\n%s\\n' "$path" "$said"
    break
  done
done < "$elves"
[ -n "$found" ] || [ ! -s "$elves" ] || exit 3
exit 0
`;

const KEPT = 16 * 1024 * 1024;

/** What the checks found, and what later stages want to know. */
export interface Integrity {
  readonly points: readonly Point[];
  /** The package's own paths. */
  readonly paths: readonly string[];
}

/** ALTS' four integrity tests without Python, and the package manager's own. */
export async function checkIntegrity(stage: Stage, wanted: Package, tools: PackageTools): Promise<Integrity> {
  const { folder } = stage.target;
  const installed = await tools.find(stage, wanted.name);
  const [list, elves] = [`${folder}/paths`, `${folder}/elves`];
  const listed = await stage.sh(`( ${tools.filesScript}\n) > "$2"; cat "$2"`, [wanted.name, list], {
    kept: KEPT,
  });
  const paths = linesOf(listed.stdout);
  const existence = await stage.sh(EXIST, [list]);
  const libraries = await stage.sh(LIBRARIES, [list, elves], { kept: KEPT });
  const runPaths = await stage.sh(RUN_PATHS, [elves], { kept: KEPT });
  const changes = await tools.verify(stage, wanted.name);
  const points: Point[] = [
    versionPoint(wanted, installed, tools),
    point(`${counted(paths.length, 'path')} exist`, linesOf(existence.stdout)),
    libraries.exitCode === 3
      ? skipped('dynamic libraries', 'there is no ldd')
      : librariesPoint(parseMarked(libraries.stdout), paths),
    runPaths.exitCode === 3 || libraries.exitCode === 3
      ? skipped('run paths', 'there is no dynamic loader to ask')
      : point('run paths are absolute', badRunPaths(parseMarked(runPaths.stdout))),
  ];
  const tool = tools.family === 'deb' ? 'dpkg -V' : 'rpm -V';
  if (!changes) points.push(skipped(tool, 'it is too old for that'));
  else if (changes.faults.length > 0) points.push(point(tool, changes.faults));
  else {
    const lines = changes.configuration.map((line) => `changed configuration file: ${line}`);
    points.push({ name: tool, ok: true, lines });
  }
  return { points, paths };
}

/** Whether the right version is there. Pure. */
export function versionPoint(
  wanted: Package,
  installed: Installed | undefined,
  { satisfies }: Pick<PackageTools, 'satisfies'>,
): Point {
  if (!installed) {
    return { name: 'it is installed', ok: false, lines: [`${wanted.name} is not installed`] };
  }
  const { version, architecture } = installed;
  if (wanted.version === undefined) return { name: `${version} ${architecture} is installed`, ok: true };
  const ok = satisfies(wanted.version, installed);
  const lines = ok ? [] : [`asked for ${wanted.version}, installed is ${version}`];
  return { name: `${wanted.version} is installed`, ok, lines };
}

/** Lines that follow a path, each marked with '> '. */
export type Marked = readonly { readonly path: string; readonly lines: readonly string[] }[];

/** Reads what the scripts print: a path, then lines that begin with '> '. Pure. */
export function parseMarked(output: string): Marked {
  const found: { path: string; lines: string[] }[] = [];
  for (const line of output.split('\n')) {
    if (line.startsWith('> ')) found.at(-1)?.lines.push(line.slice(2));
    else if (line.startsWith('/')) found.push({ path: line, lines: [] });
  }
  return found;
}

/**
 * Libraries that ldd does not find. One that the package itself brings is only warned of: programs with libraries in
 * a folder of their own are mostly started by a script that sets LD_LIBRARY_PATH, or load them by their path. Pure.
 */
export function librariesPoint(files: Marked, paths: readonly string[]): Point {
  const own = new Set(paths.map((path) => path.slice(path.lastIndexOf('/') + 1)));
  const faults: string[] = [];
  const warnings: string[] = [];
  for (const { path, lines } of files) {
    for (const line of new Set(lines)) {
      const missing = /^(\S+) => not found/.exec(line)?.[1];
      const version = /([^/\s]+): version [`'].*' not found/.exec(line)?.[1];
      const library = missing ?? version;
      if (library === undefined) continue;
      if (own.has(library)) {
        warnings.push(`${path}: the loader does not find the package's own ${library}`);
      } else faults.push(`${path}: ${missing === undefined ? line : `${missing} not found`}`);
    }
  }
  const name = `libraries of ${counted(files.length, 'ELF file')} resolve`;
  return faults.length > 0 ? point(name, faults) : { name, ok: true, lines: [...new Set(warnings)] };
}

/** Run paths with an empty or a relative entry: libraries are then looked for in whatever folder the user is in. Pure. */
export function badRunPaths(files: Marked): string[] {
  return files.flatMap(({ path, lines }) => {
    const entries = lines.flatMap((line) => line.split(':'));
    const bad = entries.find((entry) => !entry.startsWith('/'));
    return bad === undefined ? [] : [`${path}: its run path has an entry that is empty or relative`];
  });
}

function point(name: string, faults: readonly string[]): Point {
  return { name, ok: faults.length === 0, lines: faults };
}

function skipped(name: string, why: string): Point {
  return { name, ok: true, skipped: why };
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
