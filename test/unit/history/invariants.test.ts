import { describe, expect, test } from 'vitest';
import {
  type Finding,
  HistoryJudge,
  INVARIANTS,
  type Judgement,
  type JudgeOptions,
  meets,
  type Operation,
} from '../../../src/history/index.ts';
import { digest, operation } from './histories.ts';
import { blob, collect, get, LIES, list, one, put, remove, three, two } from './lies.ts';

function judged(operations: readonly Operation[], options: JudgeOptions = { settleUs: 1000 }): Judgement {
  const judge = new HistoryJudge(options);
  for (const each of operations) judge.add(each);
  return judge.finish();
}

function found(operations: readonly Operation[], options?: JudgeOptions): string[] {
  return judged(operations, options).findings.map(({ invariant }) => invariant);
}

describe('a registry that lies is told so, with the fewest operations that show it', () => {
  test('every invariant has its lie', () => {
    expect(Object.keys(LIES).toSorted()).toEqual(Object.keys(INVARIANTS).toSorted());
  });

  test.each(Object.entries(LIES))('%s', (name, [count, operations]) => {
    const { findings, invariants } = judged(operations);
    const finding = findings.find(({ invariant }) => invariant === name) as Finding;
    expect(finding, findings.map(({ invariant }) => invariant).join()).toBeDefined();
    expect(finding.operations).toHaveLength(count);
    expect(finding.sentence).toMatch(/^.*\.$/);
    expect(invariants.find((each) => each.name === name)).toMatchObject({ state: 'violated', violations: 1 });
    expect(meets(judged(operations), 'eventual')).toBe(finding.tier === 'expected' && name !== 'lost-update');
  });
});

describe('a registry that keeps its word', () => {
  test.each<[string, readonly Operation[]]>([
    [
      'pushes again after a delete',
      [put(0, 1), remove(2, 3), get(4, 5), put(6, 7), get(8, 9, { value: one })],
    ],
    [
      'has a deleted digest that another tag was moved away from',
      [put(0, 1), put(2, 3, { value: two }), remove(4, 5, { reference: one }), get(6, 7, { value: two })],
    ],
    ['is read while it is deleted', [put(0, 1), remove(2, 6), get(3, 4, { value: one }), get(5, 7)]],
    [
      'lost a blob after its delete was called',
      [blob('put-blob', 0, 1, { value: one }), blob('delete-blob', 2, 9), blob('head-blob', 3, 4)],
    ],
    [
      'never answered a delete',
      [put(0, 1), remove(2, 3, { outcome: 'unknown' }), get(4, 5, { value: one }), get(6, 7)],
    ],
    ['refused a push', [put(0, 1, { outcome: 'fail', status: 400 }), get(2, 3)]],
    ['lists late', [put(0, 1), list(2, 3, []), list(500, 501, ['latest'])]],
    [
      'lists in either order',
      [
        put(0, 1, { reference: 'B' }),
        put(0, 1, { reference: 'a' }),
        list(2, 3, ['B', 'a']),
        list(4, 5, ['a', 'B']),
      ],
    ],
    [
      'ended an upload',
      [
        operation(0, 1, { kind: 'open-upload', reference: 'u1', status: 202 }),
        blob('put-blob', 2, 3, { value: one, upload: 'u1' }),
        operation(4, 5, { kind: 'extend-upload', reference: 'u1', outcome: 'fail', status: 404 }),
      ],
    ],
  ])('%s: nothing is found', (_, operations) => {
    expect(found(operations)).toEqual([]);
    expect(judged(operations).level ?? 'linearizable').toBe('linearizable');
  });

  test('a lag within what was allowed is told by level and time only', () => {
    const operations = [put(0, 1), remove(2, 3), get(4, 5, { value: one }), get(6, 7)];
    expect(found(operations)).toContain('tag-resurrected');
    const lagging = judged(operations, { settleUs: 1000, deleteGraceUs: 10 });
    expect(lagging.findings.map(({ invariant }) => invariant)).toEqual(['stale-read']);
    expect(meets(lagging, 'session')).toBe(true);
    expect(meets(lagging, 'linearizable')).toBe(false);
    expect(judged([put(0, 10), list(20, 30, []), list(510, 520, ['latest'])]).visibility.tagLists).toEqual({
      visibleUs: [500],
      neverSeen: 0,
      neverAsked: 0,
      laggingLists: 1,
      lists: 2,
    });
  });
});

describe('a judgement', () => {
  test('says the strongest level that every tag met', () => {
    const stale = [
      put(0, 1, { reference: 'b' }),
      put(2, 3, { reference: 'b', value: two }),
      get(4, 5, { reference: 'b', value: one, client: 9 }),
    ];
    const { level, tags } = judged([put(0, 1), get(2, 3, { value: one }), ...stale]);
    expect(level).toBe('session');
    expect(tags).toMatchObject({ count: 2, byLevel: { linearizable: 1, session: 1, eventual: 0, none: 0 } });
    expect(tags.verdicts.map(({ tag }) => tag)).toEqual(['b', 'latest']);
  });

  test('is inconclusive when nothing raced, and counts what did', () => {
    const apart = judged([put(0, 1), get(2, 3, { value: one })]);
    expect(apart).toMatchObject({ inconclusive: true, overlap: { changePairs: 0, racingReads: 0 } });
    expect(apart.invariants.find(({ name }) => name === 'stale-read')?.state).toBe('inconclusive');
    expect(apart.invariants.find(({ name }) => name === 'tag-list-order')?.state).toBe('unchecked');
    const raced = judged([
      put(0, 100),
      ...Array.from({ length: 9 }, (_, at) => get(at, at + 20)),
      put(3, 5, { value: two }),
    ]);
    expect(raced).toMatchObject({ inconclusive: false, overlap: { changePairs: 1, racingReads: 9 } });
  });

  test('is unknown when too much is open at once', () => {
    const writes = Array.from({ length: 30 }, (_, at) => put(at, 100 + at, { value: digest(at) }));
    const { tags, invariants } = judged([...writes, remove(50, 60), get(200, 201)]);
    expect(tags).toMatchObject({ unknown: 1, byLevel: { session: 1 } });
    expect(invariants.find(({ name }) => name === 'stale-read')?.state).toBe('unknown');
  });

  test('forgets a closed repository, and takes nothing more of it', () => {
    const judge = new HistoryJudge();
    judge.add(put(0, 1));
    judge.closeRepository('team/app');
    judge.add(get(2, 3, { value: two }));
    expect(judge.finish()).toMatchObject({ operations: 2, late: 1, findings: [], tags: { count: 1 } });
  });

  test('refuses what was called before a time that was said to be complete', () => {
    const judge = new HistoryJudge();
    judge.mark(10);
    judge.mark(5);
    expect(() => judge.add(put(9, 12))).toThrow('said to be complete');
    judge.add(put(10, 12));
  });

  test('keeps ten findings of one invariant and counts the others', () => {
    const wrong = Array.from({ length: 15 }, (_, at) => get(at, at + 1, { reference: one, value: two }));
    const { findings, findingsDropped, invariants } = judged(wrong);
    expect(findings).toHaveLength(10);
    expect(findingsDropped).toBe(5);
    expect(invariants.find(({ name }) => name === 'digest-integrity')).toMatchObject({
      violations: 15,
      checked: 15,
    });
  });

  const other = put(0, 1, { reference: 'other' });
  test.each<[string, string, readonly Operation[], readonly Operation[]]>([
    [
      'another tag of its manifest was deleted',
      'sibling-tag-removed',
      [put(0, 1), other, get(6, 7)],
      [remove(4, 5, { reference: 'other' })],
    ],
    [
      'another tag of its manifest is being deleted',
      'sibling-tag-removed',
      [put(0, 1), other, get(6, 7)],
      [remove(4, 20, { reference: 'other' })],
    ],
    [
      'the manifest it was just moved from was deleted',
      'sibling-tag-removed',
      [put(0, 1), put(2, 5, { value: two }), get(6, 7)],
      [remove(3, 4, { reference: one })],
    ],
    [
      'the manifest it was just moved from, and that was seen meanwhile, was deleted',
      'sibling-tag-removed',
      [put(0, 1), put(2, 5, { value: two }), get(2, 6, { value: one }), get(7, 8)],
      [remove(3, 4, { reference: one })],
    ],
    [
      'the manifest it was moved from had been deleted before it was seen',
      'tag-lost',
      [
        put(0, 1),
        put(2, 3, { value: two }),
        remove(4, 5, { reference: one }),
        get(6, 7, { value: two }),
        get(8, 9),
      ],
      [],
    ],
    [
      'a manifest it never had was deleted',
      'stale-read',
      [put(0, 1), remove(2, 3, { reference: three }), get(4, 5)],
      [],
    ],
    [
      'a tag of another manifest was deleted',
      'tag-lost',
      [
        put(0, 1),
        put(0, 1, { reference: 'other', value: two }),
        get(2, 3, { value: one }),
        remove(4, 5, { reference: 'other' }),
        get(6, 7),
      ],
      [],
    ],
    [
      'a tag that came to its manifest later was deleted before',
      'tag-lost',
      [
        put(0, 1),
        get(2, 3, { value: one }),
        remove(4, 5, { reference: 'other' }),
        get(6, 7),
        put(8, 9, { reference: 'other' }),
      ],
      [],
    ],
    ['garbage was collected', 'tag-lost', [put(0, 1), get(4, 5)], [collect(2, 3)]],
    [
      'garbage was collected while a manifest was deleted that it never had',
      'tag-lost',
      [put(0, 1), remove(2, 3, { reference: three }), get(4, 5)],
      [collect(2, 3)],
    ],
  ])('says what became of a tag: %s', (_, name, operations, suspects) => {
    const told = judged([...operations, ...suspects]).findings.filter(
      ({ reference }) => reference === 'latest',
    );
    expect(told.map(({ invariant }) => invariant)).toContain(name);
    const lost = told.filter(({ invariant }) => /^(sibling|tag-lost|stale)/.test(invariant));
    expect(lost.map(({ invariant, suspects }) => ({ invariant, suspects }))).toEqual([
      { invariant: name, suspects },
    ]);
  });
});

describe('the context of a finding', () => {
  const second = 1_000_000;
  const puts = (from: number, count: number, atUs: number): Operation[] =>
    Array.from({ length: count }, (_, at) =>
      put(atUs + 2 * at, atUs + 2 * at + 1, { value: digest(from + at) }),
    );
  const lost = get(5 * second, 5 * second + 1, { client: 1 });

  test('is the last pushes to its tag, from a second before it on', () => {
    const old = puts(10, 3, 0);
    const last = puts(20, 10, 4 * second);
    const other = put(4 * second, 5 * second, { reference: 'other', client: 2, value: digest(50) });
    const [finding] = judged([...old, ...last, other, lost]).findings;
    const shown = finding?.operations.filter(({ kind }) => kind === 'put-manifest') ?? [];
    const told = [...shown, ...(finding?.context ?? [])].map(({ value }) => value);
    expect(shown.map(({ value }) => value)).toEqual([last.at(-1)?.value]);
    expect(finding?.context).toHaveLength(8);
    expect(new Set(told).size).toBe(9);
    expect(last.map(({ value }) => value)).toEqual(expect.arrayContaining(told));
  });

  test('has the push of what was read, though the read alone shows it', () => {
    const back = [
      put(0, 1, { client: 1, value: one }),
      put(2, 3, { client: 2, value: two }),
      ...puts(20, 10, 4),
      get(100, 101, { client: 3, value: two }),
      get(102, 103, { client: 3, value: one }),
    ];
    const { findings } = judged(back);
    const stale = findings.find(({ invariant }) => invariant === 'monotonic-reads');
    const values = [...(stale?.operations ?? []), ...(stale?.context ?? [])]
      .filter(({ kind }) => kind === 'put-manifest')
      .map(({ value }) => value);
    expect(values).toEqual(expect.arrayContaining([one, two]));
  });

  test('is empty where it is not about a tag', () => {
    const { findings } = judged(LIES['blob-lost'][1]);
    expect(findings.map(({ context }) => context)).toEqual([[]]);
  });
});
