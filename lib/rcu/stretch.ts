/**
 * One thread's readers whose quiescent states are the ends of its synchronous stretches (QSBR). The first reader of a
 * stretch takes the thread online, and a microtask takes it offline again: when that runs, the stack is empty, so no reader
 * is inside. In between readers touch nothing that is shared.
 *
 * A thread that sleeps in a call of the library goes offline before, and stays so until its next reader. One that sleeps or
 * loops by other means stays online, and every period waits for it.
 */
import { HoldfastError } from '../errors.ts';
import { DETACHED } from '../sched/thread.ts';
import { enter, type Readers, SYNC } from './reader.ts';

export class Stretch {
  readonly readers: Readers;
  isOnline = false;
  /** Nesting of the readers. */
  depth = 0;
  /** The stretch is over, and a reader was still inside: the thread goes offline with it. */
  isOverdue = false;
  #isEndQueued = false;
  #hasWarned = false;

  constructor(readers: Readers) {
    this.readers = readers;
    readers.thread.hooks.add({ sleeping: () => void this.quiescent(), running: () => {} });
  }

  goOnline(): void {
    const { thread, cpu, sync } = this.readers;
    if (thread.self === DETACHED) throw new HoldfastError('EINVAL', 'this thread has detached from the arena');
    enter(cpu, sync);
    this.isOnline = true;
    if (this.#isEndQueued) return;
    this.#isEndQueued = true;
    // Half the price of queueMicrotask.
    void DONE.then(this.#end);
  }

  /** Goes offline, unless a reader is inside. Returns whether the thread is offline. */
  quiescent(): boolean {
    if (this.depth > 0) return false;
    if (!this.isOnline) return true;
    this.isOnline = false;
    this.isOverdue = false;
    this.readers.exit(SYNC);
    return true;
  }

  readonly #end = () => {
    this.#isEndQueued = false;
    if (this.quiescent()) return;
    this.isOverdue = true;
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    process.emitWarning(
      'a reader of RcuQsbr is held across an await: grace periods wait for this thread until it is out; readers that ' +
        'await need Rcu or Srcu',
      { type: 'HoldfastWarning', code: 'HOLDFAST_READER_ACROSS_AWAIT' },
    );
  };
}

const DONE = Promise.resolve();

const known = new WeakMap<Readers, Stretch>();

/** The same for all views of the domain on the calling thread. */
export function stretchOf(readers: Readers): Stretch {
  let stretch = known.get(readers);
  if (stretch === undefined) known.set(readers, (stretch = new Stretch(readers)));
  return stretch;
}
