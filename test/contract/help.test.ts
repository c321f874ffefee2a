import { describe, expect, test } from 'vitest';
import { commandModels } from '../../src/cli/command-model.ts';
import { commandHelp } from '../../src/cli/help-text.ts';
import { faultOf, invocationsIn } from '../support/invocations.ts';
import { loadConfig } from '../support/run-command.ts';

const config = await loadConfig();
const commands = commandModels(config);

describe.each(commands.map((command) => [command.words.join(' '), command] as const))(
  '%s',
  (name, command) => {
    const page = commandHelp(command, { bin: 'regops', width: 80, color: false });

    test('its summary is a short lowercase line without a full stop', () => {
      expect(command.summary.length).toBeLessThanOrEqual(80);
      expect(command.summary).toMatch(/^[a-z].*[^.]$/);
    });

    test('it has two examples or more, that it would take itself', () => {
      expect(command.examples.length).toBeGreaterThanOrEqual(2);
      for (const { command: line } of command.examples) {
        const calls = invocationsIn(line);
        expect(
          calls.some((words) => words.join(' ').startsWith(name)),
          line,
        ).toBe(true);
        for (const words of calls) expect(faultOf(words, config), line).toBeUndefined();
        expect(page).toContain(line);
      }
    });

    test('every flag says what it does', () => {
      for (const flag of command.flags) {
        expect(flag.description, flag.name).toMatch(/^[a-z"'].*[^.]$/);
        expect(page).toContain(`--${flag.negatable ? '[no-]' : ''}${flag.name}`);
      }
    });

    test('its help tells of exit codes and environment variables', () => {
      expect(page).toMatch(/^EXIT STATUS\n(.*\n)* {2}64 .*usage/m);
      expect(page).toMatch(/^ENVIRONMENT\n {2}REGOPS_/m);
      for (const code of ['0', '1', '65', '66', '69', '70', '75', '77', '78']) {
        expect(page).toMatch(new RegExp(`^ {2}${code} `, 'm'));
      }
      // Who takes credentials says where else they come from.
      if (command.flags.some((flag) => flag.name === 'password')) {
        for (const variable of ['DOCKER_AUTH_CONFIG', 'REGISTRY_AUTH_FILE', 'DOCKER_CONFIG', 'NO_PROXY']) {
          expect(page).toContain(variable);
        }
      }
    });
  },
);
