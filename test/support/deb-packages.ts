import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runProgram } from './servers/processes.ts';

/** A package to be built: as sound or as broken as a test needs it. */
export interface DebPackage {
  readonly name: string;
  /** Default: `1.0-1`. */
  readonly version?: string;
  readonly depends?: string;
  /** Path to content. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Path to what it points to. */
  readonly links?: Readonly<Record<string, string>>;
  /** Paths of `files` that are configuration. */
  readonly configuration?: readonly string[];
  /** Maintainer scripts, by their name: `postinst`, `postrm`. */
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Builds a package with dpkg-deb and gives the path of its file, `FOLDER/NAME_VERSION_all.deb`. */
export async function buildDeb(folder: string, one: DebPackage): Promise<string> {
  const { name, version = '1.0-1', depends, files = {}, links = {}, configuration = [], scripts = {} } = one;
  const root = join(folder, 'build', `${name}_${version}`);
  const control = [
    ...[
      `Package: ${name}`,
      `Version: ${version}`,
      'Architecture: all',
      'Section: misc',
      'Priority: optional',
    ],
    ...(depends === undefined ? [] : [`Depends: ${depends}`]),
    ...['Maintainer: Nobody <nobody@example.com>', `Description: ${name}, for a test`, ''],
  ];
  await putFile(join(root, 'DEBIAN/control'), control.join('\n'));
  if (configuration.length > 0)
    await putFile(join(root, 'DEBIAN/conffiles'), `${configuration.join('\n')}\n`);
  for (const [script, text] of Object.entries(scripts)) {
    await putFile(join(root, 'DEBIAN', script), `#!/bin/sh\nset -e\n${text}\n`, 0o755);
  }
  const sums: string[] = [];
  for (const [path, content] of Object.entries(files)) {
    await putFile(join(root, path), content, typeof content === 'string' ? 0o644 : 0o755);
    if (!configuration.includes(path)) {
      sums.push(`${createHash('md5').update(content).digest('hex')}  ${path.slice(1)}\n`);
    }
  }
  // What dpkg -V compares with.
  await putFile(join(root, 'DEBIAN/md5sums'), sums.join(''));
  for (const [path, target] of Object.entries(links)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await symlink(target, join(root, path));
  }
  const file = join(folder, `${name}_${version.replace(':', '%3a')}_all.deb`);
  await runProgram('dpkg-deb', ['--root-owner-group', '--build', '-Znone', root, file]);
  return file;
}

/**
 * Makes a folder of packages a repository without a signature: `deb URL ./`.
 *
 * @param claims versions that the index names in place of the packages' own
 */
export async function indexDebs(
  folder: string,
  claims: Readonly<Record<string, string>> = {},
): Promise<void> {
  const entries: string[] = [];
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.deb')).sort()) {
    const content = await readFile(join(folder, file));
    const { stdout } = await runProgram('dpkg-deb', ['--field', join(folder, file)]);
    const name = /^Package: (.*)$/m.exec(stdout)?.[1] ?? '';
    const control = claims[name] ? stdout.replace(/^Version: .*$/m, `Version: ${claims[name]}`) : stdout;
    entries.push(
      `${control.trimEnd()}\nFilename: ./${file}\nSize: ${content.length}\nSHA256: ${createHash('sha256').update(content).digest('hex')}\n`,
    );
  }
  await writeFile(join(folder, 'Packages'), entries.join('\n'));
}

/** Writes a file, and the folders it lies in. */
export async function putFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  await chmod(path, mode);
}
