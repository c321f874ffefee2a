import { homedir } from 'node:os';
import { getuid } from 'node:process';
import type { CredentialEnvironment } from '../auth/index.ts';
import type { CommandContext } from './context.ts';

/** What credential files and helpers are looked for with. */
export function credentialEnvironment(context: Pick<CommandContext, 'environment'>): CredentialEnvironment {
  const env = context.environment;
  return { env, home: env['HOME'] || homedir(), uid: getuid?.() };
}

type Variables = readonly (readonly [name: string, meaning: string])[];

/** Variables that say where credentials are, for help pages; in the order in which they are asked. */
export const CREDENTIAL_VARIABLES: Variables = [
  ['DOCKER_AUTH_CONFIG', "credentials, as the text of docker's config.json"],
  ['REGISTRY_AUTH_FILE', "podman's auth.json"],
  ['DOCKER_CONFIG', "the folder of docker's config.json (~/.docker)"],
];

/** Variables that every command which talks to a registry listens to. */
export const REGISTRY_VARIABLES: Variables = [
  ...CREDENTIAL_VARIABLES,
  ['HTTP_PROXY, HTTPS_PROXY', 'proxies to go through'],
  ['NO_PROXY', 'hosts to reach without a proxy'],
  ['SSL_CERT_FILE, NODE_EXTRA_CA_CERTS', 'certificate authorities to trust as well'],
];

/** What the package-test commands that speak to a scheduler listen to beside the variables of their flags. */
export const PACKAGE_TEST_VARIABLES: Variables = [
  ['XDG_STATE_HOME', 'where submitted tests are remembered, in regops/package-tests (~/.local/state)'],
  ['HTTP_PROXY, HTTPS_PROXY', 'proxies to go through'],
  ['NO_PROXY', 'hosts to reach without a proxy'],
  ['SSL_CERT_FILE, NODE_EXTRA_CA_CERTS', 'certificate authorities to trust as well'],
];

/** Variables by which docker's own tools find an engine. */
export const ENGINE_VARIABLES: Variables = [
  ['DOCKER_HOST', 'the engine: unix:///path or tcp://HOST:PORT (/var/run/docker.sock)'],
  [
    'DOCKER_TLS_VERIFY, DOCKER_CERT_PATH',
    'speak TLS to it, with ca.pem, cert.pem and key.pem of this folder',
  ],
];

/** What the snapshot commands listen to beside the registry's variables and those of their flags. */
export const SNAPSHOT_VARIABLES: Variables = [
  ['REGOPS_SNAPSHOT_REGISTRY_URL', 'the registry of snapshots, when --registry-url is not given'],
  ['REGOPS_SNAPSHOT_USERNAME, REGOPS_SNAPSHOT_PASSWORD', 'who to be there'],
  ...ENGINE_VARIABLES,
];
