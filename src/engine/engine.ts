import { isRegopsError, type Log, RegopsError, silentLog } from '../base/index.ts';
import { formatEngineAddress, parseEngineHost } from './address.ts';
import { type CallOptions, EngineConnection, type EngineTls } from './connection.ts';
import { Containers } from './containers.ts';
import { Images } from './images.ts';
import { type EngineInfo, infoSchema, versionSchema } from './model.ts';
import { mayTalkPlainly } from './plain-registries.ts';
import { authConfig, type RegistryCredential } from './registry-auth.ts';

export interface EngineOptions {
  /** As in DOCKER_HOST: `unix:///path`, `tcp://host:port`; nothing means docker's own socket. */
  readonly host?: string | undefined;
  /** For an engine behind TLS; only tcp has that. */
  readonly tls?: EngineTls | undefined;
  /** Ends every call that is given no signal of its own. */
  readonly signal?: AbortSignal | undefined;
  readonly log?: Log | undefined;
}

export interface EngineVersion {
  readonly product: 'docker' | 'podman';
  /** Of the engine: `20.10.24`. */
  readonly version: string;
  /** Of the API as it is spoken: the newest that both sides know. */
  readonly apiVersion: string;
  /** `linux` or `windows`, and Go's name of the architecture. */
  readonly os: string;
  readonly architecture: string;
}

/** 19.03's, which has platforms in create; and the newest that regops was written for. */
const API_OLDEST: ApiVersion = [1, 40];
const API_NEWEST: ApiVersion = [1, 51];

type ApiVersion = readonly [major: number, minor: number];

/** An engine that answers. */
export class Engine {
  readonly version: EngineVersion;
  readonly containers: Containers;
  readonly images: Images;
  readonly #connection: EngineConnection;

  constructor(connection: EngineConnection, version: EngineVersion) {
    const podman = version.product === 'podman';
    this.version = version;
    this.containers = new Containers(connection, podman);
    this.images = new Images(connection);
    this.#connection = connection;
  }

  /** Where it is: `unix:///var/run/docker.sock`. */
  get address(): string {
    return formatEngineAddress(this.#connection.address);
  }

  /** What the engine says of itself. */
  info(call: CallOptions = {}): Promise<EngineInfo> {
    return this.#connection.json(
      { ...call, what: 'cannot ask the engine about itself', method: 'GET', path: '/info' },
      infoSchema,
    );
  }

  /**
   * Whether the engine would use a registry over plain http or with a certificate it cannot verify, as its daemon.json
   * says. Podman's API does not tell.
   */
  async mayTalkPlainly(domain: string, call: CallOptions = {}): Promise<boolean> {
    return mayTalkPlainly(await this.info(call), domain);
  }

  /**
   * Lets the engine sign in to a registry, which takes milliseconds where a push with wrong credentials takes most
   * of a minute. Throws AUTHENTICATION_FAILED, and what keeps the engine from the registry: CONNECTION_FAILED, TLS_UNTRUSTED …
   * A bearer token cannot be checked and passes.
   */
  async checkCredential(
    domain: string,
    credential: RegistryCredential,
    call: CallOptions = {},
  ): Promise<void> {
    if ('bearerToken' in credential) return;
    await this.#connection.done({
      timeoutMs: 30_000,
      ...call,
      what: `cannot sign in to ${domain}`,
      method: 'POST',
      path: '/auth',
      body: authConfig(domain, credential),
    });
  }

  /** Ends what is still going on. */
  close(): void {
    this.#connection.close();
  }
}

/**
 * Finds the engine, agrees on a version of the API, and gives it. Throws CONFIG_INVALID for an address that cannot be used,
 * ENGINE_UNREACHABLE when nobody answers there, UNSUPPORTED_BY_SERVER for one that is too old or too new, and
 * PROTOCOL_VIOLATION for what is no engine.
 */
export async function openEngine(options: EngineOptions = {}): Promise<Engine> {
  const address = parseEngineHost(options.host, options.tls !== undefined);
  const connection = await EngineConnection.open(
    address,
    options.tls,
    options.log ?? silentLog,
    options.signal,
  );
  try {
    const newest = await newestOf(connection);
    const ours = lower(newest, API_NEWEST);
    if (isLower(newest, API_OLDEST)) throw unsupported('too old', newest, API_OLDEST);
    connection.speak(shown(ours));
    const version = await connection.json(
      { what: "cannot ask for the engine's version", method: 'GET', path: '/version', timeoutMs: 30_000 },
      versionSchema,
    );
    const oldest = parseVersion(version.MinAPIVersion);
    if (oldest && isLower(ours, oldest)) throw unsupported('too new', oldest, API_NEWEST);
    const podman = version.Components.some(({ Name }) => /podman/i.test(Name));
    return new Engine(connection, {
      product: podman ? 'podman' : 'docker',
      version: version.Version,
      apiVersion: shown(ours),
      os: version.Os,
      architecture: version.Arch,
    });
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** The newest version of the API that the engine knows: a header of the one call that never had a version. */
async function newestOf(connection: EngineConnection): Promise<ApiVersion> {
  const what = 'cannot reach the engine';
  const stranger = (cause?: unknown): RegopsError =>
    new RegopsError(
      'PROTOCOL_VIOLATION',
      `${what}: what answers at ${formatEngineAddress(connection.address)} is no Docker Engine`,
      { hints: ['Check DOCKER_HOST.'], cause },
    );
  const reply = await connection
    .open({ what, method: 'GET', path: '/_ping', timeoutMs: 30_000 })
    .catch((error: unknown) => {
      throw isRegopsError(error, 'UNSUPPORTED_BY_SERVER') ? stranger(error) : error;
    });
  reply.close();
  const header = reply.headers['api-version'];
  const version = parseVersion(typeof header === 'string' ? header : '');
  if (!version) throw stranger();
  return version;
}

function parseVersion(text: string): ApiVersion | undefined {
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text.trim());
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}

function isLower(a: ApiVersion, b: ApiVersion): boolean {
  return a[0] === b[0] ? a[1] < b[1] : a[0] < b[0];
}

function lower(a: ApiVersion, b: ApiVersion): ApiVersion {
  return isLower(a, b) ? a : b;
}

function shown([major, minor]: ApiVersion): string {
  return `${major}.${minor}`;
}

function unsupported(how: string, theirs: ApiVersion, ours: ApiVersion): RegopsError {
  return new RegopsError(
    'UNSUPPORTED_BY_SERVER',
    `the engine is ${how}: it speaks version ${shown(theirs)} of its API, regops ${shown(ours)}`,
    { hints: [how === 'too old' ? 'Docker 19.03 or newer is needed.' : 'Use a newer regops.'] },
  );
}
