import { messageOf, RegopsError } from '../base/index.ts';
import { z } from '../base/schema.ts';
import { type Credential, credentialFromPair } from './credential.ts';
import { bestKey } from './registry-host.ts';

/** Docker's config.json and podman's auth.json, as far as credentials go; entries are only checked when used. */
const configSchema = z.object({
  auths: z.nullish(z.record(z.string(), z.unknown())),
  credHelpers: z.nullish(z.record(z.string(), z.unknown())),
  credsStore: z.nullish(z.string()),
});

const text = z.nullish(z.string());
const entrySchema = z.object({
  auth: text,
  username: text,
  password: text,
  identitytoken: text,
  registrytoken: text,
});

/** A credential file that was read. */
export interface DockerConfig {
  /** Names it in errors: its path, or the variable it came from. */
  readonly name: string;
  readonly auths: Readonly<Record<string, unknown>>;
  readonly credHelpers: Readonly<Record<string, unknown>>;
  readonly credsStore?: string;
}

/** Reads a credential file's text. Throws CREDENTIALS_INVALID naming the file; the content is never quoted. */
export function parseDockerConfig(content: string, name: string): DockerConfig {
  let document: unknown;
  try {
    document = JSON.parse(content);
  } catch {
    throw new RegopsError('CREDENTIALS_INVALID', `${name}: not JSON`, {
      hints: ['Repair the file, or move it away and log in again.'],
    });
  }
  const parsed = configSchema.safeParse(document);
  if (!parsed.success) throw invalid(name, describe(parsed.error));
  const { auths, credHelpers, credsStore } = parsed.data;
  return {
    name,
    auths: auths ?? {},
    credHelpers: credHelpers ?? {},
    ...(credsStore ? { credsStore } : {}),
  };
}

/** The helper that keeps a registry's credential: `credHelpers` by exact host, else `credsStore`. */
export function helperFor(config: DockerConfig, host: string): string | undefined {
  const key = bestKey(Object.keys(config.credHelpers), host);
  if (key === undefined) return config.credsStore;
  const helper = config.credHelpers[key];
  if (typeof helper !== 'string') throw invalid(config.name, `credHelpers.${key} is not a helper's name`);
  // An empty name switches the common store off for this host.
  return helper === '' ? undefined : helper;
}

/** The credential that the file itself holds. Throws CREDENTIALS_INVALID when its entry is broken. */
export function storedCredential(
  config: DockerConfig,
  host: string,
  repository?: string,
): Credential | undefined {
  const key = bestKey(Object.keys(config.auths), host, repository);
  if (key === undefined) return undefined;
  const parsed = entrySchema.safeParse(config.auths[key] ?? {});
  if (!parsed.success) throw invalid(config.name, `auths.${key}: ${describe(parsed.error)}`);
  const { auth, username, password, identitytoken, registrytoken } = parsed.data;
  const pair = auth
    ? decodePair(auth, `${config.name}: auths.${key}`)
    : { username: username ?? '', password: password ?? '' };
  if (identitytoken) {
    return { identityToken: identitytoken, ...(pair.username === '' ? {} : { username: pair.username }) };
  }
  if (registrytoken) return { bearerToken: registrytoken };
  return credentialFromPair(pair.username, pair.password);
}

/** `auth` of an entry: base64 of `username:password`. */
function decodePair(auth: string, where: string): { username: string; password: string } {
  const decoded = /^[A-Za-z0-9+/_-]+={0,2}$/.test(auth) ? Buffer.from(auth, 'base64').toString('utf8') : '';
  const colon = decoded.indexOf(':');
  if (colon === -1) {
    throw new RegopsError('CREDENTIALS_INVALID', `${where}: 'auth' is not base64 of username:password`, {
      hints: ['Log in again to this registry.'],
    });
  }
  // docker pads passwords with NUL bytes on some platforms
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') };
}

function describe(error: z.core.$ZodError): string {
  const issue = error.issues[0];
  return `${issue?.path.join('.').slice(0, 100) ?? ''} ${messageOf(issue?.message)}`.trim();
}

function invalid(name: string, why: string): RegopsError {
  return new RegopsError('CREDENTIALS_INVALID', `${name}: ${why}`);
}
