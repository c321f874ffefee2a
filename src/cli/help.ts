import { HelpBase } from '@oclif/core/help';
import { wantsColor } from './color.ts';
import { type CommandModel, commandModel, commandModels } from './command-model.ts';
import { commandHelp, type HelpDrawing, rootHelp, topicHelp } from './help-text.ts';
import { unknownCommand } from './unknown-command.ts';

/** Lines longer than this are hard to read, however wide the terminal is. */
const MAX_WIDTH = 100;

/** Shows the page that `regops [COMMAND] --help` asks for; oclif finds this class through package.json. */
export default class RegopsHelp extends HelpBase {
  async showHelp(argv: string[]): Promise<void> {
    process.stdout.write(this.#page(argv));
  }

  async showCommandHelp(command: Parameters<HelpBase['showCommandHelp']>[0]): Promise<void> {
    process.stdout.write(commandHelp(commandModel(command, this.config.bin), this.#drawing));
  }

  #page(argv: readonly string[]): string {
    const words = argv.slice(0, firstFlag(argv));
    const commands: readonly CommandModel[] = commandModels(this.config);
    const command = commands
      .filter((one) => one.words.every((word, index) => words[index] === word))
      .toSorted((a, b) => b.words.length - a.words.length)[0];
    if (command) return commandHelp(command, this.#drawing);
    const topics = this.config.topics.map(({ name, description }) => ({ name, summary: description ?? '' }));
    if (words.length === 0) {
      return rootHelp(commands, topics, this.config.pjson.description ?? '', this.#drawing);
    }
    const topic = topics.find(({ name }) => words.length === 1 && name === words[0]);
    if (topic) return topicHelp(topic, commands, this.#drawing);
    throw unknownCommand(words.join(':'), this.config);
  }

  get #drawing(): HelpDrawing {
    const { stdout } = process;
    return {
      bin: this.config.bin,
      width: Math.min(stdout.columns || 80, MAX_WIDTH),
      color: wantsColor(stdout, process.env),
    };
  }
}

function firstFlag(argv: readonly string[]): number {
  const at = argv.findIndex((word) => word.startsWith('-'));
  return at === -1 ? argv.length : at;
}
