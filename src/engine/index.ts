/**
 * engine: the Docker Engine, through dockerode: containers, images, and what travels between the engine and a
 * registry or an archive. Every call has an end, every stream a bound, and what the engine says in plain words
 * (often under status 200) becomes a typed error. The engine is asked for facts; success is claimed only with proof.
 */
export type { CommitOptions } from './commit.ts';
export type { CallOptions, EngineTls } from './connection.ts';
export type { ContainerExit, Containers, NewContainer } from './containers.ts';
export { type Engine, type EngineOptions, type EngineVersion, openEngine } from './engine.ts';
export type { ExecOptions, ExecResult } from './exec.ts';
export {
  type Images,
  type Loaded,
  type Pulled,
  type Pushed,
  type RegistryView,
  repoDigest,
  type TransferOptions,
} from './images.ts';
export type {
  Container,
  ContainerEntry,
  EngineInfo,
  HistoryStep,
  HostSettings,
  Image,
  ImageEntry,
  RemovedImages,
  RunConfig,
} from './model.ts';
export type { OutputStream } from './multiplexed.ts';
export type { ImageName } from './names.ts';
export type { CollectedOutput, OnLine, OutputLimits } from './output.ts';
export type { RegistryCredential } from './registry-auth.ts';
export type { LayerCounts, LayerEvent, LayerPhase, StatusEvent, TransferEvent } from './transfer.ts';
