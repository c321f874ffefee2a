#!/usr/bin/env node
// Runs the TypeScript directly (Node 22.18+ strips the types), without dist/ and without the manifest.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { settings } from '@oclif/core/settings';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

// oclif would look for the sources through TypeScript's API, which TypeScript 7 no longer has, and would
// then silently run what is in dist/.
settings.enableAutoTranspile = false;
const pjson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8').replaceAll('"./dist/', '"./'));

const { main } = await import('../src/cli/main.ts');
await main({ root, pjson, ignoreManifest: true });
