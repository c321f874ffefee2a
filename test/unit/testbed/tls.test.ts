import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { connect } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { startTestbed, type Testbed } from '../../../src/testbed/index.ts';
import { call, openTestbed, pushImage } from '../../support/testbed-client.ts';

async function pemsOf(testbed: Testbed) {
  return {
    ca: await readFile(testbed.caFile as string),
    ...(testbed.clientCertFile && { cert: await readFile(testbed.clientCertFile) }),
    ...(testbed.clientKeyFile && { key: await readFile(testbed.clientKeyFile) }),
  };
}

describe('TLS', () => {
  it('is trusted by its own authority', async () => {
    const testbed = await openTestbed({ tls: true });
    expect(testbed.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const { ca } = await pemsOf(testbed);
    const image = await pushImage(testbed, 'app', '1', {}, { tls: { ca } });
    for (const servername of ['localhost', '']) {
      const pulled = await call(testbed, 'GET', '/v2/app/manifests/1', { tls: { ca, servername } });
      expect(pulled.body.toString()).toBe(image.text);
    }
  });

  it('is named by every name of this machine, and by the one it listens on', async () => {
    const testbed = await openTestbed({ tls: true, host: '127.0.0.2' });
    const { ca } = await pemsOf(testbed);
    const socket = connect({ host: testbed.host, port: testbed.port, ca });
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerX509Certificate();
    socket.destroy();
    for (const address of ['127.0.0.1', '::1', '127.0.0.2']) {
      expect(certificate?.checkIP(address)).toBe(address);
    }
    expect(certificate?.checkHost('localhost')).toBe('localhost');
    expect(certificate?.checkIP('127.0.0.3')).toBeUndefined();
  });

  it('is not trusted without it, nor by another testbed’s', async () => {
    const testbed = await openTestbed({ tls: true });
    const other = await openTestbed({ tls: true });
    await expect(call(testbed, 'GET', '/v2/')).rejects.toMatchObject({
      code: expect.stringMatching(/CERT|SIGN/),
    });
    const { ca } = await pemsOf(other);
    await expect(call(testbed, 'GET', '/v2/', { tls: { ca } })).rejects.toThrow();
    await expect(
      call(testbed, 'GET', '/v2/', { tls: { ...(await pemsOf(testbed)), servername: 'example.com' } }),
    ).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('keeps its files private, and removes them when it closes', async () => {
    const testbed = await startTestbed({ tls: true, clientCertificates: true });
    const files = [testbed.caFile, testbed.clientCertFile, testbed.clientKeyFile] as string[];
    for (const file of files) expect((await stat(file)).mode & 0o777).toBe(0o600);
    const folder = dirname(files[0] as string);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    await testbed.close();
    expect(existsSync(folder)).toBe(false);
  });

  it('names https in the challenge', async () => {
    const testbed = await openTestbed({ tls: true, tokenAuth: true });
    const answer = await call(testbed, 'GET', '/v2/', { tls: await pemsOf(testbed) });
    expect(answer.headers['www-authenticate']).toContain(`realm="${testbed.url}/token"`);
  });
});

describe('mutual TLS', () => {
  it('lets in clients with its certificate alone', async () => {
    const testbed = await openTestbed({ tls: true, clientCertificates: true });
    const { ca, cert, key } = await pemsOf(testbed);
    expect((await call(testbed, 'GET', '/v2/', { tls: { ca, cert: cert!, key: key! } })).status).toBe(200);
    await expect(call(testbed, 'GET', '/v2/', { tls: { ca } })).rejects.toThrow();
    const other = await pemsOf(await openTestbed({ tls: true, clientCertificates: true }));
    await expect(
      call(testbed, 'GET', '/v2/', { tls: { ca, cert: other.cert!, key: other.key! } }),
    ).rejects.toThrow();
  });

  it('needs TLS', async () => {
    await expect(startTestbed({ clientCertificates: true })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});
