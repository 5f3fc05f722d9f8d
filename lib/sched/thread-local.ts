import type { Thread } from './thread.ts';

/** What a room remembers of each thread that this JavaScript thread is, in its own memory: nobody else can see it. */
export class ThreadLocal<Value> {
  readonly #values = new WeakMap<Thread, Value>();
  readonly #make: (thread: Thread) => Value;

  constructor(make: (thread: Thread) => Value) {
    this.#make = make;
  }

  of(thread: Thread): Value {
    let value = this.#values.get(thread);
    if (value === undefined) {
      value = this.#make(thread);
      this.#values.set(thread, value);
    }
    return value;
  }
}
