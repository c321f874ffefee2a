import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Credential, type CredentialSource, createCredentialSource } from '../auth/index.ts';
import { RegopsError } from '../base/index.ts';
import {
  ByteRate,
  type ClientCertificate,
  loadCertsDir,
  loadTlsFiles,
  type TlsMaterial,
} from '../http/index.ts';
import { namesDomain, parseReference, type Reference } from '../oci/index.ts';
import { connectRegistry, parseTarget, type RegistryClient, type RegistryTarget } from '../registry/index.ts';
import type { CommandContext } from './context.ts';
import { credentialEnvironment } from './environment.ts';
import { readPasswordStdin } from './stdio.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_RETRIES = 4;

/** Values of `registryFlags`. */
export interface RegistryFlagValues {
  readonly 'registry-url'?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly 'password-stdin'?: boolean;
  readonly token?: string | undefined;
  readonly 'ca-file'?: string | undefined;
  readonly 'cert-file'?: string | undefined;
  readonly 'key-file'?: string | undefined;
  readonly 'certs-dir'?: string | undefined;
  readonly 'allow-realm'?: readonly string[] | undefined;
  readonly insecure?: boolean;
  readonly 'plain-http'?: boolean;
  readonly timeout?: number | undefined;
  readonly retries?: number | undefined;
  /** Of the commands that send much. */
  readonly 'limit-rate'?: number | undefined;
}

/** The registries of one run: a client each, made when it is first asked for, closed with the command. */
export interface Registries {
  /** The registry of `--registry-url`. */
  readonly named: RegistryTarget | undefined;
  client(domain: string): Promise<RegistryClient>;
  /** Who the user is there: for an engine that talks to the registry itself. */
  credential(domain: string, repository: string): Promise<Credential | undefined>;
  /**
   * Reads a reference of the command line. One that names no registry belongs to `--registry-url` when that
   * is given, else, as docker has it, to Docker Hub. Throws REFERENCE_INVALID.
   */
  reference(text: string): Reference;
}

/**
 * Turns the registry flags into clients. A user name, token or client certificate given by flag belongs to
 * `--registry-url`, or to the only registry that is named: it goes to no other.
 *
 * @param credential takes the place of the flags' own, which are then not read
 */
export async function openRegistries(
  flags: RegistryFlagValues,
  context: CommandContext,
  credential?: Credential,
): Promise<Registries> {
  const plainHttp = flags['plain-http'] ?? false;
  const url = flags['registry-url'];
  const named = url === undefined ? undefined : parseTarget(url, { plainHttp });
  if (named) context.label('registry', named.domain);
  const own = credential ?? (await flagCredential(flags, context));
  if (own) concealCredential(own, context);
  const files = await loadTlsFiles({
    caFile: flags['ca-file'],
    certFile: flags['cert-file'],
    keyFile: flags['key-file'],
  });
  const systemCa = await systemAuthorities(context);
  const source = createCredentialSource({ environment: credentialEnvironment(context) });
  const stored: CredentialSource = async (host, repository) => {
    const found = await source(host, repository);
    if (found) concealCredential(found, context);
    return found;
  };
  const limit = flags['limit-rate'];
  const sendRate = limit === undefined ? undefined : new ByteRate(limit, context.clock);
  const clients = new Map<string, Promise<RegistryClient>>();
  let owner = named?.domain;
  if (flags.insecure) context.log.warn('certificates are not checked (--insecure)');

  /** Whether what was given by flag is meant for this registry. */
  const isOwner = (domain: string): boolean => {
    const personal = own !== undefined || files.clientCertificate !== undefined;
    owner ??= domain;
    if (owner !== domain && personal && named === undefined) {
      throw new RegopsError(
        'USAGE',
        `credentials were given, but there are two registries: ${owner} and ${domain}`,
        {
          hints: ['Say with --registry-url which one they are for; log in to the other with regops login.'],
        },
      );
    }
    return owner === domain;
  };

  const credentialsFor = (domain: string): CredentialSource =>
    own && isOwner(domain) ? async () => own : stored;

  const connect = async (domain: string): Promise<RegistryClient> => {
    const target = domain === named?.domain ? named : parseTarget(domain, { plainHttp });
    const mine = isOwner(domain);
    const fromFolder = await loadCertsDir(certsFolders(flags, context), domain);
    const client = await connectRegistry({
      target,
      credentials: credentialsFor(domain),
      allowedRealms: flags['allow-realm'],
      tls: mergeTls(systemCa, files.ca, mine ? files.clientCertificate : undefined, fromFolder),
      insecure: flags.insecure ?? false,
      proxy: proxySettings(context),
      timeoutMs: flags.timeout ?? DEFAULT_TIMEOUT_MS,
      retries: flags.retries ?? DEFAULT_RETRIES,
      sendRate,
      userAgent: context.userAgent,
      log: context.log,
      clock: context.clock,
      signal: context.signal,
    });
    context.defer(() => client.close());
    return client;
  };

  return {
    named,
    client(domain) {
      const key = domain.toLowerCase();
      const existing = clients.get(key);
      if (existing) return existing;
      const client = connect(domain);
      clients.set(key, client);
      return client;
    },
    credential: (domain, repository) => credentialsFor(domain)(domain, repository),
    reference(text) {
      if (!named || namesDomain(text)) return parseReference(text);
      return parseReference(`${named.domain}/${text}`);
    },
  };
}

/** The credential of the flags, if any. Throws USAGE for half of one. */
export async function flagCredential(
  flags: RegistryFlagValues,
  context: Pick<CommandContext, 'stdin'>,
): Promise<Credential | undefined> {
  if (flags.token !== undefined) return { bearerToken: flags.token };
  const password = flags['password-stdin'] ? await readPasswordStdin(context.stdin) : flags.password;
  if (flags.username === undefined && password === undefined) return undefined;
  if (flags.username === undefined || password === undefined) {
    const missing = password === undefined ? 'a password' : '--username';
    throw new RegopsError('USAGE', `credentials need ${missing} too`, {
      hints: ['Give --username NAME and --password-stdin.'],
    });
  }
  return { username: flags.username, password };
}

/** A registry, or a proxy before it, may repeat what it was sent: also as Basic has it, in base64. */
function concealCredential(credential: Credential, context: Pick<CommandContext, 'conceal'>): void {
  if ('bearerToken' in credential) context.conceal(credential.bearerToken);
  else if ('identityToken' in credential) context.conceal(credential.identityToken);
  else {
    context.conceal(credential.password);
    context.conceal(Buffer.from(`${credential.username}:${credential.password}`).toString('base64'));
  }
}

function certsFolders(flags: RegistryFlagValues, context: CommandContext): string[] {
  if (flags['certs-dir'] !== undefined) return [flags['certs-dir']];
  const home = context.environment['HOME'] ?? homedir();
  return [join(home, '.config', 'containers', 'certs.d'), '/etc/containers/certs.d', '/etc/docker/certs.d'];
}

function mergeTls(
  systemCa: readonly string[],
  fileCa: readonly string[] | undefined,
  clientCertificate: ClientCertificate | undefined,
  folder: TlsMaterial | undefined,
): TlsMaterial {
  const certificate = clientCertificate ?? folder?.clientCertificate;
  return {
    ca: [...systemCa, ...(fileCa ?? []), ...(folder?.ca ?? [])],
    ...(certificate ? { clientCertificate: certificate } : {}),
  };
}

/** SSL_CERT_FILE, which Go's tools read, names authorities too; NODE_EXTRA_CA_CERTS is Node's own. */
export async function systemAuthorities(
  context: Pick<CommandContext, 'environment'>,
): Promise<readonly string[]> {
  const file = context.environment['SSL_CERT_FILE'];
  return file ? ((await loadTlsFiles({ caFile: file })).ca ?? []) : [];
}

/** The proxies of the environment; the lower-case name wins, as with curl. */
export function proxySettings({ environment }: Pick<CommandContext, 'environment'>) {
  const read = (name: string): string | undefined =>
    environment[name.toLowerCase()] || environment[name] || undefined;
  return { httpProxy: read('HTTP_PROXY'), httpsProxy: read('HTTPS_PROXY'), noProxy: read('NO_PROXY') };
}
