import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Check, type Ending, type Report, renderJunit } from '../../../src/report/index.ts';
import { FOUND, FULL_REPORT } from '../../support/report-sample.ts';
import { parseXml, type XmlElement } from '../../support/xml.ts';

const good: Ending = { ...FOUND, ok: true, warnings: [] };

/** What the schemas that CI servers publish agree on: attributes that must be there, and children in their order. */
const SHAPE: Readonly<Record<string, { attributes: readonly string[]; children: RegExp }>> = {
  testsuites: { attributes: ['name', 'tests', 'failures', 'errors', 'time'], children: /^(testsuite )+$/ },
  testsuite: {
    attributes: ['name', 'tests', 'failures', 'errors', 'time', 'skipped', 'timestamp'],
    children: /^(testcase )+(system-out )?(system-err )?$/,
  },
  testcase: {
    attributes: ['name', 'classname', 'time'],
    children: /^((skipped|error|failure|system-out) )?$/,
  },
  failure: { attributes: ['message', 'type'], children: /^$/ },
  error: { attributes: ['message', 'type'], children: /^$/ },
  skipped: { attributes: ['message'], children: /^$/ },
  'system-out': { attributes: [], children: /^$/ },
  'system-err': { attributes: [], children: /^$/ },
};

function validate(element: XmlElement): void {
  const shape = SHAPE[element.name];
  expect(shape, element.name).toBeDefined();
  expect(Object.keys(element.attributes)).toEqual(shape?.attributes);
  expect(element.children.map(({ name }) => `${name} `).join('')).toMatch(shape?.children ?? /^\0$/);
  if (element.name.startsWith('testsuite')) {
    const cases = all(element, 'testcase');
    const holding = (name: string): string => String(cases.filter((one) => all(one, name).length > 0).length);
    expect(element.attributes).toMatchObject({
      tests: String(cases.length),
      failures: holding('failure'),
      errors: holding('error'),
    });
    if (element.name === 'testsuite') {
      expect(element.attributes['skipped']).toBe(holding('skipped'));
      expect(element.attributes['timestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
    }
  }
  for (const name of ['time']) {
    if (name in element.attributes) expect(element.attributes[name]).toMatch(/^\d+\.\d{3}$/);
  }
  for (const child of element.children) validate(child);
}

function all(element: XmlElement, name: string): XmlElement[] {
  return element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...all(child, name)]);
}

/** The document, found to be of the shape. */
function junit(report: Report, ending: Ending = good): XmlElement {
  const text = renderJunit(report, ending);
  expect(text).toMatch(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/);
  const root = parseXml(text);
  expect(root.name).toBe('testsuites');
  validate(root);
  return root;
}

const check = (more: Partial<Check>): Check => ({ name: 'n', status: 'pass', message: 'm', ...more });

test('a suite for each group, a case for each check', () => {
  const root = junit(FULL_REPORT, FOUND);
  expect(root.attributes).toMatchObject({
    name: 'regops torture all',
    tests: '6',
    failures: '3',
    time: '8.162',
  });
  expect(
    root.children.map(({ attributes, children }) => [
      attributes['name'],
      children.filter(({ name }) => name === 'testcase').map((one) => one.attributes['name']),
    ]),
  ).toEqual([
    ['torture.all.consistency', ['digests', 'team/app:1.4', 'team/ghost']],
    ['torture.all.monitor', ['sessions']],
    ['torture.all.stress', ['p99<200ms', 'errors<1%']],
  ]);
});

test('how each status is told', () => {
  const checks = (['pass', 'warn', 'fail', 'unknown'] as const).map((status) =>
    check({ name: status, status, evidence: 'a\nb', durationMs: 1500 }),
  );
  const told = all(junit({ checks }), 'testcase').map(({ attributes, children: [one] }) => [
    attributes['name'],
    attributes['time'],
    one?.name,
    one?.attributes,
    one?.text,
  ]);
  expect(told).toEqual([
    ['pass', '1.500', undefined, undefined, undefined],
    ['warn', '1.500', 'system-out', {}, 'warning: m\na\nb'],
    ['fail', '1.500', 'failure', { message: 'm', type: 'fail' }, 'm\na\nb'],
    ['unknown', '1.500', 'skipped', { message: 'm' }, ''],
  ]);
});

test('a warning of a run that found problems is one, unless it is of the run itself', () => {
  const checks = [
    check({ name: 'dropped', status: 'warn', evidence: '5 -> 4' }),
    check({ name: 'generator', status: 'warn', advisory: true }),
  ];
  const [one, other] = all(junit({ checks }, { ...good, ok: false }), 'testcase');
  expect(one?.children).toMatchObject([
    { name: 'failure', attributes: { message: 'm', type: 'warn' }, text: 'm\n5 -> 4' },
  ]);
  expect(other?.children).toMatchObject([{ name: 'system-out' }]);
});

describe('the command itself', () => {
  const only = (report: Report, ending: Partial<Ending>): XmlElement =>
    all(junit(report, { ...good, ...ending }), 'testcase')[0] as XmlElement;

  test('is a case when nothing was judged', () => {
    expect(only({}, {}).children).toEqual([]);
    expect(only({ summary: '1 lost' }, { ok: false }).children[0]).toMatchObject({
      name: 'failure',
      attributes: { message: '1 lost' },
    });
    expect(only({}, { ok: false, interrupted: true }).children[0]?.name).toBe('skipped');
  });

  test('is a failure beside checks that tell of none, so that the document is as red as the exit code', () => {
    const checks = [check({}), check({ status: 'warn', advisory: true })];
    const root = junit({ checks, summary: '1 lost' }, { ...good, ok: false });
    expect(root.attributes).toMatchObject({ tests: '3', failures: '1' });
    expect(junit({ checks }, { ...good, ok: false, interrupted: true }).attributes['failures']).toBe('0');
  });

  test('is an error beside what was judged when it failed', () => {
    const error = { code: 'CONNECTION_FAILED', message: 'cannot reach <x>', hints: ['Is it up?'] };
    const root = junit({ checks: [check({}), check({ group: 'g' })] }, { ...good, ok: false, error });
    expect(root.children.map(({ attributes }) => [attributes['name'], attributes['tests']])).toEqual([
      ['torture.all', '2'],
      ['torture.all.g', '1'],
    ]);
    expect(all(root, 'error')[0]).toMatchObject({
      attributes: { type: 'CONNECTION_FAILED', message: 'cannot reach <x>' },
      text: 'cannot reach <x>\nIs it up?',
    });
  });

  test('says its summary and warnings once', () => {
    const root = junit(FULL_REPORT, { ...FOUND, interrupted: true, warnings: ['w1', 'w2'] });
    const [first, ...others] = root.children;
    const said = first?.children.slice(-2).map(({ name, text }) => [name, text]);
    expect(said).toEqual([
      ['system-out', `interrupted\n${FULL_REPORT.summary}`],
      ['system-err', 'w1\nw2'],
    ]);
    expect(others.flatMap(({ children }) => children).every(({ name }) => name === 'testcase')).toBe(true);
  });
});

test('whatever others wrote, it is a document of the shape', () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 });
  const checks = fc.array(
    fc.record(
      {
        name: text,
        group: text,
        message: text,
        evidence: text,
        status: fc.constantFrom('pass', 'warn', 'fail', 'unknown'),
        durationMs: fc.nat(),
      },
      { requiredKeys: ['name', 'message', 'status'] },
    ),
  );
  fc.assert(
    fc.property(checks, text, (judged, summary) => {
      const root = junit({ checks: judged as Check[], summary }, { ...good, warnings: [summary] });
      expect(root.attributes['tests']).toBe(String(judged.length || 1));
    }),
  );
});
