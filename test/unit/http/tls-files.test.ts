import { createPrivateKey } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { loadCertsDir, loadTlsFiles } from '../../../src/http/index.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const temp = useTempFolder();

async function file(name: string, content: string): Promise<string> {
  await writeFile(temp(name), content);
  return temp(name);
}

const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'TLS_CONFIG_INVALID', message: expect.stringMatching(message) });

describe('loadTlsFiles', () => {
  test('gives every certificate of a bundle, and a pair', async () => {
    const [one, two] = [await makeAuthority(), await makeAuthority()];
    const pair = await one.issue(['client']);
    const loaded = await loadTlsFiles({
      caFile: await file('ca.pem', `# a comment\n${one.cert}\n\n${two.cert}`),
      certFile: await file('c.pem', `${pair.cert}\n${one.cert}`),
      keyFile: await file('k.pem', pair.key),
    });
    expect(loaded.ca?.map((pem) => pem.trim())).toEqual([one.cert.trim(), two.cert.trim()]);
    expect(loaded.clientCertificate).toEqual({ cert: `${pair.cert}\n${one.cert}`, key: pair.key });
  });

  test('gives nothing for nothing', async () => {
    expect(await loadTlsFiles({})).toEqual({});
  });

  test('says what is wrong with a file', async () => {
    const authority = await makeAuthority();
    const [pair, other] = [await authority.issue(['a']), await authority.issue(['b'])];
    const cert = await file('c.pem', pair.cert);
    const key = await file('k.pem', pair.key);
    const encrypted = createPrivateKey(pair.key)
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
      .toString();
    const broken = pair.cert.replace(/\n.{64}\n/, '\nAAAA\n');
    const cases: [Parameters<typeof loadTlsFiles>[0], RegExp][] = [
      [{ caFile: temp('none.pem') }, /none\.pem: no such file/],
      [{ caFile: await file('empty', '') }, /no PEM certificate/],
      [{ caFile: key }, /k\.pem: holds no PEM certificate/],
      [{ caFile: await file('broken', broken) }, /broken certificate/],
      [{ caFile: temp() }, /EISDIR/],
      [{ certFile: cert }, /c\.pem: a certificate without a private key/],
      [{ keyFile: key }, /k\.pem: a private key without a certificate/],
      [{ certFile: cert, keyFile: cert }, /no PEM private key/],
      [{ certFile: key, keyFile: key }, /k\.pem: holds no PEM certificate/],
      [
        { certFile: cert, keyFile: await file('other', other.key) },
        /other: is not the private key of the certificate/,
      ],
      [{ certFile: cert, keyFile: await file('enc', encrypted) }, /encrypted/],
      [
        { certFile: cert, keyFile: await file('bad', pair.key.replace(/\n.{64}\n/, '\nAAAA\n')) },
        /broken private key/,
      ],
    ];
    for (const [files, message] of cases) await expect(loadTlsFiles(files)).rejects.toEqual(refused(message));
  });

  test('a file beyond all reason is not read', async () => {
    const path = await file('huge', 'x'.repeat(4 * 1024 * 1024 + 1));
    await expect(loadTlsFiles({ caFile: path })).rejects.toEqual(refused(/too large/));
  });
});

describe('loadCertsDir', () => {
  async function hostFolder(root: string, host: string, files: Record<string, string>): Promise<void> {
    await mkdir(temp(root, host), { recursive: true });
    for (const [name, content] of Object.entries(files)) await writeFile(temp(root, host, name), content);
  }

  test('reads authorities and the first pair of the first folder that knows the host', async () => {
    const [one, two] = [await makeAuthority(), await makeAuthority()];
    const [first, second] = [await one.issue(['x']), await one.issue(['y'])];
    await mkdir(temp('user'));
    await hostFolder('etc', 'registry.example.com:5000', {
      'a.crt': one.cert,
      'b.crt': two.cert,
      'x.cert': first.cert,
      'x.key': first.key,
      'y.cert': second.cert,
      'y.key': second.key,
      'notes.txt': 'ignored',
    });
    await hostFolder('late', 'registry.example.com:5000', { 'z.crt': 'never read' });
    const folders = [temp('missing'), temp('user'), temp('etc'), temp('late')];
    const loaded = await loadCertsDir(folders, 'registry.example.com:5000');
    expect(loaded?.ca).toHaveLength(2);
    expect(loaded?.clientCertificate).toEqual(first);
    expect(await loadCertsDir(folders, 'registry.example.com')).toBeUndefined();
  });

  test('an empty folder is nothing to add', async () => {
    await hostFolder('etc', 'a', {});
    expect(await loadCertsDir([temp('etc')], 'a')).toEqual({});
  });

  test('half a pair, and a file that is no certificate, are refused by name', async () => {
    const pair = await (await makeAuthority()).issue(['x']);
    await hostFolder('etc', 'cert-only', { 'x.cert': pair.cert });
    await hostFolder('etc', 'key-only', { 'x.key': pair.key });
    await hostFolder('etc', 'junk', { 'x.crt': 'junk' });
    const load = (host: string): Promise<unknown> => loadCertsDir([temp('etc')], host);
    await expect(load('cert-only')).rejects.toEqual(
      refused(/x\.cert: a client certificate without its key x\.key/),
    );
    await expect(load('key-only')).rejects.toEqual(
      refused(/x\.key: a client key without its certificate x\.cert/),
    );
    await expect(load('junk')).rejects.toEqual(refused(/x\.crt: holds no PEM certificate/));
  });

  test.each(['..', '../etc', 'a/b', '.', ''])('%j is no host and leads nowhere', async (host) => {
    await hostFolder('etc', 'b', { 'x.crt': 'junk' });
    expect(await loadCertsDir([temp('etc', 'a'), temp('etc')], host)).toBeUndefined();
  });
});
