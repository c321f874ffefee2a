import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, systemCode } from '../base/index.ts';
import { invalid, readAuthorities, readClientCertificate, type TlsMaterial } from './tls-files.ts';

/**
 * Reads the TLS files that docker and podman keep per registry: `FOLDER/HOST[:PORT]/` with `*.crt` as
 * certificate authorities and `NAME.cert` with `NAME.key` as a client's pair (containers-certs.d(5)). The
 * first folder that knows the host is used, and in it the first pair by name.
 *
 * @param folders such as ~/.config/containers/certs.d, /etc/containers/certs.d, /etc/docker/certs.d
 * @param host `registry.example.com:5000`, as it stands in references
 * @returns undefined when no folder knows the host
 * @throws TLS_CONFIG_INVALID for half a pair, or a file that cannot be used
 */
export async function loadCertsDir(
  folders: readonly string[],
  host: string,
): Promise<TlsMaterial | undefined> {
  // The host becomes a folder name: it must not lead anywhere else.
  if (!/^[\w.:[\]-]+$/.test(host) || host.startsWith('.')) return undefined;
  for (const folder of folders) {
    const path = join(folder, host);
    const names = await list(path);
    if (names) return readFolder(path, names);
  }
  return undefined;
}

/** The names in a folder, sorted; undefined when it is not there or, as podman has it, not ours to read. */
async function list(path: string): Promise<string[] | undefined> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(systemCode(error) ?? '')) return undefined;
    throw invalid(`${path}: ${messageOf(error)}`);
  }
}

async function readFolder(path: string, names: readonly string[]): Promise<TlsMaterial> {
  const stems = (extension: string): string[] =>
    names.filter((name) => name.endsWith(extension)).map((name) => name.slice(0, -extension.length));
  const certificates = stems('.cert');
  const keys = stems('.key');
  for (const stem of certificates) {
    if (!keys.includes(stem)) {
      throw invalid(
        `${join(path, `${stem}.cert`)}: a client certificate without its key ${stem}.key`,
        'A certificate authority is a file that ends in .crt.',
      );
    }
  }
  for (const stem of keys) {
    if (!certificates.includes(stem)) {
      throw invalid(`${join(path, `${stem}.key`)}: a client key without its certificate ${stem}.cert`);
    }
  }
  const ca = (
    await Promise.all(stems('.crt').map((stem) => readAuthorities(join(path, `${stem}.crt`))))
  ).flat();
  const [pair] = certificates;
  return {
    ...(ca.length > 0 ? { ca } : {}),
    ...(pair === undefined
      ? {}
      : {
          clientCertificate: await readClientCertificate(
            join(path, `${pair}.cert`),
            join(path, `${pair}.key`),
          ),
        }),
  };
}
