import { readlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { messageOf, RegopsError, writeFileAtomically } from '../base/index.ts';
import { type Credential, type CredentialEnvironment, IDENTITY_TOKEN_USER } from './credential.ts';
import { eraseWithHelper, storeWithHelper } from './credential-helper.ts';
import { dockerConfigPath, podmanAuthPaths, readCredentialFile } from './credential-sources.ts';
import { type DockerConfig, helperFor, parseDockerConfig } from './docker-config.ts';
import { canonicalHost, dockerKey, parseRegistryKey } from './registry-host.ts';

/** A file that credentials are written to. */
export interface CredentialFile {
  /** Docker files Docker Hub under a URL, podman under docker.io. */
  readonly kind: 'docker' | 'podman';
  readonly path: string;
}

/** Where a credential went. */
export interface SavedCredential {
  readonly path: string;
  /** The helper that keeps the secret; without one it lies in the file. */
  readonly helper?: string;
}

/**
 * The file that docker or podman would write: docker's config.json, or podman's auth.json
 * (REGISTRY_AUTH_FILE when set).
 */
export function credentialFile(
  kind: CredentialFile['kind'],
  environment: CredentialEnvironment,
): CredentialFile {
  if (kind === 'docker') return { kind, path: dockerConfigPath(environment) };
  return { kind, path: environment.env['REGISTRY_AUTH_FILE'] || podmanAuthPaths(environment)[0] };
}

/**
 * Keeps a credential for a registry the way docker does: with the helper that the file names for it, else
 * in the file (0600, atomically). Everything else in the file stays; a linked file is written through.
 *
 * @throws CREDENTIALS_INVALID for a file that is broken (it is left alone), CREDENTIAL_HELPER_FAILED,
 *   OUTPUT_FAILED
 */
export async function saveCredential(
  file: CredentialFile,
  host: string,
  credential: Credential,
  environment: CredentialEnvironment,
): Promise<SavedCredential> {
  const entry = entryFor(credential);
  const document = await openDocument(file.path);
  const helper = helperFor(document.config, host);
  if (helper !== undefined) {
    const { username, secret } = pairFor(credential);
    await storeWithHelper(helper, { server: dockerKey(host), username, secret }, { env: environment.env });
  }
  const auths = {
    ...withoutHost(document, host),
    [keyIn(file, host)]: helper === undefined ? entry : {},
  };
  await document.write({ ...document.content, auths });
  return { path: file.path, ...(helper === undefined ? {} : { helper }) };
}

/**
 * Forgets a registry's credential, in the helper and in the file, under all its spellings; podman's
 * namespaces of that registry stay. False when there was none. Throws as {@link saveCredential}.
 */
export async function eraseCredential(
  file: CredentialFile,
  host: string,
  environment: CredentialEnvironment,
): Promise<boolean> {
  const document = await openDocument(file.path);
  const helper = helperFor(document.config, host);
  const erased =
    helper !== undefined && (await eraseWithHelper(helper, dockerKey(host), { env: environment.env }));
  const auths = withoutHost(document, host);
  const removed = Object.keys(auths).length < Object.keys(document.config.auths).length;
  if (removed) await document.write({ ...document.content, auths });
  return erased || removed;
}

interface Document {
  readonly config: DockerConfig;
  /** All of it, foreign keys too. */
  readonly content: Readonly<Record<string, unknown>>;
  write(content: Readonly<Record<string, unknown>>): Promise<void>;
}

async function openDocument(path: string): Promise<Document> {
  const target = await followLink(path);
  const text = (await readCredentialFile(path)) ?? '';
  const written = text.trim() === '' ? '{}' : text;
  return {
    config: parseDockerConfig(written, path),
    content: JSON.parse(written) as Record<string, unknown>,
    async write(content) {
      const ending = text === '' || text.endsWith('\n') ? '\n' : '';
      try {
        await writeFileAtomically(target, JSON.stringify(content, null, indentOf(text)) + ending, 0o600);
      } catch (error) {
        throw new RegopsError('OUTPUT_FAILED', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
      }
    },
  };
}

/** Where to write: a link is kept, also one whose file is still to be made (`writeFileAtomically` follows the others). */
async function followLink(path: string): Promise<string> {
  const link = await readlink(path).catch(() => undefined);
  return link === undefined ? path : resolve(dirname(path), link);
}

/** The indentation in use; docker and podman write tabs. */
function indentOf(text: string): string {
  return text === '' ? '\t' : (/^\{\r?\n([ \t]+)"/.exec(text)?.[1] ?? (text.includes('\n') ? '\t' : ''));
}

function withoutHost({ config }: Document, host: string): Record<string, unknown> {
  const wanted = canonicalHost(host);
  return Object.fromEntries(
    Object.entries(config.auths).filter(([key]) => {
      const parsed = parseRegistryKey(key);
      return parsed?.host !== wanted || parsed.namespace !== undefined;
    }),
  );
}

function keyIn(file: CredentialFile, host: string): string {
  return file.kind === 'docker' ? dockerKey(host) : canonicalHost(host);
}

function entryFor(credential: Credential): Record<string, string> {
  if ('bearerToken' in credential) return { registrytoken: credential.bearerToken };
  if ('identityToken' in credential) {
    return { auth: base64(`${credential.username ?? ''}:`), identitytoken: credential.identityToken };
  }
  const { username, password } = credential;
  if (username.includes(':')) {
    throw new RegopsError('CREDENTIALS_INVALID', 'a user name must not contain a colon');
  }
  return { auth: base64(`${username}:${password}`) };
}

function pairFor(credential: Credential): { username: string; secret: string } {
  if ('bearerToken' in credential) {
    throw new RegopsError('CREDENTIALS_INVALID', 'a credential helper cannot keep a bearer token', {
      hints: ['Give it with --token on each call, or log in with a user name and password.'],
    });
  }
  return 'identityToken' in credential
    ? { username: IDENTITY_TOKEN_USER, secret: credential.identityToken }
    : { username: credential.username, secret: credential.password };
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
