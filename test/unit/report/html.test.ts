import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ending, type Report, renderHtml, type Series } from '../../../src/report/index.ts';
import { FOUND, FULL_REPORT } from '../../support/report-sample.ts';

const good: Ending = { ...FOUND, ok: true, warnings: [] };
const html = (report: Report, ending: Partial<Ending> = {}): string =>
  renderHtml(report, { ...good, ...ending });

const line = (more: Partial<Series> = {}): Series => ({
  plot: 'P',
  name: 's',
  unit: 'ms',
  points: [
    [0, 1],
    [1000, 2],
  ],
  ...more,
});

describe('the page', () => {
  test('needs nothing but itself', () => {
    const page = renderHtml(FULL_REPORT, FOUND);
    expect(page).not.toMatch(
      /<script|<link (?!rel="icon" href="data:,">)|<img|<iframe|@import|url\(| style=| on\w+=/i,
    );
    expect(page.match(/https?:\/\/[^\s<"]+/g)).toEqual(['http://localhost:7000']);
  });

  test('allows its own style sheet and nothing else', () => {
    const page = html({});
    const style = /<style>([\s\S]*)<\/style>/.exec(page)?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    expect(page).toContain(`content="default-src &#39;none&#39;; style-src &#39;sha256-${hash}&#39;;`);
    expect(page.indexOf('Content-Security-Policy')).toBeLessThan(page.indexOf('<style>'));
  });

  test.each<[string, Report, Partial<Ending>, string]>([
    ['good', {}, {}, '✓ Good'],
    ['warnings', { checks: [{ name: 'a', status: 'warn', message: '' }] }, {}, '! Warnings'],
    ['a problem', {}, { ok: false }, '✕ Problem found'],
    ['a failure', {}, { ok: false, error: { code: 'X', message: 'm', hints: [] } }, '✕ Failed'],
    ['interrupted', {}, { ok: false, interrupted: true }, '■ Interrupted'],
  ])('gives the verdict: %s', (_what, report, ending, verdict) => {
    expect(html(report, ending)).toContain(`>${verdict}</span>`);
  });

  test('tells a failure with its hints', () => {
    const error = { code: 'CONNECTION_FAILED', message: 'cannot reach it', hints: ['Is it <up>?'] };
    expect(html({}, { ok: false, error })).toMatch(
      /<h2>CONNECTION_FAILED<\/h2><p>cannot reach it<\/p><ul><li>Is it &lt;up&gt;\?<\/li><\/ul>/,
    );
  });

  test('a section with nothing but a title is a heading, and no empty box', () => {
    const page = html({ sections: [{ title: 'monitor' }, {}, { title: 'run', facts: [['a', 'b']] }] });
    expect(page).toContain('<h2 class="part">monitor</h2>');
    expect(page.match(/<section/g)).toHaveLength(1);
  });

  test('lists checks worst first and folds many passes away', () => {
    const passes = Array.from({ length: 21 }, (_, at) => ({
      name: `p${at}`,
      status: 'pass' as const,
      message: '',
    }));
    const page = html({ checks: [...passes, { name: 'bad one', status: 'fail', message: 'lost' }] });
    expect(page).toContain('1 failed');
    expect(page.indexOf('bad one')).toBeLessThan(page.indexOf('<summary>what passed</summary>'));
    expect(page.indexOf('<summary>what passed</summary>')).toBeLessThan(page.indexOf('>p0<'));
  });

  test('cuts tables that no browser could lay out, and says so', () => {
    const table = { columns: [{ title: 'a' }], rows: Array.from({ length: 3000 }, (_, at) => [`r${at}`]) };
    const page = html({ sections: [{ table }] });
    expect(page).toContain('>r1999<');
    expect(page).not.toContain('>r2000<');
    expect(page).toContain('… and 1,000 more');
  });

  test('shows bare lines and exact text', () => {
    expect(html({ lines: ['a', '<b'] })).toContain('<pre>a\n&lt;b</pre>');
    expect(html({ exact: '{"a":1}' })).toContain('<pre>{&quot;a&quot;:1}</pre>');
  });

  test('whatever others wrote, its elements are ours alone', () => {
    const shape = (report: Report, ending: Partial<Ending>): string[] =>
      html(report, ending).match(/<\/?[a-z][^\s>]*/g) ?? [];
    const filled = (text: string): [Report, Partial<Ending>] => [
      {
        title: text,
        summary: text,
        lines: [text],
        exact: text,
        checks: [{ name: text, group: text, status: 'fail', message: text, evidence: text }],
        metrics: [{ name: text, help: text, value: 1, labels: { [`l${text}`]: text } }],
        series: [line({ plot: text, name: text, unit: `u${text}` })],
        sections: [
          { title: `t${text}`, facts: [[text, text]], text },
          { table: { columns: [{ title: text }], rows: [[text]] } },
        ],
      },
      { ok: false, warnings: [text], error: { code: text, message: text, hints: [text] } },
    ];
    const expected = shape(...filled('x'));
    expect(shape(...filled('"><script>alert(1)</script><a b=\''))).toEqual(expected);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }), (text) => {
        expect(shape(...filled(text))).toEqual(expected);
        expect(html(...filled(text))).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
      }),
      { numRuns: 50 },
    );
  });
});

describe('plots', () => {
  const drawn = (...series: Series[]): string =>
    /<section class="plots"[\s\S]*?<\/section>/.exec(html({ series }))?.[0] ?? '';
  const texts = (page: string, group: string): string[] =>
    [
      ...(new RegExp(`<g class="ticks ${group}">(.*?)</g>`).exec(page)?.[1] ?? '').matchAll(
        />([^<]+)<\/text>/g,
      ),
    ].map(([, text]) => text ?? '');
  const paths = (page: string): string[] =>
    [...page.matchAll(/<path class="line [^"]*" d="(M[^"]*)"\/>(?!<\/svg>)/g)].map(([, path]) => path ?? '');

  test('are one for each name and unit; lines are named unless the plot is', () => {
    const page = drawn(
      line(),
      line({ name: 't' }),
      line({ unit: 'B' }),
      line({ plot: 'Errors', name: 'errors' }),
    );
    expect(page.match(/<figure>/g)).toHaveLength(3);
    expect(page.match(/class="legend"/g)).toHaveLength(2);
    expect(page).toContain('<span class="unit">bytes</span>');
    expect(html({})).not.toContain('class="plots"');
  });

  test.each<[string, Series['points'], string, string[], string[]]>([
    [
      'two seconds',
      [
        [0, 0],
        [2000, 8],
      ],
      'ms',
      ['0s', '0.5s', '1s', '1.5s', '2s'],
      ['0', '2', '4', '6', '8'],
    ],
    [
      'two hours',
      [
        [0, 0],
        [7_200_000, 1],
      ],
      's',
      ['0s', '30m', '1h', '1h30m', '2h'],
      ['0', '0.5', '1'],
    ],
    ['one point', [[5000, 3]], '', ['5s', '5.2s', '5.4s', '5.6s', '5.8s', '6s'], ['0', '1', '2', '3']],
    [
      'bytes',
      [
        [0, 0],
        [60_000, 3e6],
      ],
      'B',
      ['0s', '10s', '20s', '30s', '40s', '50s', '1m'],
      ['0 B', '1 MiB', '2 MiB', '3 MiB'],
    ],
    [
      'nothing but 0',
      [
        [0, 0],
        [30_000, 0],
      ],
      '/s',
      ['0s', '5s', '10s', '15s', '20s', '25s', '30s'],
      ['0', '1'],
    ],
    [
      'below 0',
      [
        [0, -5],
        [1000, 5],
      ],
      '',
      ['0s', '0.2s', '0.4s', '0.6s', '0.8s', '1s'],
      ['-5', '0', '5'],
    ],
  ])('have round ticks: %s', (_what, points, unit, xs, ys) => {
    const page = drawn(line({ points, unit }));
    expect(texts(page, 'mid')).toEqual(xs);
    expect(texts(page, 'end')).toEqual(ys);
  });

  test('a line goes from corner to corner, a state in steps', () => {
    const points: Series['points'] = [
      [0, 0],
      [1000, 8],
    ];
    expect(paths(drawn(line({ points })))).toEqual(['M58 194L546 10']);
    expect(paths(drawn(line({ points, step: true })))).toEqual(['M58 194H546V10']);
  });

  test('a state that hardly moves is shown moving; a rate is not', () => {
    const points: Series['points'] = [
      [0, 10_000],
      [1000, 9_998],
    ];
    expect(texts(drawn(line({ points, unit: '', step: true })), 'end')).toEqual(['9,998', '9,999', '10,000']);
    expect(texts(drawn(line({ points, unit: '' })), 'end')[0]).toBe('0');
  });

  test('a value that is none leaves a gap; one alone is a dot', () => {
    const page = drawn(
      line({
        points: [
          [0, 4],
          [1, 4],
          [2, Number.NaN],
          [3, 4],
          [4, Number.NaN],
          [5, 4],
          [6, 4],
        ],
      }),
    );
    expect(paths(page)[0]?.match(/M/g)).toHaveLength(3);
    expect(page.match(/<\/path>|<circle class="dot c1" r="2\.5"/g)).toHaveLength(1);
    expect(drawn(line({ points: [[0, Number.NaN]] }))).toContain('no values');
    expect(drawn(line({ points: [] }))).toContain('no values');
  });

  test('the pointer learns what all lines were at a time', () => {
    const page = drawn(
      line({
        points: [
          [0, 1.23456],
          [1000, 12_345.6],
        ],
      }),
      line({ name: 't', points: [[0, 7]] }),
    );
    expect([...page.matchAll(/<title>([^<]*)<\/title>/g)].map(([, title]) => title)).toEqual([
      '0s\ns  1.235 ms\nt  7 ms',
      '1s\ns  12,346 ms\nt  7 ms',
    ]);
  });

  test('a day of samples is a small drawing that lost no peak', () => {
    const points = Array.from({ length: 86_400 }, (_, at): [number, number] => [
      at * 1000,
      at === 40_001 ? 100 : 1,
    ]);
    const page = drawn(line({ points }));
    expect(page.length).toBeLessThan(80_000);
    expect(paths(page)[0]).toMatch(/ 10(L|$)/);
  });

  test('whatever the values, no coordinate is lost', () => {
    const point = fc.tuple(fc.integer({ min: 0, max: 1e9 }), fc.double({ min: -1e300, max: 1e300 }));
    fc.assert(
      fc.property(
        fc.array(point, { maxLength: 30 }),
        fc.constantFrom('', 'ms', 'B'),
        fc.boolean(),
        (some, unit, step) => {
          const points = some.toSorted(([a], [b]) => a - b);
          const page = drawn(line({ points, unit, step }));
          expect(page).not.toMatch(/NaN|Infinity|undefined/);
          expect((page.match(/<text/g) ?? []).length).toBeLessThan(30);
        },
      ),
    );
  });
});

describe('a time line', () => {
  const bar = (lane: string, label: string, fromMs: number, toMs: number, more: object = {}) => ({
    lane,
    label,
    name: `GET ${label}`,
    fromMs,
    toMs,
    ...more,
  });
  const drawn = (bars: readonly ReturnType<typeof bar>[]): string =>
    html({ sections: [{ title: 'line', timeline: { text: 'as text', bars } }] });

  test('has a row for each lane, and one more where its bars overlap', () => {
    const page = drawn([bar('a', 'A', 0, 10), bar('a', 'B', 5, 15), bar('b', 'C', 20, 30)]);
    const tops = [...page.matchAll(/<rect class="bar c\d" x="[\d.]+" y="([\d.]+)"/g)].map(([, y]) => y);
    expect(new Set(tops).size).toBe(3);
    expect(page).not.toContain('as text');
  });

  test('shows what is open, names everything below, and escapes foreign text', () => {
    const page = drawn([bar('<a>', 'A', 1000, 1002.5, { open: true, note: '<b>\u001b' })]);
    expect(page).toContain('class="bar c1 open"');
    expect(page).toContain('0.000 – 2.500… ms');
    expect(page).toContain('&lt;b&gt;\\x1b');
    expect(page).not.toMatch(/<b>\\x1b|NaN|Infinity/);
  });

  test('of a single moment, and of nothing', () => {
    expect(drawn([bar('a', 'A', 5, 5)])).not.toMatch(/NaN|Infinity/);
    expect(drawn([])).not.toContain('<svg class="timeline"');
  });
});
