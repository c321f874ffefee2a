/** What is still to begin: announced by `expect`, used up task by task. */
export class Outlook {
  #tasks = 0;
  #bytes = 0;

  /** Tasks still to begin. */
  get tasks(): number {
    return this.#tasks;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  expect(tasks: number, bytes: number): void {
    this.#tasks += tasks;
    this.#bytes += bytes;
  }

  /** One of the expected tasks begins, with this size. */
  begin(bytes: number): void {
    if (this.#tasks === 0) return;
    this.#tasks--;
    this.#bytes = this.#tasks === 0 ? 0 : Math.max(0, this.#bytes - bytes);
  }
}
