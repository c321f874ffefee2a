import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';
import { type Engine, type EngineTls, openEngine } from '../engine/index.ts';
import type { CommandContext } from './context.ts';

type Surroundings = Pick<CommandContext, 'environment' | 'signal' | 'log' | 'defer'>;

/**
 * The engine of docker's environment, asked for its version the first time it is wanted, closed with the command.
 * Calls of the function it gives share the one engine.
 */
export function engineOf(context: Surroundings): () => Promise<Engine> {
  let opening: Promise<Engine> | undefined;
  return () => {
    opening ??= open(context);
    return opening;
  };
}

async function open({ environment, signal, log, defer }: Surroundings): Promise<Engine> {
  const tls = environment['DOCKER_TLS_VERIFY'] ? await tlsFiles(environment) : undefined;
  const engine = await openEngine({ host: environment['DOCKER_HOST'], tls, signal, log });
  defer(() => engine.close());
  log.trace(`engine ${engine.version.product} ${engine.version.version} at ${engine.address}`);
  return engine;
}

async function tlsFiles(environment: CommandContext['environment']): Promise<EngineTls> {
  const folder = environment['DOCKER_CERT_PATH'] || join(environment['HOME'] || homedir(), '.docker');
  const read = async (name: string): Promise<Buffer> => {
    const path = join(folder, name);
    try {
      return await readFile(path);
    } catch (error) {
      throw new RegopsError(
        'TLS_CONFIG_INVALID',
        systemCode(error) === 'ENOENT' ? `no such file: ${path}` : `${path}: ${messageOf(error)}`,
        { cause: error, hints: ['DOCKER_CERT_PATH names the folder of ca.pem, cert.pem and key.pem.'] },
      );
    }
  };
  return { ca: await read('ca.pem'), cert: await read('cert.pem'), key: await read('key.pem') };
}
