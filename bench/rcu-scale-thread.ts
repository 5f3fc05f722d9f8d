/** One thread of `rcu-scale.ts`: does one thing until its time is up, and returns to its event loop now and then. */
import { setImmediate, setTimeout } from 'node:timers/promises';
import {
  Arena,
  type ArenaHandle,
  AtomicInt,
  KmemCache,
  type ObjectHandle,
  Rcu,
  RcuQsbr,
  RwSemaphore,
  Srcu,
} from '../lib/index.ts';

export type ScaleWork =
  | 'Rcu'
  | 'RcuQsbr'
  | 'Srcu'
  | 'RwSemaphore'
  | 'AtomicInt'
  | 'idle'
  | 'synchronize'
  | 'synchronizeExpedited'
  | 'polled'
  | 'slab, kfree'
  | 'heap, kfree'
  | 'heap, free';

export interface ScaleTask {
  readonly work: ScaleWork;
  readonly arena: ArenaHandle;
  /** The object that all threads use: an `Srcu`, a lock, a counter. */
  readonly shared: ObjectHandle;
  readonly milliseconds: number;
}

export interface ScaleTotals {
  /** How often the thread did it. */
  readonly times: number;
  /** The median of how long one took, ns; 0 where one is too short to be timed. */
  readonly median: number;
}

const BATCH = 2000;
const WORDS = 16;
/** What is so long that each is timed. */
const LONG: readonly ScaleWork[] = ['synchronize', 'synchronizeExpedited', 'polled'];

export default async function scale(task: ScaleTask): Promise<ScaleTotals> {
  const arena = Arena.attach(task.arena);
  const isLong = LONG.includes(task.work);
  const run = works[task.work](arena, task.shared);
  const durations: number[] = [];
  let times = 0;
  for (const end = performance.now() + task.milliseconds; performance.now() < end; ) {
    const started = arena.cpu.now();
    const count = isLong ? 1 : BATCH;
    run(count);
    times += count;
    if (isLong) durations.push(arena.cpu.now() - started);
    if (task.work === 'idle') await setTimeout(task.milliseconds);
    else if (!isLong || times % 10 === 0) await setImmediate();
  }
  await new Rcu(arena).barrierAsync();
  arena.detach();
  return { times, median: durations.sort((a, b) => a - b)[durations.length >> 1] ?? 0 };
}

type Run = (count: number) => void;

/** Each has a function of its own, so that none runs in code that V8 has made for another. */
const works: Record<ScaleWork, (arena: Arena, shared: ObjectHandle) => Run> = {
  Rcu(arena) {
    const rcu = new Rcu(arena);
    return (count) => {
      for (let i = 0; i < count; i++) {
        rcu.readLock();
        rcu.readUnlock();
      }
    };
  },
  RcuQsbr(arena) {
    const rcu = new RcuQsbr(arena);
    return (count) => {
      for (let i = 0; i < count; i++) {
        rcu.readLock();
        rcu.readUnlock();
      }
    };
  },
  Srcu(arena, shared) {
    const rcu = Srcu.from(arena, shared);
    return (count) => {
      for (let i = 0; i < count; i++) rcu.readUnlock(rcu.readLock());
    };
  },
  RwSemaphore(arena, shared) {
    const lock = RwSemaphore.from(arena, shared);
    return (count) => {
      for (let i = 0; i < count; i++) {
        lock.downRead();
        lock.upRead();
      }
    };
  },
  AtomicInt(arena, shared) {
    const references = AtomicInt.from(arena, shared);
    return (count) => {
      for (let i = 0; i < count; i++) {
        references.inc();
        references.dec();
      }
    };
  },
  /** Has read, and waits for its event loop. */
  idle(arena) {
    const rcu = new Rcu(arena);
    return () => {
      rcu.readLock();
      rcu.readUnlock();
    };
  },
  synchronize(arena) {
    const rcu = new Rcu(arena);
    return () => rcu.synchronize();
  },
  synchronizeExpedited(arena) {
    const rcu = new Rcu(arena);
    return () => rcu.synchronizeExpedited();
  },
  polled(arena) {
    const rcu = new Rcu(arena);
    return () => {
      const cookie = rcu.startPoll();
      while (!rcu.pollState(cookie)) arena.cpu.relax();
    };
  },
  'slab, kfree'(arena) {
    const rcu = new Rcu(arena);
    const cache = new KmemCache(arena, 'scale', { words: WORDS, rcu });
    return (count) => {
      for (let i = 0; i < count; i++) rcu.kfree(cache.alloc());
    };
  },
  'heap, kfree'(arena) {
    const rcu = new Rcu(arena);
    return (count) => {
      for (let i = 0; i < count; i++) rcu.kfree(arena.alloc(WORDS));
    };
  },
  'heap, free'(arena) {
    return (count) => {
      for (let i = 0; i < count; i++) arena.free(arena.alloc(WORDS));
    };
  },
};
