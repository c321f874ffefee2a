import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import {
  type Credential,
  type CredentialFile,
  credentialFile,
  eraseCredential,
  type SavedCredential,
  saveCredential,
} from '../auth/index.ts';
import { abortReason, RegopsError } from '../base/index.ts';
import { parseTarget, ping } from '../registry/index.ts';
import type { CommandContext } from './context.ts';
import { credentialEnvironment } from './environment.ts';
import { flagCredential, openRegistries, type RegistryFlagValues } from './registries.ts';

export interface LoginOptions {
  /** The registry as the user named it; undefined: `--registry-url`, else Docker Hub. */
  readonly registry?: string | undefined;
  /** Whose file to write; undefined: podman's when REGISTRY_AUTH_FILE is set, else docker's. */
  readonly store?: 'docker' | 'podman' | undefined;
  readonly flags: RegistryFlagValues;
}

/** The `result` of login's JSON answer. */
export interface LoginResult extends SavedCredential {
  readonly registry: string;
  readonly username?: string;
}

/** The `result` of logout's JSON answer. */
export interface LogoutResult {
  readonly registry: string;
  readonly path: string;
  /** False when nothing was stored. */
  readonly removed: boolean;
}

/**
 * Asks the registry whether the credentials are good, and only then stores them where docker or podman look
 * for them. Without flags it asks on the terminal.
 *
 * @throws AUTHENTICATION_FAILED; USAGE when there is neither a credential nor a terminal to ask on
 */
export async function login(options: LoginOptions, context: CommandContext): Promise<LoginResult> {
  const { flags } = options;
  const url = registryOf(options);
  const { domain } = parseTarget(url, { plainHttp: flags['plain-http'] ?? false });
  const credential =
    (await flagCredential(flags, context)) ?? (await askCredential(domain, flags.username, context));
  const registries = await openRegistries({ ...flags, 'registry-url': url }, context, credential);
  await ping(await registries.client(domain), context.signal);
  const saved = await saveCredential(
    fileFor(options, context),
    domain,
    credential,
    credentialEnvironment(context),
  );
  return {
    registry: domain,
    ...('username' in credential && credential.username ? { username: credential.username } : {}),
    ...saved,
  };
}

/** Forgets what `login` stored for a registry. */
export async function logout(
  options: Pick<LoginOptions, 'registry' | 'store'>,
  context: CommandContext,
): Promise<LogoutResult> {
  const { domain } = parseTarget(options.registry ?? 'docker.io');
  const file = fileFor(options, context);
  const removed = await eraseCredential(file, domain, credentialEnvironment(context));
  return { registry: domain, path: file.path, removed };
}

function registryOf(options: LoginOptions): string {
  const url = options.flags['registry-url'];
  // The argument names the registry; a URL beside it may still say which scheme it speaks.
  if (options.registry === undefined) return url ?? 'docker.io';
  const plainHttp = options.flags['plain-http'] ?? false;
  const same =
    url !== undefined &&
    parseTarget(url, { plainHttp }).domain === parseTarget(options.registry, { plainHttp }).domain;
  return same ? url : options.registry;
}

function fileFor(options: Pick<LoginOptions, 'store'>, context: CommandContext): CredentialFile {
  const kind = options.store ?? (context.environment['REGISTRY_AUTH_FILE'] ? 'podman' : 'docker');
  return credentialFile(kind, credentialEnvironment(context));
}

/** Asks for name and password on the terminal; the password is not shown. */
async function askCredential(
  domain: string,
  username: string | undefined,
  context: CommandContext,
): Promise<Credential> {
  const { stdin } = context;
  if (!stdin.isTTY || !process.stderr.isTTY) {
    throw new RegopsError('USAGE', `no credentials for ${domain}, and no terminal to ask on`, {
      hints: ['Give --username NAME and --password-stdin, or --token.'],
    });
  }
  let hidden = false;
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!hidden) process.stderr.write(chunk);
      done();
    },
  });
  const terminal = createInterface({ input: stdin, output, terminal: true });
  const ask = async (question: string): Promise<string> => {
    process.stderr.write(question);
    try {
      return await terminal.question('', { signal: context.signal });
    } catch (error) {
      throw context.signal.aborted ? abortReason(context.signal) : error;
    }
  };
  try {
    const name = username ?? (await ask(`User name for ${domain}: `)).trim();
    hidden = true;
    const password = await ask(`Password for ${name}: `);
    process.stderr.write('\n');
    if (name === '' || password === '')
      throw new RegopsError('USAGE', 'a user name and a password are needed');
    return { username: name, password };
  } finally {
    terminal.close();
  }
}
