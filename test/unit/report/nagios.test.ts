import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Check, nagiosLine, renderNagios } from '../../../src/report/index.ts';

const check = (status: Check['status'], name = 'blobs', message = 'seen'): Check => ({
  name,
  status,
  message,
});

test.each([
  [[], 'OK'],
  [['pass', 'pass'], 'OK'],
  [['pass', 'unknown'], 'UNKNOWN'],
  [['unknown', 'warn'], 'WARNING'],
  [['warn', 'fail', 'unknown'], 'CRITICAL'],
] as const)('the gravest check decides: %o is %s', (statuses, state) => {
  expect(renderNagios({ checks: statuses.map((status) => check(status)) }, 'inspect').state).toBe(state);
});

test('a warning that is no problem found is told, and is no state', () => {
  const known = { ...check('warn', 'tag-list-order', '6 violations, allowed'), advisory: true };
  const one = renderNagios({ checks: [known, check('pass')], summary: 'kept' }, 'x');
  expect(one).toEqual({ state: 'OK', line: 'X OK - tag-list-order: 6 violations, allowed; kept\n' });
  expect(renderNagios({ checks: [known, check('warn')] }, 'x').state).toBe('WARNING');
});

test('the line says what is wrong, then the summary, then the perfdata', () => {
  const { line } = renderNagios(
    {
      summary: '3 blobs',
      checks: [check('pass'), check('fail', 'layer 2', 'missing')],
      metrics: [
        { name: 'size_bytes', help: '', value: 1536, unit: 'B', warn: 1e21, critical: 2048 },
        { name: 'duration_seconds', help: '', value: 0.25, unit: 's', labels: { registry: "it's=x|y" } },
        { name: 'blobs_total', help: '', value: 3 },
        { name: 'broken', help: '', value: Number.NaN },
      ],
    },
    'inspect',
  );
  expect(line).toBe(
    'INSPECT CRITICAL - layer 2: missing; 3 blobs | ' +
      "'size_bytes'=1536B;1000000000000000000000;2048;0 " +
      "'duration_seconds it''s_x_y'=0.25s;;;0 'blobs_total'=3;;;0\n",
  );
});

test('without a summary it says how much was checked', () => {
  expect(renderNagios({ checks: [check('pass')] }, 'a b').line).toBe('A B OK - 1 check\n');
});

test('whatever the text, it is one line with at most one pipe, of bounded length', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), (text) => {
      const line = nagiosLine('x', 'OK', text);
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(line).not.toContain('|');
      expect(line).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      expect(line.length).toBeLessThan(1100);
    }),
  );
});
