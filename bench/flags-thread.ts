/** One thread of `flags.ts`: reads the table until its time is up, and returns to its event loop every few thousand reads. */
import { setImmediate } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import { Arena, type ArenaHandle, Rcu, RcuQsbr, RwSemaphore } from '../lib/index.ts';

export interface FlagTask {
  readonly peer: 'unprotected' | 'RcuQsbr' | 'Rcu' | 'RwSemaphore' | 'postMessage';
  readonly arena: ArenaHandle;
  /** The word that points to the current version of the table. */
  readonly current: number;
  readonly milliseconds: number;
  /** For `postMessage`: versions come by it, and `first` is the first. */
  readonly port: MessagePort;
  readonly first: readonly number[];
}

export interface FlagTotals {
  readonly reads: number;
  /** Reads that found words of two versions. */
  readonly torn: number;
}

export const TABLE_WORDS = 4;
/** Reads in a turn of the event loop. */
const BATCH = 5_000;

/** Makes that many reads; how many were torn. */
type ReadBatch = (count: number) => number;

export default async function readFlags(task: FlagTask): Promise<FlagTotals> {
  const arena = Arena.attach(task.arena);
  const readBatch = readers[task.peer](arena, task);
  let torn = 0;
  let reads = 0;
  for (const end = performance.now() + task.milliseconds; performance.now() < end; reads += BATCH) {
    torn += readBatch(BATCH);
    await setImmediate();
  }
  task.port.close();
  // Nothing of this thread's waits in the arena any more.
  arena.detach();
  return { reads, torn };
}

/** Each peer has a function of its own, so that none runs in code that V8 has made for another. */
const readers: Record<FlagTask['peer'], (arena: Arena, task: FlagTask) => ReadBatch> = {
  unprotected(arena, { current }) {
    const { words } = arena;
    // The load that readers make, and nothing else.
    const rcu = new Rcu(arena);
    return (count) => {
      let torn = 0;
      for (let i = 0; i < count; i++) {
        const at = rcu.dereference(current);
        if (words[at] !== words[at + TABLE_WORDS - 1]) torn++;
      }
      return torn;
    };
  },
  RcuQsbr(arena, { current }) {
    const { words } = arena;
    const rcu = new RcuQsbr(arena);
    return (count) => {
      let torn = 0;
      for (let i = 0; i < count; i++) {
        rcu.readLock();
        const at = rcu.dereference(current);
        if (words[at] !== words[at + TABLE_WORDS - 1]) torn++;
        rcu.readUnlock();
      }
      return torn;
    };
  },
  Rcu(arena, { current }) {
    const { words } = arena;
    const rcu = new Rcu(arena);
    return (count) => {
      let torn = 0;
      for (let i = 0; i < count; i++) {
        rcu.readLock();
        const at = rcu.dereference(current);
        if (words[at] !== words[at + TABLE_WORDS - 1]) torn++;
        rcu.readUnlock();
      }
      return torn;
    };
  },
  RwSemaphore(arena, { current }) {
    const { words } = arena;
    const semaphore = new RwSemaphore(arena, 'flags');
    return (count) => {
      let torn = 0;
      for (let i = 0; i < count; i++) {
        semaphore.downRead();
        const at = Atomics.load(words, current);
        if (words[at] !== words[at + TABLE_WORDS - 1]) torn++;
        semaphore.upRead();
      }
      return torn;
    };
  },
  postMessage(_arena, { port, first }) {
    let table = first;
    port.on('message', (next: readonly number[]) => (table = next));
    return (count) => {
      let torn = 0;
      for (let i = 0; i < count; i++) if (table[0] !== table[TABLE_WORDS - 1]) torn++;
      return torn;
    };
  },
};
