import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';
import type { Credential, CredentialEnvironment, CredentialSource } from './credential.ts';
import { askHelper } from './credential-helper.ts';
import { type DockerConfig, helperFor, parseDockerConfig, storedCredential } from './docker-config.ts';
import { canonicalHost, dockerKey } from './registry-host.ts';

const FILE_BYTES = 4 * 1024 * 1024;

export interface CredentialSourceOptions {
  readonly environment: CredentialEnvironment;
  /** From the command line: for this one registry, before everything else. */
  readonly explicit?: { readonly host: string; readonly credential: Credential } | undefined;
  readonly helperTimeoutMs?: number;
}

/**
 * Where credentials come from, in the order of cli.md: given explicitly, DOCKER_AUTH_CONFIG,
 * REGISTRY_AUTH_FILE, docker's config.json, podman's auth.json; the first that knows the registry wins.
 * Files are read once, at the first question, and helpers asked once per registry. The source throws
 * CREDENTIALS_INVALID and CREDENTIAL_HELPER_FAILED: a broken answer never becomes another one.
 */
export function createCredentialSource(options: CredentialSourceOptions): CredentialSource {
  const { environment, explicit } = options;
  let loading: Promise<readonly DockerConfig[]> | undefined;
  const asked = new Map<string, Promise<Credential | undefined>>();

  function fromHelper(helper: string, host: string): Promise<Credential | undefined> {
    const server = dockerKey(host);
    const key = `${helper} ${server}`;
    const answer =
      asked.get(key) ??
      askHelper(helper, server, { env: environment.env, timeoutMs: options.helperTimeoutMs });
    asked.set(key, answer);
    return answer;
  }

  return async (host, repository) => {
    if (explicit && canonicalHost(explicit.host) === canonicalHost(host)) return explicit.credential;
    loading ??= loadConfigs(environment);
    for (const config of await loading) {
      const helper = helperFor(config, host);
      const credential =
        (helper && (await fromHelper(helper, host))) || storedCredential(config, host, repository);
      if (credential) return credential;
    }
    return undefined;
  };
}

/** Docker's file: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`. */
export function dockerConfigPath({ env, home }: CredentialEnvironment): string {
  return join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json');
}

/** Podman's files, in the order it reads them (containers-auth.json(5)). */
export function podmanAuthPaths({ env, home, uid }: CredentialEnvironment): [string, ...string[]] {
  const config = join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'containers', 'auth.json');
  if (env['XDG_RUNTIME_DIR']) return [join(env['XDG_RUNTIME_DIR'], 'containers', 'auth.json'), config];
  return uid === undefined ? [config] : [`/run/containers/${uid}/auth.json`, config];
}

async function loadConfigs(environment: CredentialEnvironment): Promise<readonly DockerConfig[]> {
  const inline = environment.env['DOCKER_AUTH_CONFIG'];
  const named = environment.env['REGISTRY_AUTH_FILE'];
  const paths = [...(named ? [named] : []), dockerConfigPath(environment), ...podmanAuthPaths(environment)];
  const files = await Promise.all([...new Set(paths)].map(loadConfig));
  return [
    ...(inline ? [parseDockerConfig(inline, 'DOCKER_AUTH_CONFIG')] : []),
    ...files.filter((config) => config !== undefined),
  ];
}

/** Reads a credential file; undefined when there is none. Throws CREDENTIALS_INVALID. */
export async function loadConfig(path: string): Promise<DockerConfig | undefined> {
  const content = await readCredentialFile(path);
  return content === undefined || content.trim() === '' ? undefined : parseDockerConfig(content, path);
}

/** A credential file's text; undefined when there is none. Throws CREDENTIALS_INVALID when it cannot be read. */
export async function readCredentialFile(path: string): Promise<string | undefined> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    throw new RegopsError('CREDENTIALS_INVALID', `${path}: ${messageOf(error)}`, { cause: error });
  }
  if (content.length > FILE_BYTES) throw new RegopsError('CREDENTIALS_INVALID', `${path}: too large`);
  return content;
}
