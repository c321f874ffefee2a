// Builds dist/: bundles the program, copies the JSON schemas, and writes oclif.manifest.json, which lets the
// program start without loading every command. All are made anew together, so none can be stale. Types are
// not checked here (`npm run typecheck`).
//
// Bundled because a start is mostly the reading of modules: `regops inspect` had five hundred, and took twice
// the processor time. Names stay as they are written, so that a stack trace can be read.
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Config } from '@oclif/core/config';
import { rolldown } from 'rolldown';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const manifest = join(root, 'oclif.manifest.json');

/** The packages that nearly every command needs, taken in with what they need; all others stay outside. */
const BUNDLED = ['@oclif/core', 'chalk', 'p-limit', 'undici', 'zod'];

/** What is asked for by its path: by bin/, by oclif, as a thread or for one. */
const ENTRIES = [
  'commands/**/*.ts',
  'src/cli/{main,help,documents}.ts',
  'src/cli/hooks/*.ts',
  'src/load/worker.ts',
  'src/jobs/pullthrough-bench/workload.ts',
  'src/jobs/torture/workloads/*.ts',
];

/** Sorting by a language's rules makes V8 load them, which costs every start 8 ms; ids of commands are ASCII. */
const COLLATED = 'a.id.localeCompare(b.id)';
const plainOrder = {
  name: 'plain-order',
  transform: {
    filter: { id: /@oclif\/core\/lib\/config\/plugin\.js$/ },
    handler(code) {
      if (!code.includes(COLLATED)) throw new Error(`oclif no longer says ${COLLATED}`);
      return code.replace(COLLATED, '(a.id < b.id ? -1 : 1)');
    },
  },
};

/** A module that names others by its own place (`new URL('./worker.js', import.meta.url)`) is told where that was. */
const PLACED = 'import.meta.url';
const keepPlaces = {
  name: 'keep-places',
  transform(code, id) {
    if (!code.includes(PLACED) || !id.startsWith(root) || id.includes('/node_modules/')) return null;
    const place = relative(root, id).replace(/\.ts$/, '.js');
    return code.replaceAll(PLACED, `PLACE_OF('${place}')`);
  },
  renderChunk(code, { fileName }) {
    return code.replaceAll(/PLACE_OF\(["']([^"']+)["']\)/g, (_, place) => {
      return `new URL('${relative(dirname(fileName), place)}', ${PLACED}).href`;
    });
  },
};

rmSync(dist, { recursive: true, force: true });
rmSync(manifest, { force: true });

const bundle = await rolldown({
  cwd: root,
  platform: 'node',
  tsconfig: false,
  input: Object.fromEntries(
    globSync(ENTRIES, { cwd: root }).map((path) => [path.replace(/\.ts$/, ''), path]),
  ),
  external: isOutside,
  // By this undici knows that it is bundled, and leaves its experimental second parser out.
  transform: { define: { esbuildDetection: 'true' } },
  plugins: [plainOrder, keepPlaces],
  // Such as an import that leads nowhere: it would only fail when it is run.
  onLog(level, { message }) {
    if (level === 'warn') throw new Error(message);
  },
});
const { output } = await bundle.write({
  dir: dist,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name].js',
  // One other character makes a file twice as large in memory, and thirty times as slow to decode.
  charset: 'ascii',
  comments: false,
});
await bundle.close();

writeFileSync(join(dist, 'LICENSES.txt'), licences(output.flatMap((file) => file.moduleIds ?? [])));
for (const schema of globSync('src/**/schemas/*.json', { cwd: root })) {
  cpSync(join(root, schema), join(dist, schema));
}

// Also fails the build when a command cannot be loaded, which oclif alone would only warn about.
const config = await Config.load({ root, ignoreManifest: true, errorOnManifestCreate: true });
const [plugin] = config.getPluginsList();
writeFileSync(manifest, `${JSON.stringify(plugin.manifest)}\n`);

/** Whether an import stays one. What a bundled package imports is taken in whatever it is. */
function isOutside(id, importer) {
  if (id.startsWith('node:') || id === 'typescript') return true;
  if (/^[./]/.test(id) || importer === undefined || importer.includes('/node_modules/')) return false;
  return !BUNDLED.includes(packageOf(id));
}

/** `@oclif/core` of `@oclif/core/run`. */
function packageOf(specifier) {
  return /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0];
}

/** The licences of the packages that these modules come from, with what single files of theirs say beside. */
function licences(modules) {
  const packages = new Map();
  for (const path of modules) {
    const folder = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
    if (!folder) continue;
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const text = globSync('{LICENSE,LICENCE,license}*', { cwd: folder }).map((file) => join(folder, file));
    const known = packages.get(`${name} ${version} (${license})`) ?? new Set(text.map(read));
    for (const [notice] of read(path).matchAll(/\/\*!.*?\*\//gs)) known.add(notice);
    packages.set(`${name} ${version} (${license})`, known);
  }
  const texts = [...packages].map(([title, parts]) => [title, ...parts].join('\n\n')).sort();
  const intro = 'The program holds these packages, under their own licences.';
  return `${[intro, ...texts].join(`\n\n${'-'.repeat(78)}\n\n`)}\n`;
}

function read(path) {
  return readFileSync(path, 'utf8').trim();
}
