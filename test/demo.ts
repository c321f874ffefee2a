/**
 * `npm run demo`: the main job from end to end on the embedded testbed, with the built program, as a user
 * would type it. Makes an image archive, pushes it, inspects it, checks every byte, and pushes again to show
 * that nothing is sent. Ends with an error when anything is not as it says.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeImage, writeDockerArchive } from './support/image-archives.ts';

const program = join(import.meta.dirname, '..', 'bin', 'run.js');
const folder = await mkdtemp(join(tmpdir(), 'regops-demo-'));
// The demo keeps to itself: no settings, caches or credentials of the user's.
const env = {
  ...process.env,
  HOME: folder,
  XDG_CONFIG_HOME: join(folder, 'config'),
  XDG_CACHE_HOME: join(folder, 'cache'),
  XDG_STATE_HOME: join(folder, 'state'),
};

function start(args: readonly string[], stdout: 'inherit' | 'pipe'): ChildProcess {
  return spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', stdout, 'inherit'],
  });
}

async function regops(...args: string[]): Promise<void> {
  process.stdout.write(`\n$ regops ${args.join(' ')}\n`);
  const [code] = await once(start(args, 'inherit'), 'close');
  if (code !== 0) throw new Error(`regops ${args[0]} ended with exit code ${code}`);
}

async function regopsJson(...args: string[]): Promise<{ result: { totals: Record<string, number> } }> {
  process.stdout.write(`\n$ regops ${args.join(' ')}\n`);
  const child = start(args, 'pipe');
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`regops ${args[0]} ended with exit code ${code}`);
  return JSON.parse(text);
}

const testbed = start(['testbed', '--quiet'], 'pipe');
try {
  process.stdout.write('$ regops testbed &\n');
  const [line] = (await once(testbed.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const url = line.toString().trim();
  const host = new URL(url).host;
  process.stdout.write(`${url}\n`);

  const app = await makeImage({
    seed: 'demo-app',
    names: ['demo/app:1.0', 'demo/app:latest'],
    layers: [{ size: 12_000_000 }, { size: 3_000_000 }, { size: 40_000 }],
  });
  const tool = await makeImage({
    seed: 'demo-tool',
    names: ['demo/tool:2'],
    layers: [...app.layers.slice(0, 2), { size: 90_000 }],
  });
  await writeDockerArchive(join(folder, 'images.tar'), [app, tool], { layout: 'classic' });
  process.stdout.write(
    '\nimages.tar is an archive as docker save writes it: 2 images, 3 tags, shared layers.\n',
  );

  await regops('push-tar', 'images.tar', '--registry-url', url);
  await regops('inspect', '--registry-url', url);
  await regops('inspect', `${host}/demo/app:1.0`);
  await regops('inspect', `${host}/demo/tool:2`, '--check', '--deep', '--format', 'nagios');

  const { result } = await regopsJson('push-tar', 'images.tar', '--registry-url', url, '--json');
  process.stdout.write(`${JSON.stringify(result.totals, null, 2)}\n`);
  if (result.totals['sentBytes'] !== 0 || result.totals['uploaded'] !== 0) {
    throw new Error('the second push sent something');
  }
  process.stdout.write('\nThe second push compressed nothing and sent nothing.\n');
} finally {
  const ended = once(testbed, 'close');
  testbed.kill('SIGTERM');
  await ended;
  await rm(folder, { recursive: true, force: true });
}
