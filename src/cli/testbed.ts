import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';
import { pullScope } from '../registry/index.ts';
import {
  type AltsOptions,
  type Fault,
  type PersonaName,
  parseFaults,
  parseSynthetic,
  startTestbed,
  type Testbed,
  type TestbedOptions,
  type Upstream,
} from '../testbed/index.ts';
import type { CommandContext } from './context.ts';
import { openRegistries, type RegistryFlagValues } from './registries.ts';

/** Values of the testbed command's flags. */
export interface TestbedFlagValues extends RegistryFlagValues {
  readonly port?: number | undefined;
  readonly dir?: string | undefined;
  readonly auth?: string | undefined;
  readonly 'token-auth'?: boolean;
  readonly tls?: boolean;
  readonly 'client-certs'?: boolean;
  readonly upstream?: string | undefined;
  readonly synthetic?: string | undefined;
  readonly persona?: PersonaName | undefined;
  readonly repository?: readonly string[] | undefined;
  readonly faults?: string | undefined;
  readonly seed?: number | undefined;
  readonly alts?: boolean;
  readonly secret?: string | undefined;
  readonly 'alts-task-time'?: number | undefined;
  readonly 'alts-results-only'?: boolean;
  readonly 'alts-scripted'?: boolean;
}

/** A longer file of faults is a mistake. */
const MOST_FAULT_BYTES = 1024 * 1024;

/** The `result` of testbed's JSON answer: all a script needs to use it. */
export interface TestbedResult {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** PEM file of the authority to trust, with --tls. */
  readonly caFile?: string;
  readonly clientCertFile?: string;
  readonly clientKeyFile?: string;
}

/**
 * Serves a disposable registry until the command is stopped.
 * @param ready called once it listens
 */
export async function serveTestbed(
  flags: TestbedFlagValues,
  context: CommandContext,
  ready: (result: TestbedResult) => Promise<void>,
): Promise<TestbedResult> {
  const testbed = await startTestbed({
    ...(flags.port === undefined ? {} : { port: flags.port }),
    ...(flags.dir === undefined ? {} : { dir: flags.dir }),
    ...(flags.auth === undefined ? {} : { auth: parseAuth(flags.auth) }),
    tokenAuth: flags['token-auth'] ?? false,
    tls: (flags.tls || flags['client-certs']) ?? false,
    clientCertificates: flags['client-certs'] ?? false,
    ...(flags.upstream === undefined ? {} : { upstream: await openUpstream(flags, flags.upstream, context) }),
    ...(flags.synthetic === undefined ? {} : { synthetic: parseSynthetic(flags.synthetic) }),
    ...(flags.persona === undefined ? {} : { persona: flags.persona }),
    repositories: flags.repository ?? [],
    ...(flags.faults === undefined ? {} : { faults: await readFaults(flags.faults) }),
    ...(flags.seed === undefined ? {} : { faultSeed: flags.seed }),
    ...(flags.alts ? { alts: await altsOptions(flags, context) } : {}),
    log: context.log,
    onRequest: ({ method, path, status, ms, bytesIn, bytesOut, faults = [] }) => {
      const wrong = faults.length > 0 ? ` faults ${faults.join(',')}` : '';
      context.log.trace(`${method} ${path} ${status} ${ms} ms in ${bytesIn} out ${bytesOut}${wrong}`);
    },
  } satisfies TestbedOptions);
  context.defer(() => testbed.close());
  const result = describe(testbed);
  await ready(result);
  if (!context.signal.aborted) await once(context.signal, 'abort');
  return result;
}

async function altsOptions(flags: TestbedFlagValues, context: CommandContext): Promise<AltsOptions> {
  const runs = !flags['alts-scripted'] && !flags['alts-results-only'];
  return {
    secret: flags.secret,
    submissions: !flags['alts-results-only'],
    taskMs: flags['alts-task-time'],
    runTask: runs ? await (await import('./testbed-alts.ts')).localRunner(context) : undefined,
  };
}

function describe({ url, host, port, caFile, clientCertFile, clientKeyFile }: Testbed): TestbedResult {
  return {
    url,
    host,
    port,
    ...(caFile === undefined ? {} : { caFile }),
    ...(clientCertFile === undefined ? {} : { clientCertFile }),
    ...(clientKeyFile === undefined ? {} : { clientKeyFile }),
  };
}

/**
 * Faults from a file, or from the value itself when there is no such file.
 * Throws CONFIG_INVALID, FILE_NOT_FOUND, IO_FAILED.
 */
async function readFaults(value: string): Promise<readonly Fault[]> {
  const text = await readIfFile(value);
  if (text === undefined && value.endsWith('.json')) {
    throw new RegopsError('FILE_NOT_FOUND', `no such file: ${value}`);
  }
  return parseFaults(text ?? value);
}

async function readIfFile(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MOST_FAULT_BYTES) throw new RegopsError('CONFIG_INVALID', `${path}: longer than 1 MiB`);
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = systemCode(error);
    // A specification is no path: too long, or with a character that none may have.
    if (code && ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE'].includes(code))
      return undefined;
    if (code)
      throw new RegopsError('IO_FAILED', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
    throw error;
  }
}

function parseAuth(text: string): { username: string; password: string } {
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) {
    throw new RegopsError('USAGE', '--auth takes USER:PASSWORD');
  }
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** The upstream as the testbed may use it: through our own client, with its credentials and TLS. */
async function openUpstream(
  flags: TestbedFlagValues,
  url: string,
  context: CommandContext,
): Promise<Upstream> {
  const registries = await openRegistries({ ...flags, 'registry-url': url }, context);
  const { domain } = registries.named as { domain: string };
  const client = await registries.client(domain);
  return {
    domain,
    fetch({ method, path, headers, signal }) {
      const repository = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.[1];
      return client.request({
        method,
        to: new URL(path, client.origin),
        headers,
        scopes: repository === undefined ? [] : [pullScope(repository)],
        ...(signal ? { signal } : {}),
      });
    },
  };
}
