import type { Package, PackageFamily, Repository } from '../../../alts/index.ts';
import type { Stage, Step } from './stage.ts';

/** A package as the system has it. */
export interface Installed {
  /** As a user would ask for it: `1:2.0-1`. */
  readonly version: string;
  readonly architecture: string;
}

/** What a package manager says of changed files. */
export interface Changes {
  /** Everything but configuration, a line each. */
  readonly faults: readonly string[];
  /** Configuration files, which may be changed. */
  readonly configuration: readonly string[];
}

export interface InstallOptions {
  /** Package files that are installed along. */
  readonly files?: readonly string[];
  /** What is wanted is one of the files: no repository is looked in for it. */
  readonly fromFile?: boolean;
  /** What is there already: it is installed once more, so that it is whole. */
  readonly present?: Installed | undefined;
}

/** What the stages need of a distribution's package manager. Names come checked by `parsePackage`. */
export interface PackageTools {
  readonly family: PackageFamily;
  /** Undoes what keeps files from being installed, and keeps services from being started. */
  prepare(stage: Stage): Promise<Step>;
  addRepository(stage: Stage, repository: Repository, number: number): Promise<Step>;
  /** Reads all repositories' lists of packages. */
  refresh(stage: Stage): Promise<Step>;
  /** A script that shows, each with `show COMMAND`, which packages there are and where more are to be had. */
  readonly infoScript: string;
  /** The name in a package file. */
  nameOf(stage: Stage, file: string): Promise<Step>;
  find(stage: Stage, name: string): Promise<Installed | undefined>;
  /** The names of all that is installed. */
  list(stage: Stage): Promise<readonly string[]>;
  install(stage: Stage, wanted: Package, how: InstallOptions): Promise<Step>;
  /** Where the installed version came from; undefined when that is not known. */
  origin(stage: Stage, name: string): Promise<string | undefined>;
  /** Whether the installed version is the one that was asked for. */
  satisfies(wanted: string, installed: Installed): boolean;
  /** A script that prints the paths of the files and folders of the package "$1". */
  readonly filesScript: string;
  /** Undefined when the system has no such check. */
  verify(stage: Stage, name: string): Promise<Changes | undefined>;
  /** Why a system without this package is none; undefined when it may go. */
  keeps(stage: Stage, name: string): Promise<string | undefined>;
  remove(stage: Stage, name: string): Promise<Step>;
  /** Removes what nothing needs any more. May fail. */
  tidy(stage: Stage): Promise<Step>;
  /** A script that prints the paths of everything installed. */
  readonly ownedScript: string;
  /** What using the package manager itself leaves behind. */
  readonly ownTraces: readonly RegExp[];
}

const VERIFY_LINE = /^(missing|[A-Z0-9?.]{8,12})\s+(?:([a-z])\s+)?(\/.*)$/;

/** Reads `dpkg -V` and `rpm -V`, which look alike. Pure. */
export function parseVerify(output: string): Changes {
  const faults: string[] = [];
  const configuration: string[] = [];
  for (const line of output.split('\n')) {
    const text = line.trimEnd();
    if (text.trim() === '') continue;
    const [, , attribute] = VERIFY_LINE.exec(text) ?? [];
    // Ghosts are what a package only knows of, such as its log.
    if (attribute === 'g') continue;
    (attribute === 'c' ? configuration : faults).push(text);
  }
  return { faults, configuration };
}
