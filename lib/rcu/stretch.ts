/**
 * One thread's readers whose quiescent states are the ends of its synchronous stretches (QSBR). The first reader of a
 * stretch takes the thread online, and a microtask takes it offline again: when that runs, the stack is empty, so no reader
 * is inside. In between readers touch nothing that is shared.
 *
 * A thread that sleeps in a call of the library goes offline before, and stays so until its next reader. One that sleeps or
 * loops by other means stays online, and every period waits for it.
 */
import { HoldfastError } from '../errors.ts';
import { setTimeout } from '../machine/host.ts';
import { afterStretch } from '../sched/event-loop.ts';
import { DETACHED } from '../sched/thread.ts';
import { type Caller, enter, type Readers, SYNC } from './reader.ts';

export const OFFLINE = -1;
/** Of `depth`: online, and outside of readers, which are checked, or heard of by an observer; 2 stands for 1 then, and so on. */
export const WATCHED = -2;
/** How often a thread looks whether a reader is out at last that it should not have held across an await, ms. */
const OVERDUE_MS = 1;

export class Stretch {
  readonly readers: Readers;
  /** Nesting of the readers; OFFLINE before the first of a stretch. */
  depth = OFFLINE;
  /** How often the thread has gone online: what a reader has found is there while this is the same. */
  visits = 0;
  #isWatched = false;
  #isEndQueued = false;
  #hasWarned = false;

  constructor(readers: Readers) {
    this.readers = readers;
    this.settle();
    readers.thread.observations.add(() => this.settle());
    readers.thread.hooks.add({ sleeping: () => void this.quiescent(), running: () => {} });
  }

  /** A reader goes in, the first of a stretch, inside another, or one that is checked. */
  nest(by: Caller): void {
    if (this.depth === OFFLINE) this.goOnline();
    if (this.depth === WATCHED) {
      this.readers.checks?.entering(SYNC, by);
      this.depth = 1;
    }
    this.depth++;
  }

  /** A reader goes out that is inside another, or is checked. Throws EPERM if there is none. */
  unnest(): void {
    if (this.depth <= 0) throw new HoldfastError('EPERM', 'readUnlock() without a readLock() of this thread');
    this.depth--;
    if (this.depth > 1 || !this.#isWatched) return;
    this.depth = WATCHED;
    if (this.readers.checks?.strict) this.quiescent();
  }

  /** What watches the readers may have changed. */
  settle(): void {
    const { checks, thread } = this.readers;
    const isWatched = checks !== undefined || thread.observer !== undefined;
    if (isWatched === this.#isWatched) return;
    this.#isWatched = isWatched;
    if (this.depth === OFFLINE) return;
    if (isWatched) this.depth = this.depth === 0 ? WATCHED : this.depth + 1;
    else this.depth = this.depth === WATCHED ? 0 : this.depth - 1;
  }

  goOnline(): void {
    const { thread, cpu, sync } = this.readers;
    if (thread.self === DETACHED) throw new HoldfastError('EINVAL', 'this thread has detached from the arena');
    enter(cpu, sync);
    this.depth = this.#isWatched ? WATCHED : 0;
    this.visits++;
    if (this.#isEndQueued) return;
    this.#isEndQueued = true;
    afterStretch(this.#end);
  }

  /** Goes offline, unless a reader is inside. Returns whether the thread is offline. */
  quiescent(): boolean {
    if (this.depth > 0) return false;
    if (this.depth === OFFLINE) return true;
    this.depth = OFFLINE;
    this.readers.exit(SYNC);
    return true;
  }

  readonly #end = () => {
    this.#isEndQueued = false;
    if (this.quiescent()) return;
    // A reader is inside: the thread goes offline when it is out, or a little later.
    this.#isEndQueued = true;
    setTimeout(this.#end, OVERDUE_MS).unref();
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    process.emitWarning(
      'a reader of RcuQsbr is held across an await: grace periods wait for this thread until it is out; readers that ' +
        'await need Rcu or Srcu',
      { type: 'HoldfastWarning', code: 'HOLDFAST_READER_ACROSS_AWAIT' },
    );
  };
}

const known = new WeakMap<Readers, Stretch>();

/** The same for all views of the domain on the calling thread. */
export function stretchOf(readers: Readers): Stretch {
  const stretch = known.get(readers);
  if (stretch !== undefined) return stretch;
  const made = new Stretch(readers);
  known.set(readers, made);
  // Its line may be another thread's from then on.
  readers.thread.ends.add(() => (made.depth = OFFLINE));
  return made;
}
