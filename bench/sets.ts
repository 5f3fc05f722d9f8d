/**
 * Sets of locks, taken in any order: 16 threads, each taking random sets out of 2,047 locks (as many as in the kernel's
 * test-ww_mutex.c), against what a user does without WwMutex: find out all locks first, and take them in one order.
 */
import { setTimeout } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { Arena, Mutex, type ObjectHandle, WwClass, WwMutex, type WwPolicy } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { SetTask, SetTotals } from './sets-thread.ts';

const THREADS = 16;
const LOCKS = 2047;
/** When no set has ended for so long, ms, those that have begun never will. */
const STUCK_MS = 20_000;

export async function sets(figures: Figures, { rounds, milliseconds }: Effort): Promise<void> {
  const scenario = `sets of ${LOCKS} locks, ${THREADS} threads`;
  const contests = [
    contest('wound-wait', wwMutexes('wound-wait')),
    contest('wait-die', wwMutexes('wait-die')),
    contest('Mutexes, in order', (arena) => Array.from({ length: LOCKS }, () => new Mutex(arena).handle)),
  ];
  for (const { run } of contests) await run(milliseconds / 5);
  for (let round = 0; round < rounds; round++) {
    for (const { peer, run } of contests) {
      const { sets, backOffs, longest, unended } = await run(milliseconds);
      figures.add(scenario, peer, 'k/s', sets / milliseconds);
      figures.add(scenario, peer, 'back-offs/set', backOffs / sets);
      figures.add(scenario, peer, 'ms', longest);
      figures.add(scenario, peer, 'unended', unended);
      if (unended > 0) return;
    }
  }
}

function wwMutexes(policy: WwPolicy) {
  return (arena: Arena) => {
    const wwClass = new WwClass(arena, 'sets', { policy });
    return Array.from({ length: LOCKS }, () => new WwMutex(wwClass).handle);
  };
}

function contest(peer: SetTask['peer'], make: (arena: Arena) => ObjectHandle[]) {
  const arena = Arena.create({ bytes: 4 << 20 });
  const pool = new Piscina({
    filename: new URL('./sets-thread.js', import.meta.url).href,
    minThreads: THREADS,
    maxThreads: THREADS,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
  });
  const task = { peer, arena: arena.handle, locks: make(arena), progress: arena.alloc(2), taken: arena.alloc(LOCKS) };
  return { peer, run: (milliseconds: number) => once(pool, arena, { ...task, milliseconds }) };
}

async function once(pool: Piscina, { words }: Arena, task: SetTask) {
  const { progress, taken } = task;
  words.fill(0, taken, taken + LOCKS);
  words.fill(0, progress, progress + 2);
  const total: SetTotals = { sets: 0, locks: 0, backOffs: 0, longest: 0 };
  const runs = Array.from({ length: THREADS }, async (_, thread) => {
    const { sets, locks, backOffs, longest }: SetTotals = await pool.run({ ...task, seed: thread + 1 });
    total.sets += sets;
    total.locks += locks;
    total.backOffs += backOffs;
    total.longest = Math.max(total.longest, longest);
  });
  const over = new AbortController();
  await Promise.race([Promise.all(runs).finally(() => over.abort()), stuck(words, progress, over.signal)]);
  const unended = Atomics.load(words, progress) - Atomics.load(words, progress + 1);
  const counted = words.subarray(taken, taken + LOCKS).reduce((sum, count) => sum + count, 0);
  if (unended === 0 && counted !== total.locks) {
    throw new Error(`${task.peer} let two in at once: ${total.locks} locks taken, ${counted} counted`);
  }
  return { ...total, unended };
}

/** Resolves when sets have begun and none has ended for STUCK_MS, or when it is all over. */
async function stuck(words: Int32Array, progress: number, over: AbortSignal): Promise<void> {
  for (let before = -1; !over.aborted; ) {
    await setTimeout(STUCK_MS, undefined, { signal: over }).catch(() => {});
    const ended = Atomics.load(words, progress + 1);
    if (ended === before && Atomics.load(words, progress) > ended) return;
    before = ended;
  }
}
