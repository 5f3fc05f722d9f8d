/** What a room does when the thread's synchronous code goes to sleep voluntarily, and when it goes on. */
export interface SleepHook {
  /**
   * The main task `task` is about to sleep: it says SLEEPING, and may be woken already. The hook must not sleep, and must
   * not change the task's state.
   */
  sleeping(task: number): void;
  /** The task runs again. Once for each `sleeping`. */
  running(task: number): void;
}

const nothing = () => {};

/**
 * The hooks of one thread. There is one object of fixed shape, whoever listens: `schedule` calls two functions, which do
 * nothing to begin with. (RCU: a voluntary sleep is a context switch; a workqueue: another worker may run meanwhile.)
 */
export class SleepHooks {
  /** Calls the hooks in the order in which they were added. */
  sleeping: (task: number) => void = nothing;
  /** Calls them in reverse order. */
  running: (task: number) => void = nothing;
  #all: readonly SleepHook[] = [];

  /** Returns what takes the hook out again; neither is called while the thread sleeps. */
  add(hook: SleepHook): () => void {
    this.#set([...this.#all, hook]);
    return () => this.#set(this.#all.filter((other) => other !== hook));
  }

  #set(all: readonly SleepHook[]): void {
    this.#all = all;
    const reversed = all.toReversed();
    this.sleeping = all.length === 0 ? nothing : (task) => all.forEach((hook) => void hook.sleeping(task));
    this.running = all.length === 0 ? nothing : (task) => reversed.forEach((hook) => void hook.running(task));
  }
}
