import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeOperation, renderTimeline } from '../../../src/history/index.ts';
import { digest, operation } from './histories.ts';

const one = digest(1);

test('a counterexample is drawn with a row for each client and a line for each operation', () => {
  const drawn = renderTimeline(
    [
      operation(1000, 3000, {
        kind: 'put-manifest',
        value: one,
        requestId: '7f',
        remote: '10.0.0.1:443',
        client: 1,
      }),
      operation(4000, 6000, { kind: 'delete-manifest', client: 2, outcome: 'unknown' }),
      operation(2000, 5000, { client: 2, value: one }),
      operation(10_000, 11_000, { client: 1 }),
    ],
    40,
  );
  expect(drawn).toBe(
    [
      '          0.000 ms                       10.000 ms',
      'client 1  |A======|                          |D==|',
      'client 2      |B==========|',
      '                      |C======?',
      '',
      'A  client 1  PUT latest = f89f2c93435f: 201  0.000 .. 2.000 ms  request 7f  from 10.0.0.1:443',
      'B  client 2  GET latest = f89f2c93435f: 200  1.000 .. 4.000 ms',
      'C  client 2  DELETE latest: no answer?       3.000 .. 5.000 ms',
      'D  client 1  GET latest: 404                 9.000 .. 10.000 ms',
    ].join('\n'),
  );
});

test('of nothing there is nothing to draw', () => {
  expect(renderTimeline([])).toBe('');
});

test('what the server said reaches no terminal as it is', () => {
  const drawn = renderTimeline([operation(0, 1, { requestId: '\u001b[31m', remote: 'a\u202eb' })]);
  expect(drawn).toContain('request \\x1b[31m  from a\\u{202e}b');
});

test('each kind is told in words', () => {
  const list = { reference: '', status: 200 };
  expect(
    [
      operation(0, 1, { kind: 'head-blob', reference: one, status: 404 }),
      operation(0, 1, { ...list, kind: 'list-tags', names: ['a', 'b'] }),
      operation(0, 1, { ...list, kind: 'list-repositories', repository: '', names: ['team/app'] }),
      operation(0, 1, { ...list, kind: 'collect-garbage', repository: '', status: 0 }),
      operation(0, 1, { kind: 'open-upload', reference: 'u1', status: 202 }),
    ].map(describeOperation),
  ).toEqual([
    'HEAD blob f89f2c93435f: 404',
    'tags of team/app [a b]: 200',
    'catalog [team/app]: 200',
    'garbage collection: done',
    'open-upload u1: 202',
  ]);
});

test('bars stay within their columns, and none hides another', () => {
  const spans = fc.array(fc.tuple(fc.nat(1000), fc.nat(500), fc.nat(3)), { minLength: 1, maxLength: 26 });
  fc.assert(
    fc.property(spans, fc.integer({ min: 20, max: 100 }), (given, width) => {
      const drawn = renderTimeline(
        given.map(([callUs, tookUs, client]) => operation(callUs, callUs + tookUs, { client })),
        width,
      );
      const [head = '', ...rest] = drawn.split('\n');
      const bars = rest.slice(0, rest.indexOf(''));
      expect(head.length).toBe(width + 'client 0  '.length);
      expect(bars.every((bar) => bar.length <= head.length)).toBe(true);
      expect(bars.join('').match(/\|[A-Z]/g)).toHaveLength(given.length);
    }),
  );
});
