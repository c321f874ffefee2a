import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Import, importsIn, type SourceFile, sourceFiles, withoutComments } from '../support/imports.ts';

/**
 * Which way imports may point: house.md's table, one line per room. A room's door is its index.ts, and so is
 * that of each part of a job that has several (torture's tests). A room that does not exist yet has its line already.
 */
const LAW: Readonly<Record<string, readonly string[]>> = {
  commands: ['cli', 'jobs'],
  cli: [
    'jobs',
    'registry',
    'archive',
    'load',
    'history',
    'engine',
    'alts',
    'nscr',
    'auth',
    'http',
    'oci',
    'base',
    'report',
    'progress',
    'testbed',
  ],
  jobs: ['registry', 'archive', 'load', 'history', 'engine', 'alts', 'nscr', 'oci', 'base'],
  registry: ['auth', 'http', 'oci', 'base'],
  auth: ['http', 'base'],
  alts: ['http', 'base'],
  nscr: ['http', 'base'],
  engine: ['oci', 'base'],
  archive: ['oci', 'base'],
  testbed: ['oci', 'base'],
  load: ['base'],
  history: ['oci', 'base'],
  report: ['base'],
  progress: ['base'],
  http: ['base'],
  oci: ['base'],
  base: [],
};

/** Doors beside the index.ts; jobs may use these two of report and progress, for their types. */
const MODEL_DOORS = ['src/report/model.ts', 'src/progress/events.ts'];
/** Apart from base's index, which must not load zod. */
const SCHEMA_DOOR = 'src/base/schema.ts';

/** npm packages, by room. What is not named here may not be imported. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  commands: ['@oclif/core'],
  cli: ['@oclif/core', 'chalk', 'conf', 'yaml'],
  report: ['chalk'],
  progress: ['chalk', 'cli-progress'],
  http: ['undici'],
  alts: ['jose', 'yaml', 'zod'],
  nscr: ['zod'],
  engine: ['dockerode', 'zod'],
  testbed: ['zod', '@peculiar/x509', 'reflect-metadata'],
  base: ['p-limit', 'string-width', 'zod'],
};

/** Node's modules that can reach the outside, and what rooms other than http/ and engine/ may take from them. */
const CONNECTING: Readonly<Record<string, readonly string[]>> = {
  'node:net': ['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'AddressInfo', 'Socket'],
  'node:tls': [],
  'node:dgram': [],
  'node:http2': [],
  'node:dns': [],
  'node:dns/promises': [],
  'node:http': ['createServer', 'IncomingMessage', 'Server', 'ServerResponse'],
  'node:https': ['createServer', 'Server'],
};

/** Who may start programs: auth its credential helpers, cli what `--on-alert` names. */
const SPAWNING_ROOMS = ['auth', 'cli', 'engine'];
/** Who may start threads. */
const THREADING_ROOMS = ['load'];
/** Who may import what is only known at run time: load the workload that a plan names. */
const LOADERS = ['src/load/session.ts'];

/** What rooms other than cli/ may know of the process: who they are, what runs them and when, nothing they could be told. */
const PROCESS_FACTS = ['pid', 'versions', 'hrtime', 'nextTick'];
/** `process.kill(pid, 0)` asks whether the owner of a folder's lock, or of a noted upload, is alive. */
const PROCESS_EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  'src/registry/upload/journal.ts': ['kill'],
  'src/testbed/folder-storage.ts': ['kill'],
};

const root = fileURLToPath(new URL('../..', import.meta.url));
const files = await sourceFiles(root, 'src', 'commands');

/** The room a file belongs to. */
function roomOf(path: string): string {
  const [first = '', second = ''] = path.split('/');
  return first === 'src' ? second : first;
}

/** The use case inside jobs/, or undefined. */
function jobOf(path: string): string | undefined {
  const parts = path.split('/');
  return roomOf(path) === 'jobs' && parts.length > 3 ? parts[2] : undefined;
}

function isDoor(path: string): boolean {
  return (
    /^src\/(\w+|jobs\/[\w-]+(\/[\w-]+)?)\/index\.ts$/.test(path) ||
    [...MODEL_DOORS, SCHEMA_DOOR].includes(path)
  );
}

/** What is wrong with an import, in words; undefined when nothing is. */
function verdict(file: string, one: Import): string | undefined {
  const { specifier } = one;
  if (specifier.startsWith('.')) return verdictOnPath(file, one);
  if (specifier.startsWith('(')) {
    return LOADERS.includes(file) ? undefined : `nobody can tell what import${specifier} is`;
  }
  return specifier.startsWith('node:') ? verdictOnNode(file, one) : verdictOnPackage(file, specifier);
}

function verdictOnPath(file: string, { specifier, typeOnly }: Import): string | undefined {
  if (!/\.(ts|json)$/.test(specifier)) return 'an import ends in .ts';
  const target = join(dirname(file), specifier);
  const [from, to] = [roomOf(file), roomOf(target)];
  if (from === to) {
    const [job, other] = [jobOf(file), jobOf(target)];
    if (job === undefined && other !== undefined && from === 'jobs') return 'what jobs share knows no job';
    return other !== undefined && job !== other ? `job ${job} imports job ${other}` : undefined;
  }
  const law = LAW[from];
  if (!law) return `there is no line for the room ${from}`;
  if (from === 'jobs' && MODEL_DOORS.includes(target)) {
    return typeOnly ? undefined : 'jobs take only types from report and progress';
  }
  if (!law.includes(to)) return `${from} may not import ${to}`;
  return isDoor(target) ? undefined : `${target} is not a door of ${to}`;
}

function verdictOnNode(file: string, { specifier, names, dynamic, typeOnly }: Import): string | undefined {
  const room = roomOf(file);
  if (specifier === 'node:process') {
    const known = names.filter((name) => !PROCESS_FACTS.includes(name));
    return room === 'cli' || known.length === 0 ? undefined : `only cli touches process.${known.join(', ')}`;
  }
  if (specifier === 'node:child_process') {
    return SPAWNING_ROOMS.includes(room) ? undefined : `${room} may not start programs`;
  }
  if (specifier === 'node:worker_threads') {
    return THREADING_ROOMS.includes(room) ? undefined : `${room} may not start threads`;
  }
  const harmless = CONNECTING[specifier];
  if (!harmless || typeOnly || room === 'http' || room === 'engine') return undefined;
  const connecting = names.filter((name) => !harmless.includes(name));
  return dynamic || names.length === 0 || connecting.length > 0
    ? `only http and engine open connections (${connecting.join(', ') || specifier})`
    : undefined;
}

function verdictOnPackage(file: string, specifier: string): string | undefined {
  const room = roomOf(file);
  const parts = specifier.split('/');
  const name = parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
  return PACKAGES[room]?.includes(name) ? undefined : `${room} may not use the package ${name}`;
}

/** Uses of what belongs to the whole process. */
function globalsIn({ path, code }: SourceFile): string[] {
  if (roomOf(path) === 'cli') return [];
  const allowed = [...PROCESS_FACTS, ...(PROCESS_EXCEPTIONS[path] ?? [])];
  const plain = withoutText(code);
  return [
    ...[...plain.matchAll(/\bprocess\s*(?:\.\s*(\w+)|\[)/g)].flatMap(([text, name]) =>
      name !== undefined && allowed.includes(name) ? [] : [text],
    ),
    ...[...plain.matchAll(/\b(?:console\.\w+|globalThis\b[.[]?\w*|(?:await|return|=)\s+fetch\()/g)].map(
      ([text]) => text,
    ),
  ];
}

/** Text in quotes is no code. */
function withoutText(code: string): string {
  return code.replaceAll(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, "''");
}

test('every room that exists has its line, and the law has no circle', () => {
  expect(new Set(files.map(({ path }) => roomOf(path)))).toEqual(
    new Set(Object.keys(LAW).filter((room) => files.some(({ path }) => roomOf(path) === room))),
  );
  const visit = (room: string, path: readonly string[]): void => {
    expect(path, `a circle: ${[...path, room].join(' → ')}`).not.toContain(room);
    for (const next of LAW[room] ?? []) visit(next, [...path, room]);
  };
  for (const room of Object.keys(LAW)) visit(room, []);
});

test('every import of src/ and commands/ is lawful', () => {
  expect(files.length).toBeGreaterThan(100);
  const broken = files.flatMap(({ path, imports }) =>
    imports.flatMap((one) => {
      const why = verdict(path, one);
      return why === undefined ? [] : [`${path}: '${one.specifier}': ${why}`];
    }),
  );
  expect(broken).toEqual([]);
});

test('only cli/ touches the process', () => {
  const broken = files.flatMap((file) => globalsIn(file).map((use) => `${file.path}: ${use}`));
  expect(broken).toEqual([]);
});

test('packages and exceptions that nobody needs any more are struck off', () => {
  const used = new Set(
    files.flatMap(({ path, imports }) =>
      imports.map(({ specifier }) => `${roomOf(path)} ${specifier.match(/^(@[^/]+\/)?[^/]+/)?.[0]}`),
    ),
  );
  const idle = Object.entries(PACKAGES).flatMap(([room, names]) =>
    names.filter((name) => !used.has(`${room} ${name}`)).map((name) => `${room} ${name}`),
  );
  expect(idle).toEqual([]);
  for (const [path, names] of Object.entries(PROCESS_EXCEPTIONS)) {
    const code = files.find((file) => file.path === path)?.code ?? '';
    for (const name of names) expect(code).toContain(`process.${name}`);
  }
});

test('every room says at its door what it is for', async () => {
  const { readFile } = await import('node:fs/promises');
  for (const room of Object.keys(LAW).filter((name) => name !== 'commands' && name !== 'jobs')) {
    if (!files.some(({ path }) => roomOf(path) === room)) continue;
    const door = await readFile(join(root, 'src', room, 'index.ts'), 'utf8');
    expect(door, room).toMatch(new RegExp(`^/\\*\\*\\n \\* ${room}: \\w`));
  }
});

describe('the law is not asleep', () => {
  const one = (specifier: string, more: Partial<Import> = {}): Import => ({
    specifier,
    typeOnly: false,
    dynamic: false,
    names: [],
    ...more,
  });

  test.each([
    ['src/oci/digest.ts', one('../http/index.ts'), 'oci may not import http'],
    ['src/testbed/server.ts', one('../registry/index.ts'), 'testbed may not import registry'],
    ['src/jobs/inspect/index.ts', one('../../cli/index.ts'), 'jobs may not import cli'],
    ['src/jobs/inspect/index.ts', one('../../http/index.ts'), 'jobs may not import http'],
    ['src/jobs/inspect/index.ts', one('../push-tar/index.ts'), 'job inspect imports job push-tar'],
    ['src/jobs/inspect/check.ts', one('../push-tar/index.ts', { typeOnly: true }), 'job inspect imports'],
    ['src/jobs/context.ts', one('./inspect/index.ts'), 'knows no job'],
    ['src/cli/torture.ts', one('../jobs/torture/monitor/watch.ts'), 'is not a door of jobs'],
    ['src/jobs/inspect/report.ts', one('../../report/model.ts'), 'only types'],
    ['src/jobs/inspect/report.ts', one('../../report/index.ts', { typeOnly: true }), 'may not import report'],
    ['src/registry/client.ts', one('../http/agent.ts'), 'src/http/agent.ts is not a door of http'],
    ['src/registry/upload/whole.ts', one('../../http/agent.ts', { dynamic: true }), 'is not a door of http'],
    ['commands/inspect.ts', one('../src/registry/index.ts'), 'commands may not import registry'],
    ['commands/inspect.ts', one('../src/jobs/inspect/view.ts'), 'is not a door of jobs'],
    ['src/attic/index.ts', one('../base/index.ts'), 'no line for the room attic'],
    ['src/base/index.ts', one('./errors'), 'ends in .ts'],
    ['src/registry/client.ts', one('undici', { dynamic: true }), 'may not use the package undici'],
    ['src/jobs/context.ts', one('@oclif/core/command'), 'may not use the package @oclif/core'],
    ['src/base/clock.ts', one('chalk'), 'may not use the package chalk'],
    ['src/oci/platform.ts', one('zod'), 'may not use the package zod'],
    ['src/testbed/server.ts', one('node:http', { names: ['createServer', 'request'] }), 'open connections'],
    ['src/auth/store.ts', one('node:net', { names: ['connect'] }), 'open connections'],
    ['src/registry/connect.ts', one('node:https', { dynamic: true }), 'open connections'],
    ['src/oci/platform.ts', one('node:process', { names: ['env'] }), 'only cli touches process.env'],
    ['src/load/run.ts', one('../registry/index.ts'), 'load may not import registry'],
    ['src/nscr/client.ts', one('../auth/index.ts'), 'nscr may not import auth'],
    ['src/jobs/torture/all/index.ts', one('node:worker_threads', { names: ['Worker'] }), 'start threads'],
    ['src/load/run.ts', one('(module)', { dynamic: true }), 'nobody can tell'],
    ['src/archive/open.ts', one('node:child_process', { names: ['spawn'] }), 'may not start programs'],
  ])('%s: %o', (file, given, why) => {
    expect(verdict(file, given)).toContain(why);
  });

  test.each([
    ['src/jobs/inspect/report.ts', one('../../report/model.ts', { typeOnly: true })],
    ['src/jobs/inspect/index.ts', one('../context.ts')],
    ['src/cli/torture.ts', one('../jobs/torture/monitor/index.ts')],
    ['src/cli/lazy.ts', one('../jobs/push-tar/index.ts', { typeOnly: true })],
    ['src/oci/platform.ts', one('../base/schema.ts')],
    ['src/testbed/server.ts', one('node:http', { names: ['createServer'] })],
    ['src/http/connector.ts', one('node:tls', { names: ['connect'] })],
    ['src/archive/compress.ts', one('node:process', { names: ['versions'] })],
    ['src/load/session.ts', one('(module)', { dynamic: true })],
  ])('%s: %o is lawful', (file, given) => {
    expect(verdict(file, given)).toBeUndefined();
  });

  test('every form of an import is seen', () => {
    const code = [
      "import type { A } from './a.ts';",
      "import { type B, type C as D } from './b.ts';",
      "import {\n  type E,\n  f as g,\n} from './c.ts';",
      "import h, * as i from './d.ts';",
      "import './e.ts';",
      "export * from './f.ts';",
      "export { j } from './g.ts';",
      "export type { K } from './h.ts';",
      "const l = await import('./i.ts');",
      "type M = typeof import('./j.ts');",
      "const load = createRequire(import.meta.url);\nload('k');",
      "// import { n } from './comment.ts';",
      "/** import { o } from './comment.ts'; */",
      'await import(module);',
      "const text = 'https://example.com'; await import('./l.ts');",
    ].join('\n');
    expect(
      importsIn(withoutComments(code)).map(({ specifier, typeOnly, dynamic, names }) =>
        [specifier, typeOnly ? 'type' : '', dynamic ? 'dynamic' : '', ...names].filter(Boolean).join(' '),
      ),
    ).toEqual([
      './a.ts type A',
      './b.ts type B C',
      './c.ts E f',
      './d.ts',
      './f.ts',
      './g.ts j',
      './h.ts type K',
      './e.ts',
      './i.ts dynamic',
      './j.ts type dynamic',
      '(module) dynamic',
      './l.ts dynamic',
      'k dynamic',
    ]);
    expect(() => importsIn("await import('./' + name);")).toThrow('something unknown');
  });

  test('uses of the process are seen', () => {
    const use = (code: string) => globalsIn({ path: 'src/oci/x.ts', code, imports: [] });
    expect(use('process.env.HOME; process.exit(1); process.stdout.write(x); process["argv"]')).toEqual([
      'process.env',
      'process.exit',
      'process.stdout',
      'process[',
    ]);
    expect(use('console.log(1); globalThis.fetch(x); await fetch(url)')).toHaveLength(3);
    expect(use("process.pid; 'process.env'; subprocess.env; content.fetch(x)")).toEqual([]);
    expect(globalsIn({ path: 'src/cli/x.ts', code: 'process.env', imports: [] })).toEqual([]);
  });
});
