import { readFile, stat } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { RegopsError } from '../../../src/base/index.ts';
import { readAnswer } from '../../support/json-answer.ts';
import { useTempFolder } from '../../support/temp-folder.ts';
import { parseXml } from '../../support/xml.ts';
import { probe } from './probe.ts';

const folder = useTempFolder();

/** The events of an ndjson text and the answer on its last line, checked against its schema. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into any event
function readLines(text: string): { events: any[]; answer: any } {
  expect(text.endsWith('\n')).toBe(true);
  const lines = text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line));
  const { type, ...answer } = lines.at(-1);
  expect(type).toBe('result');
  return { events: lines.slice(0, -1), answer: readAnswer(JSON.stringify(answer)) };
}

const eventful: NonNullable<Parameters<typeof probe>[1]>['body'] = async ({ context }) => {
  context.event({ type: 'sample', at: 'x\ny\u202e' });
  context.event({ type: 'finding', name: 'a' });
  return { result: { done: true }, report: { summary: 'all done', checks: [] } };
};

describe('ndjson', () => {
  test('is a line for each event, then the answer', async () => {
    const run = await probe(['--format', 'ndjson'], { body: eventful });
    const { events, answer } = readLines(run.stdout);
    expect(events).toEqual([
      { type: 'sample', at: 'x\ny\u202e' },
      { type: 'finding', name: 'a' },
    ]);
    expect(run.stdout).not.toContain('\u202e');
    expect(answer).toMatchObject({ ok: true, exitCode: 0, result: { done: true } });
  });

  test('says an event when it happens, on stdout or in the file', async () => {
    const path = folder('new', 'events.ndjson');
    let seen = '';
    const run = await probe(['--format', 'ndjson', '--output', path], {
      body: async (input) => {
        const outcome = await eventful(input);
        seen = await readFile(path, 'utf8');
        return outcome;
      },
    });
    expect(seen.trim().split('\n')).toHaveLength(2);
    expect(run).toMatchObject({ exitCode: 0, stdout: 'all done\n' });
    const text = await readFile(path, 'utf8');
    expect(text.startsWith(seen)).toBe(true);
    expect(readLines(text).answer.result).toEqual({ done: true });
    expect((await stat(path)).mode & 0o777).toBe(0o644);
  });

  test('a file that cannot be opened is known before the work', async () => {
    let worked = false;
    const run = await probe(['--format', 'ndjson', '--output', folder()], {
      body: async () => {
        worked = true;
        return { result: {}, report: {} };
      },
    });
    expect(run.exitCode).toBe(73);
    expect(worked).toBe(false);
    expect(readLines(run.stdout).answer.error.code).toBe('OUTPUT_FAILED');
  });

  test('a file that is full loses no answer', async () => {
    const run = await probe(['--format', 'ndjson', '--output', '/dev/full'], { body: eventful });
    expect(run.exitCode).toBe(73);
    expect(run.stderr).toContain('events are lost: cannot write /dev/full');
    expect(readLines(run.stdout).answer).toMatchObject({
      result: { done: true },
      warnings: [expect.stringContaining('events are lost')],
    });
  });

  test('what stops the work ends it with the answer, and so does a usage error', async () => {
    const failed = await probe(['--format', 'ndjson'], {
      body: async ({ context }) => {
        context.event({ type: 'sample' });
        throw new RegopsError('CONNECTION_FAILED', 'it went away');
      },
    });
    expect(failed.exitCode).toBe(69);
    expect(readLines(failed.stdout)).toMatchObject({
      events: [{ type: 'sample' }],
      answer: { error: { code: 'CONNECTION_FAILED' } },
    });
    const usage = await probe(['--format', 'ndjson', '--nonsense']);
    expect(usage.exitCode).toBe(64);
    expect(readLines(usage.stdout).answer.error.code).toBe('USAGE');
  });

  test.each(['table', 'json', 'junit'])('%s has no events', async (format) => {
    const run = await probe(['--format', format], { body: eventful });
    expect(run.stdout).not.toContain('finding');
  });
});

describe('prometheus', () => {
  const metrics = (value: number) => ({ metrics: [{ name: 'size_bytes', help: 'Size.', value }] });

  test('replaces the file at each sample and at the end', async () => {
    const path = folder('regops.prom');
    const seen: string[] = [];
    const run = await probe(['--format', 'prometheus', '--output', path], {
      body: async ({ context }) => {
        for (const value of [1, 2]) {
          await context.sample(metrics(value));
          seen.push(await readFile(path, 'utf8'));
        }
        return { result: {}, report: { ...metrics(3), summary: 'done' }, exitCode: 1 };
      },
    });
    expect(run).toMatchObject({ exitCode: 1, stdout: 'done\n' });
    seen.push(await readFile(path, 'utf8'));
    expect(seen.map((text) => /^regops_size_bytes (\d)$/m.exec(text)?.[1])).toEqual(['1', '2', '3']);
    expect(seen.map((text) => /^regops_run_success.* (\d)$/m.exec(text)?.[1])).toEqual(['1', '1', '0']);
  });

  test('says at each of them what its numbers are of, and also where there is nothing but a failure', async () => {
    const path = folder('labelled.prom');
    let sampled = '';
    await probe(['--format', 'prometheus', '--output', path], {
      body: async ({ context }) => {
        context.label('registry', 'r:5000');
        await context.sample(metrics(1));
        sampled = await readFile(path, 'utf8');
        throw new RegopsError('CONNECTION_FAILED', 'gone');
      },
    });
    expect(sampled).toContain('regops_size_bytes{registry="r:5000"} 1\n');
    expect(await readFile(path, 'utf8')).toMatch(/^regops_run_success\{registry="r:5000",command=".*"\} 0$/m);
  });

  test('samples that nobody waits for neither pile up nor come after the end', async () => {
    const path = folder('regops.prom');
    await probe(['--format', 'prometheus', '--output', path], {
      body: async ({ context }) => {
        for (let value = 0; value < 200; value++) void context.sample(metrics(value));
        return { result: {}, report: metrics(1000) };
      },
    });
    await wait(50);
    expect(await readFile(path, 'utf8')).toContain('regops_size_bytes 1000\n');
  });

  test('a file that cannot be written is a warning while the work goes on', async () => {
    const run = await probe(['--format', 'prometheus', '--output', folder()], {
      body: async ({ context }) => {
        await context.sample(metrics(1));
        await context.sample(metrics(2));
        return { result: {}, report: metrics(3) };
      },
    });
    expect(run.exitCode).toBe(73);
    expect(run.stdout).toContain('regops_size_bytes 3\n');
    expect(run.stderr.match(/warning: cannot write/g)).toHaveLength(1);
  });

  test('on stdout there is one answer', async () => {
    const run = await probe(['--format', 'prometheus'], {
      body: async ({ context }) => {
        await context.sample(metrics(1));
        return { result: {}, report: metrics(2) };
      },
    });
    expect(run.stdout.match(/^regops_size_bytes .*$/gm)).toEqual(['regops_size_bytes 2']);
  });
});

describe('documents', () => {
  const found = async () => ({
    result: {},
    exitCode: 1 as const,
    report: { checks: [{ name: 'blobs', status: 'fail' as const, message: 'one is missing' }] },
  });

  test('junit and html say what was found, with the exit code of all formats', async () => {
    const junit = await probe(['--format', 'junit'], { body: found });
    expect(junit.exitCode).toBe(1);
    expect(parseXml(junit.stdout).attributes).toMatchObject({
      name: 'regops probe',
      tests: '1',
      failures: '1',
    });
    const html = await probe(['--format', 'html'], { body: found });
    expect(html.exitCode).toBe(1);
    expect(html.stdout).toMatch(/^<!doctype html>[\s\S]*Problem found[\s\S]*one is missing/);
  });

  test('a usage error is a junit error; a page nobody asked for is not made', async () => {
    const junit = await probe(['--format', 'junit', '--nonsense']);
    expect(junit.exitCode).toBe(64);
    expect(parseXml(junit.stdout).attributes).toMatchObject({ errors: '1' });
    const html = await probe(['--format', 'html', '--nonsense']);
    expect(html).toMatchObject({ exitCode: 64, stdout: '' });
  });

  test('a secret of the flags is in none of them', async () => {
    for (const format of ['junit', 'html', 'ndjson', 'prometheus']) {
      const run = await probe(['--format', format, '--token', 'geheim123'], {
        body: async () => {
          throw new RegopsError('AUTHENTICATION_FAILED', 'refused: geheim123', { hints: ['not geheim123'] });
        },
      });
      expect(run.exitCode).toBe(77);
      expect(run.stdout + run.stderr).not.toContain('geheim123');
    }
  });
});
