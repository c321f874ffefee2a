import { execFile } from 'node:child_process';
import { lstat, mkdir, open, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HistoryDecoder, HistoryEncoder, readHistory } from '../../../../../src/history/index.ts';
import { HistoryFile } from '../../../../../src/jobs/torture/verdict/history-file.ts';
import { type Call, type Ending, Recorder } from '../../../../../src/jobs/torture/verdict/record.ts';
import { digestOf } from '../../../../../src/oci/index.ts';
import { useTempFolder } from '../../../../support/temp-folder.ts';

const folder = useTempFolder();

const DIGEST = digestOf(Buffer.from('a manifest'));
const PUT: Omit<Call, 'callUs'> = { kind: 'put-manifest', client: 0, repository: 'r', reference: 't' };
const GET: Omit<Call, 'callUs'> = { ...PUT, kind: 'get-manifest', client: 1 };
const DONE: Ending = { outcome: 'ok', status: 201, value: DIGEST };
const FOUND: Ending = { outcome: 'ok', status: 200, value: DIGEST };

function record() {
  const lines: string[] = [];
  const recorder = new Recorder(
    {},
    { encoder: new HistoryEncoder(), write: (text) => void lines.push(text) },
  );
  onTestFinished(() => recorder.stop());
  return { recorder, lines };
}

describe('the recorder', () => {
  test('stamps calls and returns on one clock, in whole microseconds', () => {
    const { recorder } = record();
    const call = recorder.begin(PUT);
    const put = recorder.end(call, DONE);
    const get = recorder.end(recorder.begin(GET), FOUND);
    for (const us of [put.callUs, put.returnUs, get.callUs]) expect(us).toSatisfy(Number.isInteger);
    expect(put.returnUs).toBeGreaterThanOrEqual(put.callUs);
    expect(get.callUs).toBeGreaterThanOrEqual(put.returnUs);
    expect(recorder.durationMs).toBe(get.returnUs / 1000);
  });

  test('says nothing is complete that began before what is still open', async () => {
    const { recorder, lines } = record();
    const open = recorder.begin(PUT);
    const late = recorder.end(recorder.begin(GET), FOUND);
    recorder.close('elsewhere');
    const put = recorder.end(open, DONE);
    recorder.close('r');
    const judgement = recorder.finish();
    expect(judgement).toMatchObject({ operations: 2, findings: [], level: 'linearizable', late: 0 });
    const decoder = new HistoryDecoder('test');
    const entries = [];
    const text = new HistoryEncoder().header({}) + lines.join('');
    for await (const some of readHistory([Buffer.from(text)], decoder)) entries.push(...some);
    const first = entries.findIndex((entry) => entry.type === 'mark' && entry.knownUs > put.callUs);
    const written = entries.findIndex((entry) => entry.type === 'operation' && entry.operation.client === 0);
    expect(first).toBeGreaterThan(written);
    expect(late.callUs).toBeGreaterThanOrEqual(put.callUs);
  });

  test('counts an operation that was given up as one that may still happen', () => {
    const { recorder } = record();
    recorder.end(recorder.begin(PUT), { ...DONE, outcome: 'unknown', status: 0 });
    recorder.end(recorder.begin(GET), { ...FOUND, status: 404, value: null });
    recorder.end(recorder.begin(GET), FOUND);
    expect(recorder.finish()).toMatchObject({ findings: [], level: 'linearizable' });
  });
});

describe('a history file', () => {
  test('is in its place when it is whole, and not before', async () => {
    const path = folder('new/run.history');
    const file = await HistoryFile.create(path, { seed: 7 });
    file.write('["m",5]\n');
    expect((await readdir(dirname(path))).filter((name) => !name.startsWith('.regops'))).toEqual([]);
    await file.finish();
    expect(await readdir(dirname(path))).toEqual(['run.history']);
    expect(await readFile(path, 'utf8')).toBe('{"format":"regops-history","version":1,"seed":7}\n["m",5]\n');
  });

  test('leaves nothing when it is thrown away', async () => {
    const path = folder('gone/run.history');
    const file = await HistoryFile.create(path, {});
    file.write('["m",5]\n');
    await file.discard();
    expect(await readdir(dirname(path))).toEqual([]);
  });

  test('is written to what is no file, which stays what it is', async () => {
    const pipe = folder('pipe');
    await promisify(execFile)('mkfifo', [pipe]);
    const [file, reader] = await Promise.all([HistoryFile.create(pipe, {}), open(pipe)]);
    file.write('["m",5]\n');
    await file.finish();
    expect((await reader.readFile('utf8')).split('\n')[1]).toBe('["m",5]');
    await reader.close();
    expect((await stat(pipe)).isFIFO()).toBe(true);
  });

  test('is written where a link leads', async () => {
    const [link, path] = [folder('link'), folder('where/run.history')];
    await mkdir(dirname(path));
    await writeFile(path, 'of the run before');
    await symlink(path, link);
    await (await HistoryFile.create(link, { seed: 7 })).finish();
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readFile(path, 'utf8')).toContain('"seed":7');
    expect(await readdir(dirname(path))).toEqual(['run.history']);
  });

  test('that cannot be written is told', async () => {
    await writeFile(folder('a-file'), '');
    await expect(HistoryFile.create(folder('a-file/run.history'), {})).rejects.toMatchObject({
      code: 'OUTPUT_FAILED',
    });
    const path = folder('is-a-folder');
    const inside = await HistoryFile.create(`${path}/x`, {});
    await inside.finish();
    const file = await HistoryFile.create(path, {});
    await expect(file.finish()).rejects.toMatchObject({ code: 'OUTPUT_FAILED' });
  });
});
