import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../support/run-cli.ts';
import { useTempFolder } from '../support/temp-folder.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = useTempFolder();

/** Makes the running Node take itself for version 20, before bin/run.js asks. */
const asNode20 = (): readonly string[] => ['--require', folder('node20.cjs')];

/** A checkout with nothing in it but bin/run.js and a program that tells how it was called. */
async function checkout(options: { node?: boolean; dist?: boolean }): Promise<string> {
  await mkdir(folder('bin'));
  await copyFile(join(root, 'bin', 'run.js'), folder('bin', 'run.js'));
  await writeFile(folder('package.json'), '{"type": "module"}');
  if (options.dist) {
    await mkdir(folder('dist', 'src', 'cli'), { recursive: true });
    await writeFile(folder('dist', 'src', 'cli', 'main.js'), PROGRAM);
  }
  if (options.node) {
    await mkdir(folder('node_modules', 'node', 'bin'), { recursive: true });
    await symlink(process.execPath, folder('node_modules', 'node', 'bin', 'node'));
  }
  return folder('bin', 'run.js');
}

const PROGRAM = `
export function main() {
  console.log(JSON.stringify({ node: process.versions.node, argv: process.argv.slice(2) }));
  if (process.argv[2] === 'wait') {
    const alive = setInterval(() => {}, 1000);
    process.on('SIGTERM', () => { clearInterval(alive); process.exitCode = 7; });
    console.log('waiting');
  } else if (process.argv[2] === 'die') process.kill(process.pid, 'SIGKILL');
  else process.exitCode = 5;
}
`;

beforeEach(async () => {
  await writeFile(
    folder('node20.cjs'),
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.0' } });`,
  );
});

test('a cache that cannot be made does not keep it from starting', async () => {
  const program = await checkout({ dist: true });
  const run = await runCli(['x'], {
    program,
    env: { XDG_CACHE_HOME: '/proc/regops', NODE_COMPILE_CACHE: '' },
  });
  expect(run).toMatchObject({ exitCode: 5, stderr: '' });
});

describe('on a Node that is too old', () => {
  test('it runs with the checkout’s own, arguments and exit code pass through', async () => {
    const program = await checkout({ node: true, dist: true });
    const run = await runCli(['a b', '--c'], { program, nodeArgs: asNode20() });
    expect(run).toMatchObject({ exitCode: 5, stderr: '' });
    expect(JSON.parse(run.stdout)).toEqual({ node: process.versions.node, argv: ['a b', '--c'] });
  });

  test('signals go to it, and its death is ours', async () => {
    const program = await checkout({ node: true, dist: true });
    const waited = await runCli(['wait'], {
      program,
      nodeArgs: asNode20(),
      when: [/waiting/, (child) => void child.kill('SIGTERM')],
    });
    expect(waited).toMatchObject({ exitCode: 7, signal: null });
    expect(await runCli(['die'], { program, nodeArgs: asNode20() })).toMatchObject({
      exitCode: null,
      signal: 'SIGKILL',
    });
  });

  test('without that, one line says which Node is needed, and it is exit 78', async () => {
    const program = await checkout({ dist: true });
    const run = await runCli(['--version'], { program, nodeArgs: asNode20() });
    expect(run).toMatchObject({ exitCode: 78, stdout: '' });
    expect(run.stderr).toBe('regops needs Node 22.19.0 or newer; this is 20.19.0\n');
  });

  test('bin/run.js has no syntax that is newer than Node 12', async () => {
    const code = (await readFile(join(root, 'bin', 'run.js'), 'utf8')).replaceAll(/\/\/.*|'[^'\n]*'/g, '');
    expect(code).not.toMatch(/\?\?|\?\.|\|\|=|&&=|^await |^\s*#\w|\d_\d/m);
    expect(await readFile(join(root, 'bin', 'run.js'), 'utf8')).not.toMatch(/from 'node:/);
  });

  const old = oldNode();
  test.skipIf(old === undefined)('a real old one runs the real program', async () => {
    const run = await runCli(['--version'], { node: old as string });
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toMatch(/^regops\/\S+ \S+ node-v2[2-9]/);
  });
});

test.each(['run.js', 'dev.js'])(
  'bin/%s can be called by its path, and npm link has nothing to change',
  async (name) => {
    expect((await stat(join(root, 'bin', name))).mode & 0o111).toBe(0o111);
  },
);

test('the package holds the program, its manual pages and nothing that only a checkout can use', () => {
  const listed = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], { cwd: root });
  const paths = JSON.parse(listed.toString())[0].files.map(({ path }: { path: string }) => path);
  const needed = [
    'bin/run.js',
    'dist/src/cli/main.js',
    'dist/LICENSES.txt',
    'oclif.manifest.json',
    'man/regops.1',
  ];
  expect(needed.filter((path) => !paths.includes(path))).toEqual([]);
  expect(paths.filter((path: string) => !/^(dist|man)\//.test(path)).toSorted()).toEqual([
    ...['README.md', 'bin/run.js', 'oclif.manifest.json', 'package.json'],
  ]);
});

test('a checkout that is not built says so', async () => {
  const run = await runCli(['--version'], { program: await checkout({}) });
  expect(run).toMatchObject({ exitCode: 78, stdout: '' });
  expect(run.stderr).toContain('npm run build');
});

test('it keeps its compiled code in the user’s own cache', async () => {
  const run = await runCli(['--help'], {
    env: { XDG_CACHE_HOME: folder('cache'), NODE_COMPILE_CACHE: '', TMPDIR: folder('tmp') },
  });
  expect(run.exitCode).toBe(0);
  expect(execFileSync('ls', [folder('cache', 'regops')], { encoding: 'utf8' })).toBe('compile-cache\n');
});

/** A Node on this machine's PATH that is older than ours needs, if there is one. */
function oldNode(): string | undefined {
  const paths = (process.env['PATH'] ?? '').split(delimiter).filter((path) => !path.includes('node_modules'));
  for (const path of paths) {
    try {
      const version = execFileSync(join(path, 'node'), ['-v'], { encoding: 'utf8' });
      const [major = 0, minor = 0] = version.slice(1).split('.').map(Number);
      if (major < 22 || (major === 22 && minor < 19)) return join(path, 'node');
    } catch {
      // No node there.
    }
  }
  return undefined;
}
