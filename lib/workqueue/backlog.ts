/** How many of its calls a thread has under way in one workqueue, and the callers that wait until there are fewer. */
export class Backlog {
  #count = 0;
  /** Called when a call has come back. */
  readonly #waiters = new Set<() => void>();

  begin(): void {
    this.#count++;
  }

  end(): void {
    this.#count--;
    this.#tell();
  }

  /** The thread has detached: none comes back any more. */
  forget(): void {
    this.#count = 0;
    this.#tell();
  }

  /** Resolves once fewer than `limit` are under way. Several that wait go on together. */
  async below(limit: number): Promise<void> {
    while (this.#count >= limit) {
      await new Promise<void>((resolve) => {
        const tell = () => {
          this.#waiters.delete(tell);
          resolve();
        };
        this.#waiters.add(tell);
      });
    }
  }

  #tell(): void {
    for (const tell of this.#waiters) tell();
  }
}
