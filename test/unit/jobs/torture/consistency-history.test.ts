import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../../../src/jobs/torture/consistency/index.ts';
import { TagHistory } from '../../../../src/jobs/torture/consistency/tag-history.ts';
import { digestOf } from '../../../../src/oci/index.ts';

const [one, two] = [digestOf('one'), digestOf('two')];

/** A reply between these two moments. */
function reply(fromMs: number, toMs: number): Evidence {
  return {
    ...{ request: 'GET /v2/a/manifests/t', status: 200, headers: {} },
    at: new Date(fromMs).toISOString(),
    durationMs: toMs - fromMs,
  };
}

function tagsPushed(history: TagHistory, fromMs: number, toMs: number): readonly string[] {
  return history.pushesDuring('a', reply(fromMs, toMs)).map(({ tag }) => tag);
}

describe('a push shows', () => {
  test('in a tag that moved, between the two readings', () => {
    const history = new TagHistory();
    history.listed('a', ['t'], 0);
    history.resolved('a', 't', one, reply(10, 20));
    expect(tagsPushed(history, 0, 1000)).toEqual([]);
    history.resolved('a', 't', two, reply(100, 110));
    expect(history.leadsTo('a', 't', two)).toBe(true);
    expect(tagsPushed(history, 50, 60)).toEqual(['t']);
    expect(tagsPushed(history, 105, 200)).toEqual(['t']);
    expect(tagsPushed(history, 0, 9)).toEqual([]);
    expect(tagsPushed(history, 111, 200)).toEqual([]);
  });

  test('in a tag that an earlier list did not have', () => {
    const history = new TagHistory();
    history.listed('a', ['t'], 10);
    history.listed('a', ['t', 'new'], 100);
    expect(history.restless('a')).toEqual(['t', 'new']);
    history.resolved('a', 't', one, reply(110, 120));
    history.resolved('a', 'new', one, reply(110, 120));
    expect(history.restless('a')).toEqual(['new']);
    expect(tagsPushed(history, 50, 60)).toEqual(['new']);
  });

  test('in a tag that went and came back', () => {
    const history = new TagHistory();
    history.listed('a', ['t'], 0);
    history.resolved('a', 't', one, reply(1, 2));
    history.listed('a', [], 10);
    history.listed('a', ['t'], 20);
    history.resolved('a', 't', one, reply(21, 22));
    expect(tagsPushed(history, 15, 15)).toEqual(['t']);
    expect(tagsPushed(history, 5, 5)).toEqual([]);
  });

  test('in every tag of a repository that is new since all were listed', () => {
    const history = new TagHistory();
    history.complete(10);
    history.listed('a', ['t'], 100);
    history.resolved('a', 't', one, reply(110, 120));
    expect(tagsPushed(history, 50, 60)).toEqual(['t']);
  });

  test('not when there was no room to remember what there was', () => {
    const history = new TagHistory(1);
    history.listed('a', ['t', 'u'], 0);
    history.complete(10);
    history.listed('a', ['t'], 100);
    history.resolved('a', 't', one, reply(110, 120));
    expect(tagsPushed(history, 50, 60)).toEqual([]);
  });
});

test('only the latest pushes are remembered', () => {
  const history = new TagHistory();
  history.listed('a', ['t'], 0);
  for (let at = 0; at < 500; at++) history.resolved('a', 't', at % 2 ? one : two, reply(at, at));
  expect(tagsPushed(history, 0, 500)).toHaveLength(100);
  expect(tagsPushed(history, 499, 500)).not.toEqual([]);
});
