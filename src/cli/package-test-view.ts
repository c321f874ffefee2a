import { escapeText } from '../base/index.ts';
import type { RemoteTest } from '../jobs/package-test/remote/index.ts';
import type { Display, Progress } from '../progress/index.ts';

/** What is seen of tests while they are waited for: on a terminal how many are in each state, else a line for each. */
export class TestStates {
  readonly #display: Display;
  readonly #states = new Map<string, string>();
  /** Tests have no bytes to draw bars of: on a terminal the states stand in their place. */
  readonly progress: Progress;

  constructor(display: Display) {
    this.#display = display;
    this.progress = display.panel([]) ? withoutBars(display) : display;
  }

  /** A test as it is now. */
  take({ id, state, verdict: { outcome } }: RemoteTest): void {
    if (id === undefined) return;
    const isOpen = outcome === 'pending' || outcome === 'submitted';
    this.#states.set(id, isOpen ? (state ?? 'PENDING') : outcome);
    const counts = Map.groupBy(this.#states.values(), (name) => name);
    const shown = [...counts].map(([name, members]) => `${escapeText(name)} ${members.length}`);
    this.#display.panel([shown.join('   ')]);
  }

  /** Takes the view down. */
  end(): void {
    this.#display.panel([]);
  }
}

function withoutBars(display: Display): Progress {
  return {
    phase: (text) => display.phase(text),
    expect() {},
    task: (label) => ({
      advance() {},
      total() {},
      end: (outcome) => display.line(`${escapeText(outcome)} ${escapeText(label)}`),
    }),
    close: () => display.close(),
  };
}
