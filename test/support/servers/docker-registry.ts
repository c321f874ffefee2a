import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Certificates, makeCertificates } from './certificates.ts';
import { runProgram, startServer, temporaryFolder } from './processes.ts';
import { startTokenServer, type TokenServer } from './token-server.ts';

export interface DockerRegistryOptions {
  /** Who may come in; with `htpasswd` and `token` the user below. */
  readonly auth?: 'none' | 'htpasswd' | 'token';
  /** https, with an authority of its own. */
  readonly tls?: boolean;
  /** https, and clients must show a certificate of that authority. */
  readonly clientCertificates?: boolean;
  /** URL of another registry: makes this one its pull-through cache (read only). */
  readonly proxyUpstream?: string;
  /** The user for the upstream, which must be of `token`: as a cache 2.8 does not know Basic. */
  readonly proxyCredentials?: { readonly username: string; readonly password: string };
  /** Whether manifests and blobs may be deleted, by digest. Default true. */
  readonly deleteEnabled?: boolean;
  /** How long bearer tokens live. Default 300. */
  readonly tokenLifetimeSeconds?: number;
}

/** A running docker-registry (distribution 2.8) with storage of its own. */
export interface DockerRegistry {
  /** `http://127.0.0.1:PORT` or `https://…`. */
  readonly url: string;
  /** `127.0.0.1:PORT`: the first part of a reference. */
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** With `tls` or `clientCertificates`. */
  readonly caFile: string | undefined;
  /** With `clientCertificates`. */
  readonly clientCertFile: string | undefined;
  readonly clientKeyFile: string | undefined;
  /** A `certs.d` folder that holds what this registry needs, under its host; empty without TLS. */
  readonly certsDir: string;
  /** With `auth: 'token'`. */
  readonly tokenServer: TokenServer | undefined;
  /** Its temporary folder; the storage is `storage/` there. */
  readonly dir: string;
  /** The last lines it logged. */
  log(): Promise<string>;
  /** Stops it and removes its folder. */
  close(): Promise<void>;
}

/** The one user. The password has characters that a careless client breaks in URLs, headers and splits. */
const USERNAME = 'anna';
const PASSWORD = 'p%40:s+s/w=rd&';

/** Starts Debian's docker-registry on a free port of the loopback and waits until it listens. */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const cleanup = new AsyncDisposableStack();
  try {
    return await start(options, cleanup);
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

async function start(options: DockerRegistryOptions, cleanup: AsyncDisposableStack): Promise<DockerRegistry> {
  const folder = await temporaryFolder('docker-registry');
  cleanup.defer(folder.remove);
  const dir = folder.path;
  const secure = options.tls || options.clientCertificates;
  const certificates = secure ? await makeCertificates(dir) : undefined;
  const clientCertificates = options.clientCertificates ? certificates : undefined;
  const tokenServer =
    options.auth === 'token'
      ? await startTokenServer({
          ...{ folder: dir, username: USERNAME, password: PASSWORD, tls: certificates },
          lifetimeSeconds: options.tokenLifetimeSeconds,
        })
      : undefined;
  if (tokenServer) cleanup.defer(tokenServer.close);

  const config = {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(dir, 'storage') },
      delete: { enabled: options.deleteEnabled ?? true },
    },
    http: {
      addr: '127.0.0.1:0',
      secret: 'of this test',
      ...(certificates ? { tls: tlsConfig(certificates, clientCertificates !== undefined) } : {}),
    },
    ...(options.auth === 'htpasswd' ? { auth: await htpasswdConfig(dir) } : {}),
    ...(tokenServer ? { auth: tokenConfig(tokenServer) } : {}),
    ...(options.proxyUpstream
      ? { proxy: { remoteurl: options.proxyUpstream, ...options.proxyCredentials } }
      : {}),
  };
  const configFile = join(dir, 'config.yml');
  await writeFile(configFile, JSON.stringify(config, null, 2)); // JSON is YAML
  const server = await startServer('docker-registry', ['serve', configFile], {
    logFile: join(dir, 'log'),
    // Nothing of the machine's own settings: REGISTRY_… variables would override the file.
    env: { PATH: process.env['PATH'], HOME: dir },
  });
  cleanup.defer(server.stop);

  const port = Number((await server.logged(/listening on 127\.0\.0\.1:(\d+)/))[1]);
  const host = `127.0.0.1:${port}`;
  const certsDir = join(dir, 'certs.d');
  await fillCertsDir(join(certsDir, host), certificates, clientCertificates !== undefined);
  return {
    ...{ host, port, dir, certsDir, tokenServer },
    url: `${secure ? 'https' : 'http'}://${host}`,
    username: USERNAME,
    password: PASSWORD,
    caFile: certificates?.caFile,
    clientCertFile: clientCertificates?.clientCertFile,
    clientKeyFile: clientCertificates?.clientKeyFile,
    log: server.log,
    close: () => cleanup.disposeAsync(),
  };
}

async function htpasswdConfig(dir: string): Promise<object> {
  const path = join(dir, 'htpasswd');
  // The lowest cost: every request of a test would pay for more.
  const { stdout } = await runProgram('htpasswd', ['-Bbn', '-C', '4', USERNAME, PASSWORD]);
  await writeFile(path, stdout);
  return { htpasswd: { realm: 'regops test', path } };
}

function tokenConfig(server: TokenServer): object {
  const { realm, service, issuer, rootCertFile } = server;
  return { token: { realm, service, issuer, rootcertbundle: rootCertFile } };
}

function tlsConfig(certificates: Certificates, clientCertificates: boolean): object {
  return {
    certificate: certificates.serverCertFile,
    key: certificates.serverKeyFile,
    ...(clientCertificates ? { clientcas: [certificates.caFile] } : {}),
  };
}

/** docker's layout: `HOST/ca.crt`, and `HOST/client.cert` with its `.key`. */
async function fillCertsDir(
  folder: string,
  certificates: Certificates | undefined,
  clientCertificates: boolean,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  if (!certificates) return;
  await copyFile(certificates.caFile, join(folder, 'ca.crt'));
  if (!clientCertificates) return;
  await copyFile(certificates.clientCertFile, join(folder, 'client.cert'));
  await copyFile(certificates.clientKeyFile, join(folder, 'client.key'));
}
