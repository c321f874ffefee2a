import type { Container } from '../../engine/index.ts';

/** A port of the container, and where the host gives it out. */
export interface PortBinding {
  readonly hostIp: string;
  readonly hostPort: string;
}

/**
 * How a container was run beside what its image says: what a commit loses, and a restored container gets again.
 * What would give it power over the host it is restored on (mounts, privileges, added capabilities, the host's
 * network) is not among it: labels come with the image, from whoever pushed it.
 */
export interface RestoreSettings {
  readonly hostname?: string;
  readonly tty?: boolean;
  readonly openStdin?: boolean;
  /** As it was asked for: `none`, `host`, or a network's name. Only `none` is restored unasked. */
  readonly network?: string;
  /** By container port: `80/tcp`. */
  readonly ports?: Readonly<Record<string, readonly PortBinding[]>>;
  readonly memoryBytes?: number;
  readonly nanoCpus?: number;
  readonly cpuShares?: number;
  readonly pidsLimit?: number;
  readonly shmBytes?: number;
  readonly restart?: { readonly name: string; readonly maximumRetries: number };
  readonly readonlyRootfs?: boolean;
  readonly init?: boolean;
  readonly capDrop?: readonly string[];
}

/** Bytes of the label that carries them. */
const LABEL_MAX = 8 * 1024;
const NAMES_MAX = 64;
/** docker's own default, which says nothing about what was wanted. */
const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;
const DEFAULT_NETWORKS = new Set(['', 'default', 'bridge']);
const RESTARTS = new Set(['always', 'unless-stopped', 'on-failure']);
const HOSTNAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const NETWORK = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/;
const PORT = /^\d{1,5}\/(tcp|udp|sctp)$/;
const HOST_PORT = /^\d{0,5}$/;
const HOST_IP = /^[0-9A-Fa-f.:]{0,45}$/;
const CAPABILITY = /^[A-Z_]{1,40}$/;

/** What of a container's settings can be restored. */
export function settingsOf(container: Container): RestoreSettings {
  const { host, hostname, id, tty, openStdin } = container;
  return validated({
    // The engine names a container after its ID when nobody does.
    ...(id.startsWith(hostname) ? {} : { hostname }),
    tty,
    openStdin,
    ...(DEFAULT_NETWORKS.has(host.networkMode) ? {} : { network: host.networkMode }),
    ports: host.portBindings,
    memoryBytes: host.memoryBytes,
    nanoCpus: host.nanoCpus,
    cpuShares: host.cpuShares,
    pidsLimit: host.pidsLimit,
    ...(host.shmBytes === DEFAULT_SHM_BYTES ? {} : { shmBytes: host.shmBytes }),
    restart: host.restart,
    readonlyRootfs: host.readonlyRootfs,
    init: host.init,
    capDrop: host.capDrop,
  });
}

/** The label's text. More than fits there (thousands of published ports) is left out. */
export function settingsText(settings: RestoreSettings): string {
  const text = JSON.stringify(settings);
  if (text.length <= LABEL_MAX) return text;
  const { ports: _ports, ...rest } = settings;
  return JSON.stringify(rest);
}

/** True when {@link settingsText} has to leave the ports out. */
export function isTooLong(settings: RestoreSettings): boolean {
  return JSON.stringify(settings).length > LABEL_MAX;
}

/** Reads the label's text, which may be anything: only what is well formed is taken. */
export function parseSettings(text: string | undefined): RestoreSettings {
  if (text === undefined || text.length > LABEL_MAX) return {};
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? validated(value) : {};
  } catch {
    return {};
  }
}

/** The fields of a record that are what they must be, and say more than an engine's default would. */
function validated(value: Readonly<Record<string, unknown>>): RestoreSettings {
  const matching = (name: string, pattern: RegExp): string | undefined => {
    const found = own(value, name);
    return typeof found === 'string' && pattern.test(found) ? found : undefined;
  };
  const positive = (name: string): number | undefined => {
    const found = own(value, name);
    return typeof found === 'number' && Number.isSafeInteger(found) && found > 0 ? found : undefined;
  };
  const set = (name: string): true | undefined => (own(value, name) === true ? true : undefined);
  return defined({
    hostname: matching('hostname', HOSTNAME),
    tty: set('tty'),
    openStdin: set('openStdin'),
    network: matching('network', NETWORK),
    ports: portsIn(own(value, 'ports')),
    memoryBytes: positive('memoryBytes'),
    nanoCpus: positive('nanoCpus'),
    cpuShares: positive('cpuShares'),
    pidsLimit: positive('pidsLimit'),
    shmBytes: positive('shmBytes'),
    restart: restartIn(own(value, 'restart')),
    readonlyRootfs: set('readonlyRootfs'),
    init: set('init'),
    capDrop: namesIn(own(value, 'capDrop')),
  });
}

function portsIn(value: unknown): RestoreSettings['ports'] | undefined {
  if (!isRecord(value)) return undefined;
  const ports = Object.entries(value)
    .filter(([port]) => PORT.test(port))
    .map(([port, bindings]) => [port, bindingsIn(bindings)] as const);
  return ports.length === 0 ? undefined : Object.fromEntries(ports);
}

function bindingsIn(value: unknown): readonly PortBinding[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, NAMES_MAX).flatMap((binding: unknown) => {
    if (!isRecord(binding)) return [];
    const { hostIp, hostPort } = binding;
    const fits =
      typeof hostIp === 'string' &&
      HOST_IP.test(hostIp) &&
      typeof hostPort === 'string' &&
      HOST_PORT.test(hostPort);
    return fits ? [{ hostIp, hostPort }] : [];
  });
}

function restartIn(value: unknown): RestoreSettings['restart'] | undefined {
  if (!isRecord(value)) return undefined;
  const { name, maximumRetries } = value;
  if (typeof name !== 'string' || !RESTARTS.has(name)) return undefined;
  const retries =
    typeof maximumRetries === 'number' && Number.isSafeInteger(maximumRetries) ? maximumRetries : 0;
  return { name, maximumRetries: Math.max(0, retries) };
}

function namesIn(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const names = value
    .filter((name): name is string => typeof name === 'string' && CAPABILITY.test(name))
    .slice(0, NAMES_MAX);
  return names.length === 0 ? undefined : names;
}

function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as never;
}

function own(record: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
