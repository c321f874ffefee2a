import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type RequestLine, startTestbed } from '../../../src/testbed/index.ts';
import { call, openTestbed, pushBlob, pushImage, unknownDigest } from '../../support/testbed-client.ts';

describe('server', () => {
  it('says where it listens', async () => {
    const plain = await openTestbed();
    expect(plain).toMatchObject({ host: '127.0.0.1', url: `http://127.0.0.1:${plain.port}` });
    expect(plain.caFile).toBeUndefined();
    const everywhere = await openTestbed({ host: '0.0.0.0' });
    expect(everywhere.url).toBe(`http://127.0.0.1:${everywhere.port}`);
    const named = await openTestbed({ host: 'localhost' });
    expect(named.url).toBe(`http://localhost:${named.port}`);
    expect((await call(named, 'GET', '/v2/')).status).toBe(200);
  });

  it('says so when the port is taken', async () => {
    const { port } = await openTestbed();
    await expect(startTestbed({ port })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(String(port)),
    });
  });

  it('closes with kept-alive and silent connections open, and may be closed twice', async () => {
    const testbed = await startTestbed();
    const agent = new Agent({ keepAlive: true });
    await call(testbed, 'GET', '/v2/', { agent });
    const silent = connect(testbed.port, testbed.host);
    silent.on('error', () => {});
    await new Promise((resolve) => silent.once('connect', resolve));
    await Promise.all([testbed.close(), testbed.close()]);
    await testbed.close();
    await expect(call(testbed, 'GET', '/v2/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    agent.destroy();
    silent.destroy();
  });

  it('cuts off a request that never ends when it closes, and tells of it', async () => {
    const lines: RequestLine[] = [];
    const testbed = await startTestbed({ onRequest: (line) => lines.push(line) });
    const { port, host } = testbed;
    const path = '/v2/app/blobs/uploads/';
    const endless = request({ host, port, method: 'POST', path: `${path}?digest=${unknownDigest()}` });
    const ended = new Promise((resolve) => endless.once('error', resolve));
    endless.flushHeaders();
    await new Promise((resolve) => endless.write('x', resolve));
    await call(testbed, 'POST', path);
    await testbed.close();
    expect(await ended).toMatchObject({ code: 'ECONNRESET' });
    await expect.poll(() => lines).toHaveLength(2);
    expect(lines).toMatchObject([
      { method: 'POST', status: 202 },
      { method: 'POST', path, status: 0, bytesIn: 1, bytesOut: 0 },
    ]);
  });

  it('tells of every request: what came, what went, how it ended', async () => {
    const lines: RequestLine[] = [];
    const testbed = await openTestbed({ onRequest: (line) => lines.push(line) });
    const digest = await pushBlob(testbed, 'app', '0123456789');
    await call(testbed, 'GET', `/v2/app/blobs/${digest}`);
    await call(testbed, 'HEAD', `/v2/app/blobs/${digest}?ns=example.com`);
    await call(testbed, 'GET', `/v2/app/blobs/${digest}`, { headers: { range: 'bytes=0-3' } });
    await call(testbed, 'GET', '/nowhere');
    await expect.poll(() => lines).toHaveLength(6);
    expect(
      lines.map(({ method, status, bytesIn, bytesOut }) => [method, status, bytesIn, bytesOut]).slice(0, 5),
    ).toEqual([
      ['POST', 202, 0, 0],
      ['PUT', 201, 10, 0],
      ['GET', 200, 0, 10],
      ['HEAD', 200, 0, 0],
      ['GET', 206, 0, 4],
    ]);
    expect(lines[3]?.path).toBe(`/v2/app/blobs/${digest}`);
    expect(lines[5]).toMatchObject({ path: '/nowhere', status: 404 });
    for (const { ms } of lines) expect(ms).toBeGreaterThanOrEqual(0);
  });

  it('keeps a connection for the next request, also after a refused body', async () => {
    const testbed = await openTestbed({ auth: { username: 'u', password: 'p' } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    agent.on('free', (socket) => ports.add(socket.localPort));
    for (let turn = 0; turn < 3; turn++) {
      const answer = await call(testbed, 'PUT', '/v2/app/manifests/1', { agent, body: 'x'.repeat(200_000) });
      expect(answer.status).toBe(401);
    }
    expect(ports.size).toBe(1);
    agent.destroy();
  });

  it('answers 304 to a client that has it', async () => {
    const testbed = await openTestbed();
    const image = await pushImage(testbed, 'app', '1');
    const { etag } = (await call(testbed, 'GET', '/v2/app/manifests/1')).headers;
    for (const known of [etag as string, `"other", W/${etag}`]) {
      const answer = await call(testbed, 'GET', '/v2/app/manifests/1', {
        headers: { 'if-none-match': known },
      });
      expect([answer.status, answer.body.length]).toEqual([304, 0]);
    }
    const changed = await call(testbed, 'GET', `/v2/app/blobs/${image.layer}`, {
      headers: { 'if-none-match': etag as string },
    });
    expect(changed.status).toBe(200);
  });
});
