import { writeFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createAgent } from '../../../src/http/index.ts';
import { makeAuthority } from '../../support/http-certificates.ts';
import { startServer } from '../../support/http-server.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const temp = useTempFolder();

// Node reads the system's authorities once per process: hence a file of its own.
test("an authority that only the system trusts is trusted, beside Node's and the caller's", async () => {
  const [system, own] = [await makeAuthority(), await makeAuthority()];
  await writeFile(temp('system.pem'), system.cert);
  process.env['SSL_CERT_FILE'] = temp('system.pem');
  onTestFinished(() => {
    delete process.env['SSL_CERT_FILE'];
  });
  const first = await startServer([{ expect: { path: '/' }, reply: {}, times: 2 }], {
    tls: await system.issue(['127.0.0.1']),
  });
  const second = await startServer([{ expect: { path: '/' }, reply: {}, times: 2 }], {
    tls: await own.issue(['127.0.0.1']),
  });
  const agent = createAgent({ boundOrigin: first.origin, timeoutMs: 10_000, tls: { ca: [own.cert] } });
  onTestFinished(() => agent.close());
  for (const server of [second, first, second, first]) {
    expect((await agent.send({ method: 'GET', url: server.url('/') })).status).toBe(200);
  }
});
