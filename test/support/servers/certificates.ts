import { join } from 'node:path';
import { runProgram } from './processes.ts';

/** Files (PEM) for one TLS server, its clients, and the authority that both trust. */
export interface Certificates {
  readonly caFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
}

const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
const CA = 'basicConstraints=critical,CA:TRUE';
const LEAF = 'basicConstraints=critical,CA:FALSE';

/**
 * Makes an authority of its own, a server certificate for localhost and 127.0.0.1, and a client
 * certificate, all good for two days. Each call makes another authority.
 */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const ca = await makeCertificate(folder, 'ca', [...EC_KEY, '-subj', '/CN=regops test CA', '-addext', CA]);
  const signed = ['-CA', ca.certFile, '-CAkey', ca.keyFile, '-addext', LEAF];
  const [server, client] = await Promise.all([
    makeCertificate(folder, 'server', [
      ...[...EC_KEY, ...signed, '-subj', '/CN=localhost'],
      ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-addext', 'extendedKeyUsage=serverAuth'],
    ]),
    makeCertificate(folder, 'client', [
      ...[...EC_KEY, ...signed, '-subj', '/CN=regops test client'],
      ...['-addext', 'extendedKeyUsage=clientAuth'],
    ]),
  ]);
  return {
    caFile: ca.certFile,
    serverCertFile: server.certFile,
    serverKeyFile: server.keyFile,
    clientCertFile: client.certFile,
    clientKeyFile: client.keyFile,
  };
}

/** Makes a key and a certificate for it, signed by itself unless the arguments of `openssl req` name a CA. */
export async function makeCertificate(
  folder: string,
  name: string,
  args: readonly string[],
): Promise<{ certFile: string; keyFile: string }> {
  const certFile = join(folder, `${name}.crt`);
  const keyFile = join(folder, `${name}.key`);
  await runProgram('openssl', [
    ...['req', '-x509', '-noenc', '-days', '2', '-keyout', keyFile, '-out', certFile],
    ...args,
  ]);
  return { certFile, keyFile };
}
