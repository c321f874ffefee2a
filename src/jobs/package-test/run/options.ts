import type { Readable } from 'node:stream';
import type { Distribution, Package, Repository } from '../../../alts/index.ts';
import type { Engine, RegistryCredential } from '../../../engine/index.ts';
import type { Platform, Reference } from '../../../oci/index.ts';
import type { JobContext } from '../../context.ts';
import type { TaskOutcome } from '../result.ts';

/** Whether the container stays when its test is over. */
export type Keep = 'on-failure' | 'always' | 'never';

/** A script that is run once the package is installed: `.sh`, or `.bats`. */
export interface TestScript {
  /** Without its folder. */
  readonly name: string;
  readonly content: Uint8Array;
}

/** Tests that somebody keeps in a repository: what lies beside the scripts goes into the container with them. */
export interface TestFolder {
  /** For people, without secrets. */
  readonly name: string;
  /** Paths of the scripts (`.sh`, or `.bats`) in the archive. */
  readonly scripts: readonly string[];
  /** Names of tests of kinds that are not run here. */
  readonly leftOut: readonly string[];
  /** A tar archive of everything, made anew each time. */
  archive(): Readable;
}

/** A package file that is installed along with what is tested. */
export interface PackageFile {
  /** Without its folder. */
  readonly name: string;
  readonly size: number;
  open(): AsyncIterable<Uint8Array>;
}

/** How long the stages may take, in milliseconds. */
export interface StageLimits {
  readonly prepareMs: number;
  readonly installMs: number;
  /** Of the integrity checks, and of each script. */
  readonly testMs: number;
  readonly uninstallMs: number;
  /** Of one package, from its container's creation on. */
  readonly packageMs: number;
}

/** ALTS' own limits; it gives the removal ten seconds thirty times. */
export const ALTS_LIMITS: StageLimits = {
  prepareMs: 600_000,
  installMs: 600_000,
  testMs: 1_800_000,
  uninstallMs: 300_000,
  packageMs: 7_200_000,
};

export interface PackageTestRunOptions {
  /** Each in a container of its own. None: the packages of `files`. */
  readonly packages: readonly Package[];
  readonly image: Reference;
  /** Which of the image's platforms; else the engine's own. */
  readonly platform?: Platform | undefined;
  /** What the image is, when the user has said so; else it is asked. */
  readonly distribution?: Distribution | undefined;
  readonly repositories: readonly Repository[];
  readonly files: readonly PackageFile[];
  readonly scripts: readonly TestScript[];
  readonly testFolders: readonly TestFolder[];
  /** In the environment of scripts, beside what regops tells them itself. */
  readonly testVariables: Readonly<Record<string, string>>;
  readonly keep: Keep;
  /** Packages tested at once. */
  readonly concurrency: number;
  /** `host`, `bridge`, or a network of the engine. */
  readonly network: string;
  /** A folder that gets a file for each stage. */
  readonly logFolder?: string | undefined;
  readonly limits: StageLimits;
}

export interface PackageTestRunContext extends Omit<JobContext, 'registry'> {
  engine(): Promise<Engine>;
  /** Who the engine is to be when it has to pull the image. */
  credential(domain: string, repository: string): Promise<RegistryCredential | undefined>;
  /** Told of every test that has ended. */
  readonly ended?: ((task: TaskOutcome) => void) | undefined;
}

export interface PackageTestRunResult {
  readonly image: string;
  readonly imageId: string;
  readonly tasks: readonly TaskOutcome[];
  /** Containers that were kept. */
  readonly kept: readonly KeptContainer[];
  readonly durationMs: number;
}

export interface KeptContainer {
  readonly name: string;
  readonly package: string;
  /** How to get into it. */
  readonly enter: string;
}
