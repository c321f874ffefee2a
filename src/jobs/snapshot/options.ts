import type { Readable } from 'node:stream';
import type { LayerCache } from '../../archive/index.ts';
import type { RegopsError } from '../../base/index.ts';
import type { Engine, LayerCounts, RegistryCredential } from '../../engine/index.ts';
import type { Digest, LayerCompression, Platform, Reference } from '../../oci/index.ts';
import type { UploadJournal } from '../../registry/index.ts';
import type { JobContext } from '../context.ts';
import type { PruneRules } from './policy.ts';

/**
 * Who carries an image between the engine and a registry: the engine itself, as its daemon.json allows, or regops
 * over an archive, with the user's own TLS settings and credentials.
 */
export type Transport = 'daemon' | 'direct';

/** A repository of a registry that holds snapshots. */
export interface SnapshotRepository {
  readonly domain: string;
  readonly repository: string;
}

/** What to push: a container, of which a snapshot is made, or a snapshot that is there already. */
export type SnapshotSource =
  | {
      readonly kind: 'container';
      /** Name or ID. */
      readonly container: string;
      /** Default: a new one. */
      readonly snapshotId?: string | undefined;
      /** Pause the container while it is committed. */
      readonly pause: boolean;
      /** How long the snapshot is wanted; 0 for ever. */
      readonly ttlMs: number;
      /** Labels of the user's own. */
      readonly labels: Readonly<Record<string, string>>;
      /** Variables whose names match are emptied in the image. */
      readonly scrubEnv: readonly RegExp[];
    }
  | { readonly kind: 'image'; readonly reference: Reference };

export interface SnapshotPushOptions {
  readonly source: SnapshotSource;
  /** Where it goes; none: the snapshot stays in the engine. */
  readonly repositories: readonly SnapshotRepository[];
  /** In place of `<container>-<snapshot ID>`. */
  readonly tag?: string | undefined;
  /** Take the image out of the engine once every registry has it. */
  readonly removeLocal: boolean;
  readonly transport: Transport;
}

export interface SnapshotPullOptions {
  /** A snapshot in a registry by tag or digest, or in the engine as `regops-snapshots:TAG`. */
  readonly reference: Reference;
  /** Make a container of it, and wait until that runs. */
  readonly start: boolean;
  /** Default: the source's, when that is free. */
  readonly name?: string | undefined;
  /** In place of the image's own. */
  readonly command?: readonly string[] | undefined;
  /** In place of the engine's default network. */
  readonly network?: string | undefined;
  readonly platform?: Platform | undefined;
  readonly transport: Transport;
}

/** Where snapshots are looked for. */
export interface SnapshotPlaces {
  readonly repository?: SnapshotRepository | undefined;
  /** False: the engine is not asked. `'if-reachable'`: one that does not answer is a warning. */
  readonly local: boolean | 'if-reachable';
}

export interface SnapshotListOptions extends SnapshotPlaces {
  /** Only those whose time is over. */
  readonly expiredOnly: boolean;
}

export interface SnapshotPruneOptions extends SnapshotPlaces {
  readonly rules: PruneRules;
  readonly dryRun: boolean;
}

/** What became of an image that regops itself pushed to several references. */
export interface PushedArchive {
  /** Those that got it, also when others did not. */
  readonly images: readonly {
    readonly domain: string;
    readonly repository: string;
    readonly digest: Digest;
    readonly layers: LayerCounts;
    /** Bytes that went over the wire. */
    readonly sentBytes: number;
  }[];
  readonly error?: RegopsError | undefined;
}

/** What the snapshot jobs are given beside their options. */
export interface SnapshotContext extends JobContext {
  /** The engine, found and asked for its version when it is first wanted. */
  engine(): Promise<Engine>;
  /** Who the engine is to be towards a registry, by the exact host and repository. */
  credential(domain: string, repository: string): Promise<RegistryCredential | undefined>;
  /** How regops packs layers itself, what it remembers of those that it packed, and where it notes uploads that break off. */
  readonly packing: {
    readonly compression: LayerCompression;
    cache(): Promise<LayerCache>;
    journal?(): Promise<UploadJournal | undefined>;
  };
  /** Pushes the one image of a `docker save` archive: push-tar's engine. The archive is destroyed in the end. */
  pushArchive(archive: Readable, destinations: readonly Reference[]): Promise<PushedArchive>;
}
