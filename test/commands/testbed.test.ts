import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { TestbedResult } from '../../src/cli/testbed.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { call, pushImage } from '../support/testbed-client.ts';
import { ended, openRegistry } from './support.ts';

const folder = useTempFolder();

/** Runs the testbed while `use` does something with it, then sends it a signal. */
async function serve(
  argv: readonly string[],
  use: (testbed: TestbedResult) => Promise<void>,
  signal: 'SIGINT' | 'SIGTERM' = 'SIGINT',
): Promise<RunResult> {
  const run = await runCommand('testbed', [...argv, '--json'], {
    whileRunning: async (send, stdout) => {
      try {
        await spoken(stdout);
        await use(JSON.parse(stdout()).result);
      } finally {
        send(signal);
      }
    },
  });
  run.json();
  return run;
}

/** Waits until something whole was said. */
async function spoken(stdout: () => string): Promise<void> {
  for (let tries = 0; !stdout().endsWith('\n'); tries++) {
    if (tries > 200) throw new Error('the testbed did not say where it is');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

test.each(['SIGINT', 'SIGTERM'] as const)('serves until %s, which is its ordinary end', async (signal) => {
  let digest = '';
  let port = 0;
  const run = await serve(
    [],
    async (testbed) => {
      port = testbed.port;
      expect(testbed).toEqual({ url: `http://127.0.0.1:${port}`, host: '127.0.0.1', port });
      ({ digest } = await pushImage(testbed as never, 'app', '1'));
      expect((await call(testbed, 'GET', `/v2/app/manifests/${digest}`)).status).toBe(200);
    },
    signal,
  );
  ended(0, run);
  expect(digest).toMatch(/^sha256:/);
  await expect(call({ url: `http://127.0.0.1:${port}` }, 'GET', '/v2/')).rejects.toThrow('ECONNREFUSED');
});

test('says its URL, and nothing else on stdout', async () => {
  const run = await runCommand('testbed', ['--quiet'], {
    whileRunning: async (send, stdout) => {
      await spoken(stdout);
      send('SIGTERM');
    },
  });
  expect(ended(0, run).stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\n$/);
  expect(run.stderr).toBe('');
});

test('--auth asks for that name and password, and does not repeat it', async () => {
  const run = await serve(
    ['--auth', 'ci:geheim-genug', '-v', '--log-file', folder('log')],
    async (testbed) => {
      expect((await call(testbed, 'GET', '/v2/')).status).toBe(401);
      const authorization = `Basic ${Buffer.from('ci:geheim-genug').toString('base64')}`;
      expect((await call(testbed, 'GET', '/v2/', { headers: { authorization } })).status).toBe(200);
    },
  );
  ended(0, run);
  const said = run.stdout + run.stderr + (await readFile(folder('log'), 'utf8'));
  expect(said).toContain('GET /v2/ 401');
  expect(said).not.toContain('geheim-genug');
});

test('--token-auth serves tokens', async () => {
  const run = await serve(['--token-auth', '--auth', 'ci:geheim-genug'], async (testbed) => {
    const answer = await call(testbed, 'GET', '/v2/');
    expect(answer.headers['www-authenticate']).toContain(`Bearer realm="${testbed.url}/token"`);
  });
  ended(0, run);
});

test('--tls names the CA file that makes it trusted, and takes it away in the end', async () => {
  let caFile: string | undefined;
  const run = await serve(['--tls'], async (testbed) => {
    caFile = testbed.caFile;
    const ca = await readFile(caFile as string, 'utf8');
    expect(testbed.url).toMatch(/^https:/);
    expect((await call(testbed, 'GET', '/v2/', { tls: { ca } })).status).toBe(200);
    await expect(call(testbed, 'GET', '/v2/')).rejects.toThrow(/certificate/);
  });
  ended(0, run);
  expect(run.stderr).toContain(`certificate authority: ${caFile}`);
  await expect(stat(caFile as string)).rejects.toThrow('ENOENT');
});

test('--client-certs demands the certificate that it makes', async () => {
  const run = await serve(['--client-certs'], async (testbed) => {
    const read = (path: string | undefined): Promise<string> => readFile(path as string, 'utf8');
    const ca = await read(testbed.caFile);
    const [cert, key] = [await read(testbed.clientCertFile), await read(testbed.clientKeyFile)];
    expect((await call(testbed, 'GET', '/v2/', { tls: { ca, cert, key } })).status).toBe(200);
    await expect(call(testbed, 'GET', '/v2/', { tls: { ca } })).rejects.toThrow();
  });
  ended(0, run);
});

test('--dir keeps everything for the next run', async () => {
  let digest = '';
  const argv = ['--dir', folder('kept')];
  ended(
    0,
    await serve(argv, async (testbed) => {
      ({ digest } = await pushImage(testbed as never, 'app', '1'));
    }),
  );
  ended(
    0,
    await serve(argv, async (testbed) => {
      expect((await call(testbed, 'GET', `/v2/app/manifests/${digest}`)).status).toBe(200);
    }),
  );
});

describe('--upstream', () => {
  test('pulls through what is missing, and keeps it', async () => {
    const upstream = await openRegistry();
    const image = await pushImage(upstream, 'team/app', '1');
    const run = await serve(['--upstream', upstream.url], async (testbed) => {
      const manifest = await call(testbed, 'GET', '/v2/team/app/manifests/1');
      expect(manifest.body.toString()).toBe(image.text);
      expect((await call(testbed, 'GET', `/v2/team/app/blobs/${image.layer}`)).status).toBe(200);
      const asked = upstream.requests.length;
      expect((await call(testbed, 'GET', `/v2/team/app/blobs/${image.layer}`)).status).toBe(200);
      expect(upstream.requests.slice(asked).some(({ path }) => path.includes('/blobs/'))).toBe(false);
    });
    ended(0, run);
  });

  test('with the credentials of the flags', async () => {
    const auth = { username: 'ci', password: 'geheim-genug' };
    const upstream = await openRegistry({ auth });
    const authorization = `Basic ${Buffer.from('ci:geheim-genug').toString('base64')}`;
    await pushImage(upstream, 'team/app', '1', {}, { headers: { authorization } });
    const without = await serve(['--upstream', upstream.url, '--retries', '0'], async (testbed) => {
      expect((await call(testbed, 'GET', '/v2/team/app/manifests/1')).status).not.toBe(200);
    });
    ended(0, without);
    const argv = ['--upstream', upstream.url, '--username', 'ci', '--password', 'geheim-genug'];
    const run = await serve(argv, async (testbed) => {
      expect((await call(testbed, 'GET', '/v2/team/app/manifests/1')).status).toBe(200);
    });
    ended(0, run);
    expect(run.stdout + run.stderr).not.toContain('geheim-genug');
  });
});

describe('--synthetic', () => {
  test('serves images that are made as they are asked for, and counts what is fetched', async () => {
    const argv = [
      '--synthetic',
      'images=100000,layers=2,sizes=50KiB:3,1MiB:1,seed=7',
      '--faults',
      'delay=1ms',
    ];
    const run = await serve(argv, async (testbed) => {
      const repository = '/v2/synthetic/image099999-0009';
      const manifest = await call(testbed, 'GET', `${repository}/manifests/latest`);
      const { config, layers } = manifest.json;
      for (const { digest, size } of [config, ...layers]) {
        expect((await call(testbed, 'GET', `${repository}/blobs/${digest}`)).body).toHaveLength(size);
      }
      const traffic = (await call(testbed, 'GET', '/api/regops/traffic')).json;
      expect(traffic).toMatchObject({ manifestGets: 1, blobGets: 3, distinctBlobs: 3, maxGetsOfOneBlob: 1 });
    });
    ended(0, run);
  });

  test('behind a cache that is addressed by its name and forgets what it is told to', async () => {
    const images = ['--synthetic', 'images=4,layers=1,sizes=4KiB,batches=2'];
    const upstream = await serve(images, async (origin) => {
      const { host } = new URL(origin.url);
      const cache = await serve(['--upstream', origin.url], async (testbed) => {
        const pullAll = async (): Promise<void> => {
          for (const name of ['1-0001', '2-0002', '3-0001', '4-0002']) {
            const repository = `/v2/${host}/synthetic/image00000${name}`;
            const { layers } = (await call(testbed, 'GET', `${repository}/manifests/latest`)).json;
            expect((await call(testbed, 'GET', `${repository}/blobs/${layers[0].digest}`)).status).toBe(200);
          }
        };
        await pullAll();
        const query = 'type=pattern&expr=-0002&dryRun=false&count=-1';
        const pruned = await call(testbed, 'DELETE', `/cmd/prune?${query}`);
        const names = ['2-0002', '4-0002'].map(
          (name) => `pruned ${host}/synthetic/image00000${name}:latest\n`,
        );
        expect(pruned.body.toString()).toBe(names.join(''));
        await pullAll();
        const { upstream: fetched, ...served } = (await call(testbed, 'GET', '/api/regops/traffic')).json;
        expect(served).toMatchObject({ manifestGets: 8, blobGets: 8, distinctBlobs: 4, maxGetsOfOneBlob: 2 });
        expect(fetched).toEqual({ manifestFetches: 6, blobFetches: 6, blobBytes: 6 * 4096 });
        const traffic = (await call(origin, 'GET', '/api/regops/traffic')).json;
        expect(traffic).toMatchObject({
          manifestGets: 6,
          blobGets: 6,
          distinctBlobs: 4,
          maxGetsOfOneBlob: 2,
        });
      });
      ended(0, cache);
    });
    ended(0, upstream);
  });

  test.each([
    [['--synthetic', 'images=0'], 'images must be from 1'],
    [['--synthetic', 'pictures=1'], 'Write it like images=100000'],
    [['--synthetic', 'images=1', '--upstream', 'http://127.0.0.1:1'], '--upstream'],
    [['--synthetic', 'images=1', '--dir', 'x'], '--dir'],
  ])('%o is a usage error', async (argv, message) => {
    const run = ended(64, await runCommand('testbed', argv));
    expect(run.stderr).toContain(message);
  });
});

describe('refuses', () => {
  test('a port that is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const run = await runCommand('testbed', ['--port', String(port), '--json']);
    expect(ended(78, run).json().error).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(`cannot listen on 127.0.0.1 port ${port}`),
    });
  });

  test.each([
    [['--auth', 'nocolon'], '--auth takes USER:PASSWORD'],
    [['--auth', ':only-a-password'], '--auth takes USER:PASSWORD'],
    [['--port', '70000'], '--port'],
    [['--upstream', 'ftp://x'], "scheme 'ftp'"],
  ])('%o', async (argv, message) => {
    const run = ended(64, await runCommand('testbed', argv));
    expect(run.stderr).toContain(message);
    expect(run.stderr).not.toContain('only-a-password');
  });

  test('a folder that is not its own', async () => {
    await writeFile(folder('file'), 'x');
    const run = await runCommand('testbed', ['--dir', folder('file'), '--json']);
    expect([74, 78, 65]).toContain(run.exitCode);
    expect(run.json().error.message).toContain(folder('file'));
  });
});

describe('--faults', () => {
  const statuses = async (testbed: TestbedResult, requests: number): Promise<number[]> => {
    const all: number[] = [];
    for (let at = 0; at < requests; at++) all.push((await call(testbed, 'GET', '/v2/')).status);
    return all;
  };

  test('go wrong as a specification says, and -v says which', async () => {
    const run = await serve(['--faults', 'GET base nth=2 status=503', '-v'], async (testbed) => {
      expect(await statuses(testbed, 3)).toEqual([200, 503, 200]);
    });
    expect(ended(0, run).stderr).toMatch(/GET \/v2\/ 503 .* faults fault-1/);
  });

  test('go wrong as a file says', async () => {
    const faults = [{ name: 'every-other', match: { kind: 'base', every: 2 }, effect: { status: 500 } }];
    await writeFile(folder('faults.json'), JSON.stringify({ faults }));
    const run = await serve(['--faults', folder('faults.json')], async (testbed) => {
      expect(await statuses(testbed, 4)).toEqual([200, 500, 200, 500]);
    });
    ended(0, run);
  });

  test('go wrong by the same chance for the same --seed, and by another for another', async () => {
    const chance = async (seed: string): Promise<number[]> => {
      let seen: number[] = [];
      const argv = ['--faults', 'base status=500 probability=0.5', '--seed', seed];
      const run = await serve(argv, async (testbed) => {
        seen = await statuses(testbed, 40);
      });
      ended(0, run);
      return seen;
    };
    const first = await chance('7');
    expect(new Set(first)).toEqual(new Set([200, 500]));
    expect(await chance('7')).toEqual(first);
    expect(await chance('8')).not.toEqual(first);
  });

  test.each([
    ['GET manifests', 'CONFIG_INVALID', 78],
    ['GET manifests sulk', 'CONFIG_INVALID', 78],
    ['status=9000', 'CONFIG_INVALID', 78],
    ['{"match": {}}', 'CONFIG_INVALID', 78],
    ['nowhere.json', 'FILE_NOT_FOUND', 66],
  ])('%s is refused', async (spec, code, exitCode) => {
    const run = ended(exitCode, await runCommand('testbed', ['--faults', spec, '--json']));
    expect(run.json().error.code).toBe(code);
  });

  test('--seed alone is a usage error', async () => {
    ended(64, await runCommand('testbed', ['--seed', '7']));
  });
});

describe('--persona', () => {
  test('plays that registry, with the repositories it is told of, together with faults and credentials', async () => {
    const argv = ['--persona', 'ecr', '--repository', 'team/app', '--repository', 'team/lib'];
    const more = ['--auth', 'ci:geheim-genug', '--faults', 'GET base status=503 nth=2'];
    const headers = { authorization: `Basic ${Buffer.from('ci:geheim-genug').toString('base64')}` };
    const run = await serve([...argv, ...more], async (testbed) => {
      const statusOf = async (method: string, path: string): Promise<number> =>
        (await call(testbed, method, path, { headers })).status;
      expect(await statusOf('POST', '/v2/team/lib/blobs/uploads/')).toBe(202);
      expect(await statusOf('POST', '/v2/team/other/blobs/uploads/')).toBe(404);
      expect([await statusOf('GET', '/v2/'), await statusOf('GET', '/v2/')]).toEqual([200, 503]);
    });
    ended(0, run);
  });

  test.each([
    [['--persona', 'nobody'], 64],
    [['--repository', 'team/app'], 64],
    [['--persona', 'ecr', '--repository', 'UPPER'], 64],
    [['--persona', 'ecr', '--token-auth'], 78],
    [['--persona', 'hub', '--synthetic', 'images=1'], 64],
  ])('%j is refused', async (argv, exitCode) => {
    ended(exitCode, await runCommand('testbed', argv));
  });
});
