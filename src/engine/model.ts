import { z } from 'zod';

/** Go writes null for empty lists and maps. */
const list = <T extends z.ZodType>(item: T) =>
  z
    .array(item)
    .nullish()
    .transform((value) => value ?? []);
const map = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string(), value)
    .nullish()
    .transform((entries) => entries ?? {});
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const count = z
  .number()
  .nullish()
  .transform((value) => value ?? 0);
const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false);

/** What an image and a container have in common: how it is run. */
const runConfigSchema = z
  .object({
    Cmd: list(z.string()),
    Entrypoint: list(z.string()),
    Env: list(z.string()),
    Labels: map(z.string()),
    WorkingDir: text,
    User: text,
    ExposedPorts: map(z.unknown()),
    Volumes: map(z.unknown()),
    StopSignal: text,
  })
  .transform((config) => ({
    command: config.Cmd,
    entrypoint: config.Entrypoint,
    /** `NAME=value`. */
    env: config.Env,
    labels: config.Labels,
    workingDir: config.WorkingDir,
    user: config.User,
    /** `80/tcp`. */
    exposedPorts: Object.keys(config.ExposedPorts),
    /** Paths that are volumes, and so in no image. */
    volumes: Object.keys(config.Volumes),
    stopSignal: config.StopSignal,
  }));

/** How an image is run when nothing else is said. */
export type RunConfig = Readonly<z.infer<typeof runConfigSchema>>;

const portBindingSchema = z
  .object({ HostIp: text, HostPort: text })
  .transform(({ HostIp, HostPort }) => ({ hostIp: HostIp, hostPort: HostPort }));

const hostSettingsSchema = z
  .object({
    NetworkMode: text,
    PortBindings: map(list(portBindingSchema)),
    Binds: list(z.string()),
    Memory: count,
    NanoCpus: count,
    CpuShares: count,
    PidsLimit: count,
    ShmSize: count,
    RestartPolicy: z
      .object({ Name: text, MaximumRetryCount: count })
      .nullish()
      .transform((policy) => ({ name: policy?.Name ?? '', maximumRetries: policy?.MaximumRetryCount ?? 0 })),
    Privileged: flag,
    ReadonlyRootfs: flag,
    Init: flag,
    AutoRemove: flag,
    CapAdd: list(z.string()),
    CapDrop: list(z.string()),
    ExtraHosts: list(z.string()),
    Dns: list(z.string()),
  })
  .transform((host) => ({
    networkMode: host.NetworkMode,
    portBindings: host.PortBindings,
    binds: host.Binds,
    memoryBytes: host.Memory,
    nanoCpus: host.NanoCpus,
    cpuShares: host.CpuShares,
    pidsLimit: host.PidsLimit,
    shmBytes: host.ShmSize,
    restart: host.RestartPolicy,
    privileged: host.Privileged,
    readonlyRootfs: host.ReadonlyRootfs,
    init: host.Init,
    autoRemove: host.AutoRemove,
    capAdd: host.CapAdd,
    capDrop: host.CapDrop,
    extraHosts: host.ExtraHosts,
    dns: host.Dns,
  }));

/** What a container is given by its engine and no image keeps: limits, ports, mounts. Zero and empty mean: not set. */
export type HostSettings = Readonly<z.infer<typeof hostSettingsSchema>>;

const mountSchema = z
  .object({ Type: text, Name: text, Source: text, Destination: text, RW: flag })
  .transform((mount) => ({
    /** `bind`, `volume`, `tmpfs`. */
    type: mount.Type,
    name: mount.Name,
    source: mount.Source,
    destination: mount.Destination,
    writable: mount.RW,
  }));

/** `GET /containers/{id}/json`. */
export const containerSchema = z
  .object({
    Id: z.string(),
    Name: text,
    Created: text,
    Image: text,
    Path: text,
    Args: list(z.string()),
    State: z.object({
      Status: text,
      Running: flag,
      Paused: flag,
      OOMKilled: flag,
      ExitCode: count,
      Error: text,
      Health: z.object({ Status: text }).nullish(),
    }),
    Config: z.object({ Image: text, Hostname: text, Tty: flag, OpenStdin: flag }).and(runConfigSchema),
    HostConfig: hostSettingsSchema,
    Mounts: list(mountSchema),
    SizeRw: z.number().nullish(),
  })
  .transform((container) => {
    const { Image, Hostname, Tty, OpenStdin, ...run } = container.Config;
    return {
      id: container.Id,
      /** Without the slash that the engine puts before it. */
      name: container.Name.replace(/^\//, ''),
      /** ISO 8601. */
      created: container.Created,
      imageId: container.Image,
      /** The image as whoever created the container named it. */
      imageName: Image,
      state: {
        /** `created`, `running`, `paused`, `restarting`, `exited`, `dead`. */
        status: container.State.Status,
        running: container.State.Running,
        paused: container.State.Paused,
        outOfMemory: container.State.OOMKilled,
        exitCode: container.State.ExitCode,
        error: container.State.Error,
        /** `starting`, `healthy`, `unhealthy`; '' without a health check. */
        health: container.State.Health?.Status ?? '',
      },
      run,
      hostname: Hostname,
      tty: Tty,
      openStdin: OpenStdin,
      host: container.HostConfig,
      mounts: container.Mounts,
      /** Bytes that it has written over its image, when they were asked for. */
      ...(container.SizeRw == null ? {} : { writtenBytes: container.SizeRw }),
    };
  });

export type Container = Readonly<z.infer<typeof containerSchema>>;

/** `GET /containers/json`. */
export const containerListSchema = z.array(
  z
    .object({
      Id: z.string(),
      Names: list(z.string()),
      Image: text,
      ImageID: text,
      Created: count,
      State: text,
      Status: text,
      Labels: map(z.string()),
    })
    .transform((container) => ({
      id: container.Id,
      name: (container.Names[0] ?? '').replace(/^\//, ''),
      imageName: container.Image,
      imageId: container.ImageID,
      createdMs: container.Created * 1000,
      status: container.State,
      /** For people: `Up 3 minutes`. */
      statusText: container.Status,
      labels: container.Labels,
    })),
);

export type ContainerEntry = Readonly<z.infer<typeof containerListSchema>[number]>;

/** `GET /images/{name}/json`. VirtualSize is gone since API 1.44; Size is what it was. */
export const imageSchema = z
  .object({
    Id: z.string(),
    RepoTags: list(z.string()),
    RepoDigests: list(z.string()),
    Created: text,
    Size: count,
    Architecture: text,
    Os: text,
    Variant: text,
    Parent: text,
    Author: text,
    Comment: text,
    Config: runConfigSchema.nullish(),
    RootFS: z
      .object({ Layers: list(z.string()) })
      .nullish()
      .transform((root) => root?.Layers ?? []),
  })
  .transform((image) => ({
    /**
     * The config's digest with a graph driver, the manifest's or index' with the containerd store: the same
     * image has different IDs on two engines, so it is compared by a registry's digest instead.
     */
    id: image.Id,
    tags: namesWithTag(image.RepoTags),
    /** `repository@digest` of every registry it was pushed to or pulled from. */
    repoDigests: image.RepoDigests,
    /** ISO 8601, '' when the image does not say. */
    created: image.Created,
    sizeBytes: image.Size,
    platform: {
      os: image.Os,
      architecture: image.Architecture,
      ...(image.Variant === '' ? {} : { variant: image.Variant }),
    },
    parentId: image.Parent,
    author: image.Author,
    comment: image.Comment,
    run: image.Config ?? EMPTY_RUN,
    /** DiffIDs, lowest first. */
    layers: image.RootFS,
  }));

const EMPTY_RUN: RunConfig = runConfigSchema.parse({});

export type Image = Readonly<z.infer<typeof imageSchema>>;

/** Without docker's name of what has none, and without the digests by which podman pulled. */
function namesWithTag(names: readonly string[]): string[] {
  return names.filter((name) => name !== '<none>:<none>' && !name.includes('@'));
}

/** `GET /images/json`. */
export const imageListSchema = z.array(
  z
    .object({
      Id: z.string(),
      ParentId: text,
      RepoTags: list(z.string()),
      RepoDigests: list(z.string()),
      Created: count,
      Size: count,
      Labels: map(z.string()),
    })
    .transform((image) => ({
      id: image.Id,
      parentId: image.ParentId,
      tags: namesWithTag(image.RepoTags),
      repoDigests: image.RepoDigests.filter((digest) => digest !== '<none>@<none>'),
      createdMs: image.Created * 1000,
      sizeBytes: image.Size,
      labels: image.Labels,
    })),
);

export type ImageEntry = Readonly<z.infer<typeof imageListSchema>[number]>;

/** `GET /images/{name}/history`, newest layer first. */
export const historySchema = z.array(
  z
    .object({ Id: text, Created: count, CreatedBy: text, Size: count, Comment: text, Tags: list(z.string()) })
    .transform((step) => ({
      /** '' or `<missing>` for what was made elsewhere. */
      id: step.Id,
      createdMs: step.Created * 1000,
      createdBy: step.CreatedBy,
      comment: step.Comment,
      sizeBytes: step.Size,
      tags: step.Tags,
    })),
);

export type HistoryStep = Readonly<z.infer<typeof historySchema>[number]>;

/** `DELETE /images/{name}`. */
export const removedSchema = z
  .array(z.object({ Untagged: text, Deleted: text }))
  .nullish()
  .transform((steps) => ({
    untagged: (steps ?? []).map(({ Untagged }) => Untagged).filter((name) => name !== ''),
    deleted: (steps ?? []).map(({ Deleted }) => Deleted).filter((id) => id !== ''),
  }));

export type RemovedImages = Readonly<z.infer<typeof removedSchema>>;

/** An answer that names what was made. */
export const createdSchema = z.object({ Id: z.string().min(1), Warnings: list(z.string()) });

/** `GET /version`. */
export const versionSchema = z.object({
  Version: text,
  ApiVersion: text,
  MinAPIVersion: text,
  Os: text,
  Arch: text,
  Components: list(z.object({ Name: text, Version: text })),
});

/** `GET /info`. */
export const infoSchema = z
  .object({
    ID: text,
    Name: text,
    ServerVersion: text,
    OSType: text,
    Architecture: text,
    Driver: text,
    DriverStatus: list(list(z.string())),
    DockerRootDir: text,
    MemTotal: count,
    NCPU: count,
    RegistryConfig: z
      .object({
        InsecureRegistryCIDRs: list(z.string()),
        IndexConfigs: map(z.object({ Secure: flag, Mirrors: list(z.string()) })),
      })
      .nullish(),
  })
  .transform((info) => ({
    /** The same for as long as the engine lives; '' where it has none. */
    id: info.ID,
    hostname: info.Name,
    version: info.ServerVersion,
    os: info.OSType,
    architecture: info.Architecture,
    storageDriver: info.Driver,
    /** Images are in containerd's store (default of fresh engines since 29), not in a graph driver. */
    containerdStore: info.DriverStatus.some(
      ([name = '', value = '']) => name === 'driver-type' && /containerd/.test(value),
    ),
    dataRoot: info.DockerRootDir,
    memoryBytes: info.MemTotal,
    cpus: info.NCPU,
    insecureCidrs: info.RegistryConfig?.InsecureRegistryCIDRs ?? [],
    /** `host[:port]` of registries that the engine was told of, and whether it insists on TLS there. */
    registries: Object.fromEntries(
      Object.entries(info.RegistryConfig?.IndexConfigs ?? {}).map(([host, { Secure }]) => [
        host,
        { secure: Secure },
      ]),
    ),
  }));

export type EngineInfo = Readonly<z.infer<typeof infoSchema>>;

/** `POST /containers/{id}/wait`. */
export const waitSchema = z.object({
  StatusCode: z.number(),
  Error: z.object({ Message: text }).nullish(),
});

/** `GET /exec/{id}/json`. */
export const execSchema = z.object({ Running: flag, ExitCode: z.number().nullish() });

/** `GET /distribution/{name}/json`. */
export const distributionSchema = z.object({
  Descriptor: z.object({ digest: z.string(), mediaType: text, size: count }),
  Platforms: list(z.object({ os: text, architecture: text, variant: text })),
});
