/** What a thread tells whoever watches it of its waits; see `contention.ts`. */

/** How a call waits: for its thread, or on an event loop; for a lock that it will share, or have alone. */
export interface WaitForm {
  readonly async: boolean;
  readonly shared: boolean;
}

/** One call that waits, while somebody watches. */
export interface Wait extends WaitForm {
  readonly watch: Watch;
  /** When the call began to wait, ns on `cpu.now()`. */
  readonly start: number;
  /** Of an asynchronous call: where it was made, not read yet. */
  readonly trace: { readonly stack?: unknown } | undefined;
  /** The object, or the word of the program's, that it waits for; 0 until it is known. */
  object: number;
  /** Who held that when the call went to sleep first: a CPU number plus one, or 0. */
  holder: number;
  slept: boolean;
}

/** Hears what one thread waits for, in one session of a profile. */
export interface Watch {
  readonly session: number;
  begin(object: number, form: WaitForm): Wait;
  /** `wait` is about to sleep, for the first time. */
  sleeps(wait: Wait): void;
  /** `outcome`: what the slow path came back with. */
  end(wait: Wait, outcome: unknown): void;
}
