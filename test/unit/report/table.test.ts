import { describe, expect, test } from 'vitest';
import { type Report, renderTable } from '../../../src/report/index.ts';

const pipe = { color: false, tty: false };
const tty = { color: false, tty: true, width: 40 };

const report: Report = {
  sections: [
    {
      title: 'layers',
      table: {
        columns: [
          { title: 'digest', shrink: true },
          { title: 'size', align: 'right' },
          { title: 'note', shrink: true },
        ],
        rows: [
          ['sha256:0123456789abcdef', '12 MiB', 'a rather long remark about it'],
          ['sha256:00', '512 B', ''],
        ],
      },
    },
    {
      facts: [
        ['media type', 'x'],
        ['os', 'linux'],
      ],
      text: 'first\nsecond\n',
    },
  ],
  summary: '2 layers',
};

test('sections are separated by a blank line; numbers stand right; nothing trails', () => {
  expect(renderTable(report, pipe)).toBe(
    [
      'layers',
      'DIGEST                     SIZE  NOTE',
      'sha256:0123456789abcdef  12 MiB  a rather long remark about it',
      'sha256:00                 512 B',
      '',
      'media type  x',
      'os          linux',
      'first',
      'second',
      '',
      '2 layers',
      '',
    ].join('\n'),
  );
});

test('a terminal gets tables cut to its width, widest column first; others stay whole', () => {
  const lines = renderTable(report, tty).split('\n');
  expect(lines.slice(1, 4)).toEqual([
    'DIGEST             SIZE  NOTE',
    'sha256:0123456…  12 MiB  a rather long …',
    'sha256:00         512 B',
  ]);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(40);
});

test('a column keeps eight, however narrow the terminal', () => {
  const lines = renderTable(report, { ...tty, width: 5 }).split('\n');
  expect(lines[2]).toBe('sha256:…  12 MiB  a rathe…');
});

describe('bare lines', () => {
  const withLines = { ...report, lines: ['r/a@sha256:0', 'r/b@sha256:0'] };

  test('are alone in a pipe', () => {
    expect(renderTable(withLines, pipe)).toBe('r/a@sha256:0\nr/b@sha256:0\n');
  });

  test('come first on a terminal', () => {
    expect(renderTable(withLines, tty)).toMatch(/^r\/a@sha256:0\nr\/b@sha256:0\n\nlayers\n/);
  });

  test('when there are none, a pipe gets nothing: a loop over them must not see the summary', () => {
    expect(renderTable({ ...report, lines: [] }, pipe)).toBe('');
    expect(renderTable({ lines: [], summary: 'none' }, tty)).toBe('none\n');
    expect(renderTable({}, tty)).toBe('');
  });
});

test('exact text is given byte for byte, but not to a terminal', () => {
  expect(renderTable({ exact: '{"a":\u001b}', summary: 's' }, pipe)).toBe('{"a":\u001b}');
  expect(renderTable({ exact: '{\n"a":\u001b}' }, tty)).toBe('{\n"a":\\x1b}\n');
});

test('what was not right is listed, what passed is not', () => {
  const checks = [
    { name: 'a', status: 'pass', message: 'fine' },
    { name: 'b', status: 'fail', message: 'missing' },
    { name: 'c', status: 'unknown', message: 'not asked' },
  ] as const;
  expect(renderTable({ checks, summary: '1 of 3' }, pipe)).toBe(
    'fail  b: missing\nunknown  c: not asked\n\n1 of 3\n',
  );
});

test('text from elsewhere is escaped everywhere', () => {
  const evil = 'x\u001b[2J\ny\u202e';
  const text = renderTable(
    {
      lines: [evil],
      summary: evil,
      checks: [{ name: evil, status: 'fail', message: evil }],
      sections: [
        { title: evil, facts: [[evil, evil]], text: evil },
        { table: { columns: [{ title: evil }], rows: [[evil]] } },
      ],
    },
    tty,
  );
  expect(text).not.toMatch(/[\u001b\u202e]/);
  expect(text.match(/x\\x1b/gi)?.length).toBe(10);
});

test('wide characters take two columns', () => {
  const table = {
    columns: [{ title: 'a' }, { title: 'b' }],
    rows: [
      ['应用', 'x'],
      ['abc', 'y'],
    ],
  };
  expect(renderTable({ sections: [{ table }] }, pipe)).toBe('A     B\n应用  x\nabc   y\n');
});

test('rows that are too short or too long do no harm', () => {
  const table = { columns: [{ title: 'a' }, { title: 'b' }], rows: [['1'], ['1', '2', '3'], []] };
  expect(renderTable({ sections: [{ table }] }, pipe)).toBe('A  B\n1\n1  2\n\n');
});

test('colours only when asked for, and widths ignore them', () => {
  const colored = renderTable(report, { ...pipe, color: true });
  expect(colored).toContain('\u001b[');
  expect(colored.replaceAll(/\u001b\[\d+m/g, '')).toBe(renderTable(report, pipe));
});

test('a section with nothing but a title divides those before it from those that follow', () => {
  const sections = [{ title: 'monitor' }, { title: 'probes', text: 'all well' }];
  expect(renderTable({ sections }, pipe)).toBe('── monitor ──\n\nprobes\nall well\n');
});
