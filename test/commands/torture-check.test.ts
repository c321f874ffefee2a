import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  HistoryEncoder,
  type HistoryHeader,
  INVARIANTS,
  type InvariantName,
  type Operation,
} from '../../src/history/index.ts';
import { digestOf } from '../../src/oci/index.ts';
import { type RunResult, runCommand } from '../support/run-command.ts';
import { useTempFolder } from '../support/temp-folder.ts';
import { parseXml } from '../support/xml.ts';
import { operation } from '../unit/history/histories.ts';
import { get, LIES, one, put, two } from '../unit/history/lies.ts';
import { ended } from './support.ts';

const folder = useTempFolder();

const HEADER: HistoryHeader = {
  startedAt: '2026-01-31T12:00:00.000Z',
  registry: 'registry.example.com',
  workload: 'register',
  seed: 7,
};

/** Two overlapping pushes, and reads beside both: a run that really raced, and kept everything. */
const RACED: readonly Operation[] = [
  put(0, 100, { client: 1 }),
  put(50, 150, { client: 2, value: two }),
  ...Array.from({ length: 10 }, (_, at) => get(100 + at, 140 + at, { client: 10 + at, value: two })),
];
const LATER = digestOf('later');
/** What a stale replica answers; the level that is left is that of a session. */
const STALE: readonly Operation[] = [
  ...RACED,
  put(200, 210, { client: 1, requestId: 'req-7\u001b[31m<b>', remote: '10.0.0.1:443' }),
  get(220, 230, { client: 3, value: two, requestId: 'req-9' }),
].map((each) => ({ ...each, value: each.callUs === 200 ? LATER : each.value }));

function lines(operations: readonly Operation[], header: HistoryHeader = HEADER): string {
  const encoder = new HistoryEncoder();
  return encoder.header(header) + operations.map((each) => encoder.operation(each)).join('');
}

async function check(content: string, argv: readonly string[] = []): Promise<RunResult> {
  const file = join(folder(), 'run.history');
  await writeFile(file, content);
  return runCommand('torture check', [file, ...argv]);
}

describe('a history', () => {
  test.each(Object.entries(LIES))(
    'with %s in it is exit 1 at the level it breaks',
    async (name, [count, lie]) => {
      const run = ended(
        1,
        await check(lines(lie), ['--require', 'linearizable', '--settle', '1ms', '--json']),
      );
      const { verdict, findings, invariants } = run.json().result;
      expect(verdict).toBe('violated');
      const finding = findings.find(({ invariant }: { invariant: string }) => invariant === name);
      expect(finding.operations).toHaveLength(count);
      const { tier } = INVARIANTS[name as InvariantName];
      expect(finding).toMatchObject({ tier, sentence: expect.stringMatching(/\.$/) });
      expect(invariants.find((each: { name: string }) => each.name === name)).toMatchObject({
        state: 'violated',
        violations: 1,
        required: true,
      });
    },
  );

  test('of a registry that kept its word is exit 0', async () => {
    const { result } = ended(
      0,
      await check(lines(RACED), ['--require', 'linearizable', '--strict', '--json']),
    ).json();
    expect(result).toMatchObject({
      verdict: 'ok',
      level: 'linearizable',
      operations: RACED.length,
      durationMs: 0.15,
      registry: 'registry.example.com',
      workload: 'register',
      seed: 7,
      findings: [],
      repro: null,
    });
  });

  test('is held against the level that is required: a weaker one is met, and the rest a warning', async () => {
    const run = ended(0, await check(lines(STALE), ['--json']));
    expect(run.json().result).toMatchObject({ verdict: 'ok', level: 'session', required: 'session' });
    const text = ended(0, await check(lines(STALE))).stdout;
    expect(text).toMatch(/^warn {2}stale-read: 1 violation/m);
    expect(ended(1, await check(lines(STALE), ['--require', 'linearizable'])).stdout).toMatch(
      /^fail {2}stale-read: 1 violation/m,
    );
  });

  test('has findings that the registry is known for: they are told, and no reason to fail', async () => {
    const lists = (names: readonly string[]) =>
      operation(300, 301, { kind: 'list-tags', reference: '', names });
    const unsorted = lines([...STALE, put(0, 1, { reference: 'b' }), lists(['latest', 'b'])]);
    const strictly = ['--require', 'linearizable'];
    const both = [...strictly, '--allow', 'stale-read,tag-list-order'];
    ended(1, await check(unsorted, strictly));
    const one = ended(1, await check(unsorted, [...strictly, '--allow', 'tag-list-order', '--json'])).json()
      .result;
    expect(
      one.findings.map(({ invariant, allowed }: Record<string, unknown>) => [invariant, allowed]),
    ).toEqual([
      ['stale-read', false],
      ['tag-list-order', true],
    ]);
    const { result } = ended(0, await check(unsorted, [...both, '--strict', '--json'])).json();
    expect(result).toMatchObject({
      verdict: 'ok',
      level: 'session',
      allowed: ['stale-read', 'tag-list-order'],
    });
    expect(result.invariants.find(({ name }: { name: string }) => name === 'stale-read')).toMatchObject({
      state: 'violated',
      violations: 1,
      required: false,
      allowed: true,
    });
    const text = ended(0, await check(unsorted, both)).stdout;
    expect(text).toMatch(/^warn {2}tag-list-order: 1 violation in 1 checks \(the spec, allowed\)/m);
    expect(text).toContain('2 findings, allowed');
    const said = await check(unsorted, [...strictly, '--allow', 'stale-read', '--allow', 'tag-list-order']);
    expect(ended(0, said).stdout).toContain('2 findings, allowed');
    expect(ended(64, await check(unsorted, ['--allow', 'stale-reads'])).stderr).toContain(
      "'stale-reads' is no finding",
    );
  });

  test('that never raced is inconclusive: exit 0, and with --strict 1', async () => {
    const quiet = lines([put(0, 1), get(2, 3, { value: one })]);
    const { result } = ended(0, await check(quiet, ['--json'])).json();
    expect(result.verdict).toBe('inconclusive');
    expect(ended(1, await check(quiet, ['--strict'])).stdout).toContain(
      'only 0 pairs of changes and 0 reads',
    );
  });

  test('is judged as it is read: marks free what they settle, ends close repositories', async () => {
    const encoder = new HistoryEncoder();
    let text = encoder.header(HEADER);
    for (let round = 0; round < 200; round++) {
      const at = round * 1000;
      const repository = `team/app-${round}`;
      text += encoder.operation({ ...put(at, at + 10), repository });
      text += encoder.operation({ ...get(at + 20, at + 30, { value: one }), repository });
      text += encoder.mark(at + 500) + encoder.end(repository);
    }
    const { result } = ended(0, await check(text, ['--json'])).json();
    expect(result).toMatchObject({ operations: 400, late: 0, findings: [] });
    expect(result.tags).toMatchObject({ count: 200, byLevel: { linearizable: 200 } });
  });
});

describe('a file', () => {
  test('whose last line is cut off is judged up to its last mark, with a warning', async () => {
    const encoder = new HistoryEncoder();
    const text =
      encoder.header(HEADER) +
      RACED.map((each) => encoder.operation(each)).join('') +
      encoder.mark(1000) +
      // Whoever pushed it was cut off with the rest of the file.
      encoder.operation(get(2000, 2010, { value: two, reference: 'other' })) +
      encoder.operation(put(2000, 2020)).slice(0, -5);
    const { result, warnings } = ended(0, await check(text, ['--json'])).json();
    expect(result).toMatchObject({ operations: RACED.length, findings: [] });
    expect(warnings).toEqual([expect.stringContaining('the last line is cut off')]);
  });

  test.each<[string, string, RegExp]>([
    ['is no history', '{"a":1}\n', /line 1: this is no history of regops/],
    ['is empty', '', /line 1/],
    ['is of a later version', '{"format":"regops-history","version":2}\n', /line 1: version 2 is not known/],
    ['has a line that is no JSON', `${lines(RACED)}oops\n${lines([])}`, /line \d+: no JSON: oops/],
    [
      'has a text that was not given',
      `${lines([])}[0,1,1,0,1,0,1,0,201,2]\n`,
      /line 2: a text that was not given/,
    ],
    ['has a mark that goes back', `${lines([])}["m",5]\n["m",4]\n`, /line 3: a mark that goes back/],
  ])('that %s is exit 65, with the line', async (_, content, message) => {
    const run = ended(65, await check(content, ['--json']));
    expect(run.json().error).toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringMatching(message),
    });
  });

  test('that is not there is exit 66', async () => {
    ended(66, await runCommand('torture check', [join(folder(), 'none')]));
  });

  test('of any bytes is read or refused, and never a bug of ours', async () => {
    const whole = lines(STALE);
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: whole.length - 1 }),
        fc.constantFrom('"', '[', '9', '-', '\n', '\u0000', '', 'e9'),
        async (at, instead) => {
          const { exitCode } = await check(whole.slice(0, at) + instead + whole.slice(at + 1));
          expect([0, 1, 65]).toContain(exitCode);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('the answer', () => {
  test('for people has the time line, with who answered, and nothing that a terminal obeys', async () => {
    const { stdout } = ended(1, await check(lines(STALE), ['--require', 'linearizable']));
    expect(stdout).toMatch(/^1\. stale-read team\/app:latest$/m);
    expect(stdout).toMatch(/^client 1 +\|[A-Z]=*/m);
    expect(stdout).toContain('request req-7\\x1b[31m<b>  from 10.0.0.1:443');
    expect(stdout).not.toContain('\u001b');
    expect(stdout).toContain('--repro FILE writes one');
    expect(stdout).toMatch(/^put-manifest +3 +0 +\S+\/s/m);
    expect(stdout).toMatch(/^Latency\nMS +MIN +MEAN +P50 /m);
  });

  test('for people names the errors of each kind of operation', async () => {
    const [first] = STALE as [Operation, ...Operation[]];
    const refused = { ...first, client: 9, outcome: 'fail' as const, status: 403 };
    const { stdout } = await check(lines([...STALE, refused]));
    expect(stdout).toMatch(/^Errors\nOPERATION +ERROR +COUNT\nput-manifest +status-403 +1$/m);
  });

  test('as JUnit has a case for each invariant', async () => {
    const run = ended(1, await check(lines(STALE), ['--require', 'linearizable', '--format', 'junit']));
    const xml = parseXml(run.stdout);
    const names = [...run.stdout.matchAll(/<testcase name="([^"]+)"/g)].map(([, name]) => name);
    expect(names.toSorted()).toEqual(Object.keys(INVARIANTS).toSorted());
    expect(xml.attributes).toMatchObject({ tests: String(names.length), failures: '1', errors: '0' });
    expect(run.stdout).toMatch(/<testcase name="stale-read"[^>]*><failure/);
    expect(run.stdout).toMatch(/<testcase name="blob-lost"[^>]*><skipped/);
  });

  test('as HTML draws the time line, and runs nothing', async () => {
    const page = join(folder(), 'verdict.html');
    ended(1, await check(lines(STALE), ['--require', 'linearizable', '--format', 'html', '--output', page]));
    const html = await readFile(page, 'utf8');
    expect(html).toMatch(/<svg class="timeline"[^>]*aria-label="time line of \d operations/);
    expect(html.match(/<rect class="bar /g)?.length).toBeGreaterThanOrEqual(2);
    expect(html).toContain('request req-7\\x1b[31m&lt;b&gt;');
    expect(html).toMatch(/<td[^>]*>put-manifest<\/td>/);
    expect(html).not.toMatch(/<script|<b>/);
  });

  test('for monitoring systems', async () => {
    const nagios = ended(2, await check(lines(STALE), ['--require', 'linearizable', '--format', 'nagios']));
    expect(nagios.stdout).toMatch(
      /CRITICAL - stale-read: 1 violation.*'torture_judged_operations_total'=14c/,
    );
    const allowed = ['--require', 'linearizable', '--allow', 'stale-read', '--format', 'nagios'];
    expect(ended(0, await check(lines(STALE), allowed)).stdout).toMatch(/ OK - stale-read: .*allowed/);
    const good = ended(0, await check(lines(RACED), ['--format', 'nagios']));
    expect(good.stdout).toMatch(/ OK - /);
    const metrics = ended(0, await check(lines(RACED), ['--format', 'prometheus'])).stdout;
    expect(metrics).toContain('regops_torture_tags{level="linearizable"} 1\n');
    expect(metrics).toContain('regops_torture_operations_total{operation="put-manifest"} 2\n');
    expect(metrics).toMatch(
      /^regops_torture_latency_seconds\{operation="put-manifest",quantile="max"\} 0\.0001$/m,
    );
    expect(metrics).toContain('regops_torture_violations_total{invariant="stale-read",tier="expected"} 0\n');
  });

  test('is a repro file too, of the gravest finding or of another', async () => {
    const lie = [...LIES['phantom-manifest'][1], ...STALE.map((each) => ({ ...each, reference: 'other' }))];
    const file = join(folder(), 'repro.json');
    const run = await check(lines(lie), ['--repro', file, '--json']);
    expect(run.json().result).toMatchObject({ repro: file });
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      format: 'regops-repro',
      version: 1,
      invariant: 'phantom-manifest',
      seed: 7,
    });
    ended(1, await check(lines(lie), ['--repro', file, '--finding', '2']));
    const { invariant, steps } = JSON.parse(await readFile(file, 'utf8'));
    expect(invariant).toBe('stale-read');
    expect(steps[0].atMs).toBe(0);
    ended(64, await check(lines(lie), ['--repro', file, '--finding', '9']));
    ended(64, await check(lines(lie), ['--finding', '1']));
    const untouched = join(folder(), 'none.json');
    ended(0, await check(lines(RACED), ['--repro', untouched]));
    await expect(readFile(untouched)).rejects.toThrow('ENOENT');
  });
});
