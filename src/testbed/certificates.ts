import type { webcrypto } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 24 * 60 * 60 * 1000;

/** A certificate with its private key, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** All that a TLS testbed needs, made a moment ago. */
export interface Certificates {
  readonly caCert: string;
  readonly server: KeyPair;
  readonly client: KeyPair | undefined;
}

/**
 * Makes an authority, a server certificate for this machine's own names, and a client pair when asked. They
 * carry key identifiers: strict verifiers (OpenSSL's X509_STRICT, Python's default since 3.13) want them.
 *
 * @param host a further name or address the server is reached by
 */
export async function makeCertificates(host: string, withClient: boolean): Promise<Certificates> {
  // Loaded here, as only TLS needs them; x509 does not start without the polyfill.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const notBefore = new Date(Date.now() - DAY_MS);
  const notAfter = new Date(Date.now() + 365 * DAY_MS);
  const makeKeys = (): Promise<webcrypto.CryptoKeyPair> =>
    crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

  const authority = await makeKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=regops testbed CA',
    notBefore,
    notAfter,
    signingAlgorithm: ALGORITHM,
    keys: authority,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(authority.publicKey),
    ],
  });

  const issue = async (name: string, usage: string, altNames: readonly string[]): Promise<KeyPair> => {
    const keys = await makeKeys();
    const names = altNames.map((value) => ({
      type: isIP(value) ? ('ip' as const) : ('dns' as const),
      value,
    }));
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: ca.subject,
      notBefore,
      notAfter,
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: authority.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
      ],
    });
    return { cert: certificate.toString('pem'), key: await pemOf(keys.privateKey) };
  };

  const serverNames = [...new Set(['localhost', '127.0.0.1', '::1', host])];
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  return {
    caCert: ca.toString('pem'),
    server: await issue('regops testbed', serverAuth, serverNames),
    client: withClient ? await issue('regops testbed client', clientAuth, []) : undefined,
  };
}

/** Where clients find what they need to trust us and to be trusted. */
export interface CertificateFiles {
  readonly caFile: string;
  readonly clientCertFile?: string;
  readonly clientKeyFile?: string;
  remove(): Promise<void>;
}

/** Writes the parts that clients need into a private folder (0700, files 0600). The server's key is never written. */
export async function writeCertificates({ caCert, client }: Certificates): Promise<CertificateFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'regops-testbed-'));
  const write = async (name: string, content: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, content, { mode: 0o600, flag: 'wx' });
    return path;
  };
  return {
    caFile: await write('ca.crt', caCert),
    ...(client && {
      clientCertFile: await write('client.cert', client.cert),
      clientKeyFile: await write('client.key', client.key),
    }),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}
