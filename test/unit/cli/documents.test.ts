import { describe, expect, test } from 'vitest';
import { commandHelp, rootHelp, topicHelp } from '../../../src/cli/help-text.ts';
import { manPages, roff } from '../../../src/cli/man.ts';
import { commandReference, withReference } from '../../../src/cli/readme.ts';
import { commands } from './models.ts';

const drawing = { bin: 'regops', width: 60, color: false };
const topics = [{ name: 'config', summary: 'settings' }];
const pushTar = commands[1] as (typeof commands)[number];

describe('help', () => {
  test('of the program lists each command once, a topic with what is inside', () => {
    const text = rootHelp(commands, topics, 'Does things', drawing);
    expect(text).toContain('\n  config      settings (set)\n');
    expect(text).toContain('\n  push-tar    push archives');
    expect(text.match(/config {2}/g)?.length).toBe(1);
  });

  test('of a topic lists its commands only', () => {
    const text = topicHelp({ name: 'config', summary: 'settings' }, commands, drawing);
    expect(text).toContain('  config set  keep a default');
    expect(text).not.toContain('push-tar');
  });

  test('of a command has all its sections in order', () => {
    const text = commandHelp(pushTar, drawing);
    const titles = text.split('\n').filter((line) => /^[A-Z]/.test(line) && line === line.toUpperCase());
    expect(titles).toEqual([
      'USAGE',
      'ARGUMENTS',
      'FLAGS',
      'REGISTRY FLAGS',
      'OUTPUT FLAGS',
      'DESCRIPTION',
      'EXAMPLES',
      'ENVIRONMENT',
      'EXIT STATUS',
    ]);
    expect(text).toContain('  -t, --to REF...   about to\n');
    expect(text).toContain('      --[no-]cache  about cache\n');
    const unwrapped = text.replaceAll(/\s+/g, ' ');
    expect(unwrapped).toContain('about format (default: table)');
    expect(unwrapped).toContain('not for --to, --cache, --dry-run');
    expect(text).toContain('DOCKER_CONFIG');
  });

  test('no line but an example is wider than asked; none has spaces at its end', () => {
    for (const width of [50, 60, 100]) {
      const text = commandHelp({ ...pushTar, examples: [] }, { ...drawing, width });
      for (const line of text.split('\n')) {
        expect(line.length).toBeLessThanOrEqual(width);
        expect(line).toBe(line.trimEnd());
      }
    }
  });

  test('titles are bold in colour, and nothing else differs', () => {
    const colored = commandHelp(pushTar, { ...drawing, color: true });
    expect(colored.replaceAll(/\u001b\[\d+m/g, '')).toBe(commandHelp(pushTar, drawing));
    expect(colored).toContain('\u001b[1mUSAGE');
  });
});

describe('manual pages', () => {
  const pages = manPages('regops', 'Does things', commands);

  test('there is one for the program and one per command', () => {
    expect([...pages.keys()]).toEqual([
      'regops.1',
      'regops-config-set.1',
      'regops-push-tar.1',
      'regops-completion.1',
    ]);
  });

  test('have the sections of man-pages(7), in order, without a date', () => {
    const page = pages.get('regops-push-tar.1') ?? '';
    expect(page.match(/^\.SH .*$/gm)).toEqual([
      '.SH NAME',
      '.SH SYNOPSIS',
      '.SH DESCRIPTION',
      '.SH OPTIONS',
      '.SH EXAMPLES',
      '.SH ENVIRONMENT',
      '.SH "EXIT STATUS"',
      '.SH "SEE ALSO"',
    ]);
    expect(page.split('\n')[0]).toBe('.TH "REGOPS\\-PUSH\\-TAR" "1" "" "regops" "User Commands"');
    expect(page).toContain('\\fB\\-t\\fR, \\fB\\-\\-to\\fR \\fIREF\\fR ...');
    expect(page).toContain('[REGOPS_CERTS_DIR]');
  });

  test('every line that begins a request is one we meant', () => {
    for (const page of pages.values()) {
      for (const line of page.split('\n')) {
        if (/^[.']/.test(line)) expect(line).toMatch(/^\.(TH|nh|ad|SH|B|I|PP|TP|RS|RE|nf|fi)( |$)/);
      }
    }
  });

  test.each([
    ['a-b', 'a\\-b'],
    ['.x', '\\&.x'],
    ["it's", 'it\\(aqs'],
    ["'x", '\\(aqx'],
    ['a\\b', 'a\\eb'],
    ['a\n.b', 'a\n\\&.b'],
    ['"q" ~^`', '\\(dqq\\(dq \\(ti\\(ha\\(ga'],
  ])('roff reads %j as it is written', (text, written) => {
    expect(roff(text)).toBe(written);
  });
});

describe('the README', () => {
  const reference = commandReference('regops', commands);

  test('has every command with its own flags, and shared flags once', () => {
    expect(reference).toContain('### regops config set\n\nKeep a default.\n\n```\n$ regops config set KEY');
    expect(reference).toContain('  -t, --to REF...');
    expect(reference.match(/--format/g)?.length).toBe(1);
    expect(reference).toContain('--format table|json|nagios');
    expect(reference).toContain('### Output flags\n\nOf every command.');
    expect(reference).toContain('### Registry flags\n\nOf push-tar.');
  });

  test('is changed between its markers only, and the same again the second time', () => {
    const text = 'before\n<!-- commands -->\nold\n<!-- commandsstop -->\nafter\n';
    const once = withReference(text, reference) ?? '';
    expect(once.startsWith('before\n<!-- commands -->\n\n### regops config set')).toBe(true);
    expect(once.endsWith('\n<!-- commandsstop -->\nafter\n')).toBe(true);
    expect(once).not.toContain('old');
    expect(withReference(once, reference)).toBe(once);
  });

  test.each(['', '<!-- commands -->', '<!-- commandsstop --> <!-- commands -->'])(
    'without markers in their order there is nothing to change: %j',
    (text) => {
      expect(withReference(text, reference)).toBeUndefined();
    },
  );
});
