import { randomUUID } from 'node:crypto';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { silentLog } from '../../../../src/base/index.ts';
import { type LedgerEntry, TaskLedger } from '../../../../src/jobs/package-test/remote/index.ts';
import { useTempFolder } from '../../../support/temp-folder.ts';
import { recordingLog } from '../support.ts';

const folder = useTempFolder();

const entryAt = (minute: number, more: Partial<LedgerEntry> = {}): LedgerEntry => ({
  id: randomUUID(),
  scheduler: 'https://alts.example.com/',
  package: 'curl',
  distribution: 'debian:12',
  architecture: 'amd64',
  submittedAt: new Date(Date.UTC(2030, 0, 1, 0, minute)).toISOString(),
  ...more,
});

test('remembers tests, the newest first, for another process too', async () => {
  const ledger = new TaskLedger(folder('state', 'tests'), silentLog);
  expect(await ledger.list()).toEqual([]);
  const entries = [entryAt(2), entryAt(3, { version: '1' }), entryAt(1)];
  for (const entry of entries) await ledger.keep(entry);
  await ledger.keep({ ...(entries[2] as LedgerEntry), state: 'SUCCESS', outcome: 'passed' });
  const other = new TaskLedger(folder('state', 'tests'), silentLog);
  expect(await other.list()).toEqual([
    entries[1],
    entries[0],
    { ...entries[2], state: 'SUCCESS', outcome: 'passed' },
  ]);
  expect(await other.find(entries[0]?.id as string)).toEqual(entries[0]);
  expect(await other.find(randomUUID())).toBeUndefined();
});

test('keeps what many write at once, in files that only their owner may read', async () => {
  const entries = Array.from({ length: 50 }, (_, at) => entryAt(at));
  await Promise.all(
    entries.flatMap((entry) => [
      new TaskLedger(folder('tests'), silentLog).keep(entry),
      new TaskLedger(folder('tests'), silentLog).keep({ ...entry, state: 'STARTED' }),
    ]),
  );
  expect(await new TaskLedger(folder('tests'), silentLog).list()).toHaveLength(50);
  const names = await readdir(folder('tests'));
  expect(names).toHaveLength(50);
  for (const name of names) expect((await stat(folder('tests', name))).mode & 0o777).toBe(0o600);
  expect((await stat(folder('tests'))).mode & 0o777).toBe(0o700);
});

test('passes over what is damaged, not its own, or too large', async () => {
  const log = recordingLog();
  const ledger = new TaskLedger(folder('tests'), log);
  const good = entryAt(1);
  await ledger.keep(good);
  const ids = Array.from({ length: 4 }, () => randomUUID());
  const contents = [
    '{',
    '[]',
    JSON.stringify(entryAt(1)),
    JSON.stringify({ ...entryAt(1), id: ids[3] }).padEnd(20_000),
  ];
  for (const [at, content] of contents.entries())
    await writeFile(folder('tests', `${ids[at]}.json`), content);
  await writeFile(folder('tests', 'README'), 'x');
  await mkdir(folder('tests', 'a.json'));
  expect(await ledger.list()).toEqual([good]);
  expect(log.warnings).toEqual([]);
  expect(log.traces.length).toBeGreaterThan(0);
});

test('warns once where it cannot write, and lets the work go on', async () => {
  await writeFile(folder('file'), '');
  const log = recordingLog();
  const ledger = new TaskLedger(folder('file', 'tests'), log);
  await ledger.keep(entryAt(1));
  await ledger.keep(entryAt(2));
  expect(log.warnings).toHaveLength(1);
  await ledger.trim();
});

test('forgets the oldest when there are too many', async () => {
  await mkdir(folder('tests'));
  const entries = Array.from({ length: 5003 }, (_, at) => entryAt(at));
  for (const entry of entries) await writeFile(folder('tests', `${entry.id}.json`), JSON.stringify(entry));
  const ledger = new TaskLedger(folder('tests'), silentLog);
  await ledger.trim();
  expect(await readdir(folder('tests'))).toHaveLength(5000);
  expect(await ledger.find(entries[2]?.id as string)).toBeUndefined();
  expect(await ledger.find(entries[3]?.id as string)).toEqual(entries[3]);
});
