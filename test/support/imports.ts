import { glob, readFile } from 'node:fs/promises';

/** One import of a module, in any of its forms. */
export interface Import {
  /** As it is written: `../base/index.ts`, `node:net`, `undici`; in parentheses what is only known at run time. */
  readonly specifier: string;
  /** Only types come from it: it is gone when the program runs. */
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
  /** Names in braces, as the other module calls them. */
  readonly names: readonly string[];
}

export interface SourceFile {
  /** From the project's root: `src/http/agent.ts`. */
  readonly path: string;
  /** Without its comments. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** Every TypeScript file below these folders of the project. */
export async function sourceFiles(root: string, ...folders: string[]): Promise<readonly SourceFile[]> {
  const files: SourceFile[] = [];
  for (const folder of folders) {
    for await (const path of glob(`${folder}/**/*.ts`, { cwd: root })) {
      const code = withoutComments(await readFile(`${root}/${path}`, 'utf8'));
      files.push({ path, code, imports: importsIn(code) });
    }
  }
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * The imports of a file that is written as our formatter writes it. A dynamic import of a variable is told as
 * such, for no test can tell where it leads. Throws for one of anything else.
 */
export function importsIn(code: string): readonly Import[] {
  const found: Import[] = [];
  const statement = /^(?:import|export)\s+(type\s+)?([^;'"]*?)\s*from\s*'([^']+)'/gm;
  for (const [, type, clause = '', specifier = ''] of code.matchAll(statement)) {
    const names = namesIn(clause);
    const braces = /^\{/.test(clause);
    const typeOnly = type !== undefined || (braces && names.every(({ isType }) => isType));
    found.push({ specifier, typeOnly, dynamic: false, names: names.map(({ name }) => name) });
  }
  for (const [, specifier = ''] of code.matchAll(/^import\s*'([^']+)'/gm)) {
    found.push({ specifier, typeOnly: false, dynamic: false, names: [] });
  }
  for (const [, type, argument = ''] of code.matchAll(/(\btypeof\s+)?\bimport\(\s*([^)]*)\)/g)) {
    found.push({ specifier: literal(argument), typeOnly: type !== undefined, dynamic: true, names: [] });
  }
  // `const load = createRequire(…)`: whatever the function is called.
  for (const [, name = ''] of code.matchAll(/const (\w+) = createRequire\(/g)) {
    for (const [, argument = ''] of code.matchAll(new RegExp(`\\b${name}\\(\\s*([^)]*)\\)`, 'g'))) {
      found.push({ specifier: literal(argument), typeOnly: false, dynamic: true, names: [] });
    }
  }
  return found;
}

function namesIn(clause: string): { name: string; isType: boolean }[] {
  return (/\{([^}]*)\}/.exec(clause)?.[1] ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => ({
      name: part.replace(/^type\s+/, '').replace(/\s+as\s+.*$/, ''),
      isType: part.startsWith('type '),
    }));
}

function literal(argument: string): string {
  const trimmed = argument.trim();
  if (/^\w+$/.test(trimmed)) return `(${trimmed})`;
  const text = /^'([^']+)'$/.exec(trimmed)?.[1];
  if (text === undefined) throw new Error(`a dynamic import of something unknown: import(${argument})`);
  return text;
}

/** Comments become blanks; what looks like one inside a text is left alone. */
export function withoutComments(code: string): string {
  return code.replaceAll(
    /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|(?<![\\:/])\/\/[^\n]*/g,
    (match) => (match.startsWith('/') ? match.replaceAll(/[^\n]/g, ' ') : match),
  );
}
