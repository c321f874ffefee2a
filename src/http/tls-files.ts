import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';
import { messageOf, RegopsError, systemCode } from '../base/index.ts';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const PEM_CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** A certificate chain and its private key, both PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What TLS needs beside Node's own roots; all PEM, all checked. */
export interface TlsMaterial {
  /** Certificate authorities trusted in addition. */
  readonly ca?: readonly string[];
  readonly clientCertificate?: ClientCertificate;
}

/** Paths as `--ca-file`, `--cert-file` and `--key-file` give them. */
export interface TlsFiles {
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/**
 * Reads and checks TLS files. Throws TLS_CONFIG_INVALID, saying which file is missing, not PEM, encrypted,
 * without its other half, or does not match.
 */
export async function loadTlsFiles({ caFile, certFile, keyFile }: TlsFiles): Promise<TlsMaterial> {
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw invalid(
      certFile === undefined
        ? `${keyFile}: a private key without a certificate`
        : `${certFile}: a certificate without a private key`,
      'Give --cert-file and --key-file together.',
    );
  }
  return {
    ...(caFile === undefined ? {} : { ca: await readAuthorities(caFile) }),
    ...(certFile === undefined || keyFile === undefined
      ? {}
      : { clientCertificate: await readClientCertificate(certFile, keyFile) }),
  };
}

/** The certificates of a PEM file, each checked. */
export async function readAuthorities(path: string): Promise<string[]> {
  const blocks = (await readPem(path)).match(PEM_CERTIFICATE) ?? [];
  if (blocks.length === 0)
    throw invalid(`${path}: holds no PEM certificate`, 'A PEM file begins with -----BEGIN CERTIFICATE-----.');
  for (const block of blocks) parseCertificate(block, path);
  return blocks;
}

/** A certificate and key that belong together. */
export async function readClientCertificate(certFile: string, keyFile: string): Promise<ClientCertificate> {
  const [cert, key] = await Promise.all([readPem(certFile), readPem(keyFile)]);
  const [leaf] = cert.match(PEM_CERTIFICATE) ?? [];
  if (!leaf)
    throw invalid(
      `${certFile}: holds no PEM certificate`,
      'A PEM file begins with -----BEGIN CERTIFICATE-----.',
    );
  if (!parseCertificate(leaf, certFile).checkPrivateKey(parseKey(key, keyFile))) {
    throw invalid(`${keyFile}: is not the private key of the certificate in ${certFile}`);
  }
  return { cert, key };
}

function parseCertificate(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw invalid(`${path}: holds a broken certificate (${messageOf(error)})`);
  }
}

function parseKey(pem: string, path: string): KeyObject {
  if (!pem.includes('PRIVATE KEY-----')) {
    throw invalid(`${path}: holds no PEM private key`, 'A PEM key begins with -----BEGIN PRIVATE KEY-----.');
  }
  if (/-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    throw invalid(
      `${path}: the private key is encrypted`,
      'Decrypt it first, into a file that only you can read.',
    );
  }
  try {
    return createPrivateKey(pem);
  } catch {
    // OpenSSL's words could quote the key
    throw invalid(`${path}: holds a broken private key`);
  }
}

async function readPem(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
      if (bytesRead > MAX_FILE_BYTES) throw invalid(`${path}: too large for a PEM file`);
      return buffer.toString('latin1', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof RegopsError) throw error;
    const why = systemCode(error) === 'ENOENT' ? 'no such file' : messageOf(error);
    throw invalid(`${path}: ${why}`);
  }
}

/** The error for TLS files that cannot be used. */
export function invalid(message: string, ...hints: string[]): RegopsError {
  return new RegopsError('TLS_CONFIG_INVALID', message, { hints });
}
