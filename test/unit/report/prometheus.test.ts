import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Metric, type Report, renderPrometheus } from '../../../src/report/index.ts';
import { FOUND, FULL_REPORT } from '../../support/report-sample.ts';

const good = { ...FOUND, ok: true };

/** Families of an exposition, read by the grammar of format 0.0.4; throws at any line that is not of it. */
function parse(text: string): Map<string, { type: string; help: string; samples: Map<string, number> }> {
  const families = new Map<string, { type: string; help: string; samples: Map<string, number> }>();
  expect(text.endsWith('\n')).toBe(true);
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-zA-Z_][a-zA-Z0-9_]*) ((?:[^\\]|\\\\|\\n)*)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_][a-zA-Z0-9_]*) (gauge|counter)$/.exec(line);
    const sample =
      /^([a-zA-Z_][a-zA-Z0-9_]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\\\|\\"|\\n)*",?)+\})? (\S+)$/.exec(
        line,
      );
    if (help?.[1]) {
      if (families.has(help[1])) throw new Error(`family twice: ${line}`);
      current = help[1];
      families.set(current, { help: help[2] ?? '', type: '', samples: new Map() });
    } else if (type) {
      expect(type[1]).toBe(current);
      Object.assign(families.get(current) ?? {}, { type: type[2] });
    } else if (sample) {
      expect(sample[1]).toBe(current);
      const samples = families.get(current)?.samples;
      const labels = sample[2] ?? '';
      const names = [...labels.matchAll(/([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"/g)].map(([, name]) => name);
      expect(new Set(names).size).toBe(names.length);
      if (samples?.has(labels)) throw new Error(`sample twice: ${line}`);
      samples?.set(labels, Number(sample[3]?.replace('Inf', 'Infinity')));
    } else throw new Error(`not of the format: ${JSON.stringify(line)}`);
  }
  return families;
}

const render = (...metrics: Metric[]) => parse(renderPrometheus({ metrics }, good));

test('the metrics of a report, in base units, without times', () => {
  const families = parse(renderPrometheus(FULL_REPORT, FOUND));
  expect(families.get('regops_operations_total')).toEqual({
    help: 'Operations done.',
    type: 'counter',
    samples: new Map([['{kind="all"}', 61_204]]),
  });
  expect(families.get('regops_latency_seconds')).toMatchObject({
    type: 'gauge',
    samples: new Map([['{percentile="99"}', 0.312]]),
  });
  expect(families.get('regops_read_bytes')?.samples).toEqual(new Map([['', 12_884_901_888]]));
  expect(families.get('regops_checks')?.samples.get('{command="torture all",status="fail"}')).toBe(2);
});

test.each<[string, Report, object, number]>([
  ['good', {}, {}, 1],
  ['a failed check', { checks: [{ name: 'a', status: 'fail', message: '' }] }, {}, 0],
  ['a warning', { checks: [{ name: 'a', status: 'warn', message: '' }] }, {}, 1],
  ['a failure', {}, { ok: false }, 0],
  ['interrupted', {}, { ok: false, interrupted: true }, 1],
])('how the run went: %s', (_what, report, ending, value) => {
  const families = parse(renderPrometheus(report, { ...good, ...ending }));
  expect(families.get('regops_run_success')?.samples.get('{command="torture all"}')).toBe(value);
});

test('what all of them are of is a label of each, also of those that tell how the run went', () => {
  const metrics: Metric[] = [
    { name: 'a', help: '', value: 1 },
    { name: 'seen_total', help: '', value: 2, unit: 'c', labels: { kind: 'x', cache: 'own' } },
  ];
  const families = parse(
    renderPrometheus({ metrics }, { ...good, labels: { registry: 'r:5000', cache: 'c:1' } }),
  );
  expect(families.get('regops_a')?.samples).toEqual(new Map([['{registry="r:5000",cache="c:1"}', 1]]));
  expect(families.get('regops_seen_total')).toMatchObject({
    type: 'counter',
    samples: new Map([['{registry="r:5000",cache="own",kind="x"}', 2]]),
  });
  for (const family of ['regops_run_success', 'regops_checks']) {
    for (const labels of families.get(family)?.samples.keys() ?? []) {
      expect(labels).toContain('registry="r:5000"');
    }
  }
});

test('samples of one name stand together; of the same sample the last one counts', () => {
  const families = render(
    { name: 'a', help: 'A.', value: 1, labels: { x: '1' } },
    { name: 'b', help: 'B.', value: 2 },
    { name: 'a', help: 'A again.', value: 3, labels: { x: '2' } },
    { name: 'b', help: 'B.', value: 4 },
  );
  expect(families.get('regops_a')).toMatchObject({
    help: 'A.',
    samples: new Map([
      ['{x="1"}', 1],
      ['{x="2"}', 3],
    ]),
  });
  expect(families.get('regops_b')?.samples).toEqual(new Map([['', 4]]));
});

test('a label that becomes another one is not said twice', () => {
  const families = render({
    name: 'a b',
    help: '',
    value: 1,
    labels: { 'x-y': '1', x_y: 'a"\\\n', '': 'z' },
  });
  expect([...(families.get('regops_a_b')?.samples ?? [])]).toEqual([
    [String.raw`{x_y="a\"\\\\x0a",_="z"}`, 1],
  ]);
});

test('numbers that are none', () => {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e21, 0.1];
  const families = render(...values.map((value, at) => ({ name: `v${at}`, help: '', value })));
  expect([...families.values()].slice(2).flatMap(({ samples }) => [...samples.values()])).toEqual(values);
});

test('whatever names and texts it gets, it is of the format', () => {
  const text = fc.string({ unit: 'binary', maxLength: 30 });
  const metric = fc.record({
    name: text,
    help: text,
    value: fc.double(),
    labels: fc.dictionary(text, text, { maxKeys: 3 }),
  });
  fc.assert(
    fc.property(fc.array(metric), (metrics) => {
      render(...metrics);
    }),
  );
});
