// Builds dist/: compiles, copies the JSON schemas, and writes oclif.manifest.json, which lets the program
// start without loading every command. All three are made anew together, so none can be stale.
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Config } from '@oclif/core/config';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const manifest = join(root, 'oclif.manifest.json');

rmSync(join(root, 'dist'), { recursive: true, force: true });
rmSync(manifest, { force: true });

const tsc = join(root, 'node_modules/typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);

for (const schema of globSync('src/**/schemas/*.json', { cwd: root })) {
  cpSync(join(root, schema), join(root, 'dist', schema));
}

// Also fails the build when a command cannot be loaded, which oclif alone would only warn about.
const config = await Config.load({ root, ignoreManifest: true, errorOnManifestCreate: true });
const [plugin] = config.getPluginsList();
writeFileSync(manifest, `${JSON.stringify(plugin.manifest)}\n`);
