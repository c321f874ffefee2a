import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { AlertCommand } from '../../../src/cli/alert-command.ts';
import { useTempFolder } from '../../support/temp-folder.ts';

const folder = useTempFolder();

function alertCommand(command: string, environment: NodeJS.ProcessEnv = {}) {
  const warnings: string[] = [];
  const log = {
    info: () => {},
    trace: () => {},
    warn: (text: string) => void warnings.push(text),
    hint: () => {},
  };
  const path = process.env['PATH'];
  return {
    warnings,
    alerts: new AlertCommand(command, { log, environment: { PATH: path, ...environment } }),
  };
}

test('gets each event as a line of JSON, one after the other, in order', async () => {
  const { alerts, warnings } = alertCommand(`cat >> "$FILE"; echo ended >> "$FILE"`, {
    FILE: folder('told'),
  });
  for (const number of [1, 2, 3]) alerts.tell({ type: 'alert', number });
  await alerts.settled();
  const line = (number: number) => `{"type":"alert","number":${number}}\nended\n`;
  expect(await readFile(folder('told'), 'utf8')).toBe([1, 2, 3].map(line).join(''));
  expect(warnings).toEqual([]);
});

test('what it prints is not the answer', async () => {
  const { alerts } = alertCommand('cat > "$FILE" && echo said', { FILE: folder('told') });
  const write = process.stdout.write;
  let said = '';
  process.stdout.write = ((text: string) => {
    said += text;
    return true;
  }) as typeof write;
  try {
    alerts.tell({ type: 'alert' });
    await alerts.settled();
  } finally {
    process.stdout.write = write;
  }
  expect(said).toBe('');
  expect(await readFile(folder('told'), 'utf8')).toBe('{"type":"alert"}\n');
});

test.each([
  ['exit 4', 'exit code 4'],
  ['kill -TERM $$', 'SIGTERM'],
  ['no-such-command-here 2>/dev/null', 'exit code 127'],
])('%s is a warning, and the next event is told all the same', async (command, end) => {
  const { alerts, warnings } = alertCommand(command);
  alerts.tell({ type: 'alert' });
  alerts.tell({ type: 'finding' });
  await alerts.settled();
  const warning = `--on-alert: the command ended with ${end}`;
  expect(warnings).toEqual([warning, warning]);
});

test('one that does not read what it is told is no problem', async () => {
  const { alerts, warnings } = alertCommand('true');
  alerts.tell({ text: 'x'.repeat(1024 * 1024) });
  await alerts.settled();
  expect(warnings).toEqual([]);
});
