/** One thread of `sets.ts`: takes random sets of locks until its time is up. */
import { Arena, type ArenaHandle, Mutex, type ObjectHandle, WwClass, WwMutex, type WwPolicy } from '../lib/index.ts';
import { work } from './work.ts';

export interface SetTask {
  readonly peer: WwPolicy | 'Mutexes, in order';
  readonly arena: ArenaHandle;
  readonly locks: readonly ObjectHandle[];
  /** Two words: how many sets have begun, and how many have ended. */
  readonly progress: number;
  /** A word for each lock, counted up under it by plain accesses. */
  readonly taken: number;
  readonly milliseconds: number;
}

export interface SetTotals {
  sets: number;
  locks: number;
  /** Of sets that were taken in the end. */
  backOffs: number;
  /** From the first lock asked for to the last one had, ms. */
  longest: number;
}

/** The most locks in a set. */
const LARGEST = 64;

/** Takes a set, runs the section, lets go. How often it had to back off. */
type Take = (set: ReadonlySet<number>, section: () => void) => number;

export default function takeSets(task: SetTask & { seed: number }): SetTotals {
  const { progress, taken, milliseconds, locks } = task;
  const arena = Arena.attach(task.arena);
  const { words } = arena;
  const take = opened.get(task.arena.buffer) ?? open(arena, task);
  opened.set(task.arena.buffer, take);
  const totals: SetTotals = { sets: 0, locks: 0, backOffs: 0, longest: 0 };
  let random = task.seed;
  const draw = (below: number) => {
    random = work(1, random);
    return ((random >>> 16) * below) >>> 16;
  };
  for (const end = performance.now() + milliseconds; performance.now() < end; totals.sets++) {
    const set = new Set(Array.from({ length: 1 + draw(LARGEST) }, () => draw(locks.length)));
    Atomics.add(words, progress, 1);
    const asked = performance.now();
    totals.backOffs += take(set, () => {
      totals.longest = Math.max(totals.longest, performance.now() - asked);
      for (const lock of set) words[taken + lock] = (words[taken + lock] as number) + 1;
    });
    Atomics.add(words, progress + 1, 1);
    totals.locks += set.size;
  }
  return totals;
}

/** Opening 2,047 locks takes a while, so they stay open from round to round. */
const opened = new Map<SharedArrayBuffer, Take>();

function open(arena: Arena, { peer, locks }: SetTask): Take {
  if (peer === 'Mutexes, in order') {
    const mutexes = locks.map((handle) => new Mutex(arena, handle));
    return (set, section) => {
      const inOrder = [...set].sort((a, b) => a - b).map((lock) => mutexes[lock] as Mutex);
      for (const mutex of inOrder) mutex.lock();
      section();
      for (const mutex of inOrder) mutex.unlock();
      return 0;
    };
  }
  const wwClass = new WwClass(arena, 'sets', { policy: peer });
  const mutexes = locks.map((handle) => new WwMutex(wwClass, handle));
  return (set, section) => {
    const context = wwClass.begin();
    context.acquireAll([...set].map((lock) => mutexes[lock] as WwMutex));
    section();
    context.release();
    return context.backOffs;
  };
}
