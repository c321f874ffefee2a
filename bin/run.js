#!/usr/bin/env node
// This file must parse on Node 12: nothing newer than ES2018 in it, and everything else behind import().
// biome-ignore-all lint/style/useNodejsImportProtocol: 'node:' is unknown to Node before 12.20
// biome-ignore-all lint/complexity/useOptionalChain: unknown to Node before 14
import { spawn } from 'child_process';
import { existsSync, mkdirSync, readFileSync } from 'fs';
import nodeModule from 'module';
import os from 'os';
import { dirname, isAbsolute, join } from 'path';
import { fileURLToPath } from 'url';

const NEEDED = [22, 19, 0];
const root = dirname(dirname(fileURLToPath(import.meta.url)));

if (isOlder(process.versions.node, NEEDED)) {
  const own = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(own)) {
    runWith(own);
  } else {
    process.stderr.write(
      `regops needs Node ${NEEDED.join('.')} or newer; this is ${process.versions.node}\n`,
    );
    process.exitCode = 78;
  }
} else {
  start();
}

function isOlder(version, needed) {
  const parts = version.split('.').map(Number);
  for (let i = 0; i < needed.length; i++) {
    if (parts[i] !== needed[i]) return parts[i] < needed[i];
  }
  return false;
}

/** Runs this file again with the checkout's own Node, and ends as that ends. */
function runWith(node) {
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const pass = signals.map((signal) => () => child.kill(signal));
  signals.forEach((signal, i) => {
    process.on(signal, pass[i]);
  });
  child.on('error', (error) => {
    process.stderr.write(`regops: cannot run ${node}: ${error.message}\n`);
    process.exitCode = 78;
  });
  child.on('exit', (code, signal) => {
    signals.forEach((name, i) => {
      process.removeListener(name, pass[i]);
    });
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code;
  });
}

/** Makes a folder, and those above it. Node itself would try for ever where nothing can be made (/proc). */
function isMade(folder, first = true) {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return true;
    const above = dirname(folder);
    return error.code === 'ENOENT' && first && above !== folder && isMade(above) && isMade(folder, false);
  }
}

function start() {
  const program = join(root, 'dist', 'src', 'cli', 'main.js');
  if (!existsSync(program)) {
    process.stderr.write(`regops is not built: run npm run build in ${root}\n`);
    process.exitCode = 78;
    return;
  }
  if (['--version', '-V', 'version'].includes(process.argv[2])) {
    tellVersion();
    return;
  }
  // A folder of the user's own: the default is shared by all users of the machine (/tmp).
  const cache = process.env.XDG_CACHE_HOME;
  const base = cache && isAbsolute(cache) ? cache : join(process.env.HOME || os.homedir(), '.cache');
  if (nodeModule.enableCompileCache) {
    const folder = process.env.NODE_COMPILE_CACHE || join(base, 'regops', 'compile-cache');
    if (isMade(folder)) nodeModule.enableCompileCache(folder);
  }
  // Node compresses in its thread pool, of four unless told otherwise before it is first used; two more than
  // cores, so that a file can be read while all cores compress.
  if (!process.env.UV_THREADPOOL_SIZE) {
    process.env.UV_THREADPOOL_SIZE = String(Math.max(4, os.availableParallelism() + 2));
  }
  // Before anything is loaded that looks at the environment for colours.
  if (process.argv.includes('--no-color')) process.env.NO_COLOR = '1';
  // NO_COLOR wins, and Node would warn of the two.
  if (process.env.NO_COLOR) delete process.env.FORCE_COLOR;
  // For DEBUG=* these two of oclif's would write the command line, a --password in it.
  if (process.env.DEBUG) process.env.DEBUG += ',-oclif:main,-oclif:config';
  import('../dist/src/cli/main.js').then((program) => program.main({ root }));
}

/** What oclif would say, without loading it. */
function tellVersion() {
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  process.stdout.on('error', (error) => {
    if (error.code === 'EPIPE') return;
    process.stderr.write(`error: cannot write to standard output: ${error.message}\n`);
    process.exitCode = 73;
  });
  process.stdout.write(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
}
