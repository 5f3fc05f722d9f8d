/** The pthread objects as programs to explore. */

import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import { ObjectHeader } from '../../../../lib/memory/objects.ts';
import { BarrierWords, PthreadBarrier } from '../../../../lib/pthread/barrier.ts';
import { PthreadCond } from '../../../../lib/pthread/cond.ts';
import { PthreadMutex } from '../../../../lib/pthread/mutex/mutex.ts';
import { PthreadOnce } from '../../../../lib/pthread/once.ts';
import { PthreadSem, SemWords } from '../../../../lib/pthread/sem.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { FUTEX_WORDS } from './futex.ts';
import { type Body, onObject } from './on-object.ts';
import { type Counted, givenOut } from './sleeping-locks.ts';

const words = FUTEX_WORDS;

function lock(mutex: PthreadMutex): void {
  mutex.lock();
  if (mutex.ownerDied) mutex.makeConsistent();
}

/** Each thread locks the mutex, twice if that is allowed, and counts. */
export function mutex(type: 'normal' | 'recursive', threads: number, spins: number, deaths = 1): Program {
  const body: Body<PthreadMutex> = (cpu, _me, _arena, mutex, cell) => {
    lock(mutex);
    if (type === 'recursive') mutex.lock();
    cpu.write(cell, cpu.read(cell) + 1);
    if (type === 'recursive') mutex.unlock();
    mutex.unlock();
  };
  const open = (arena: Arena, first?: PthreadMutex) => new PthreadMutex(arena, first?.handle, { type });
  return onObject(open, Array<Body<PthreadMutex>>(threads).fill(body), spins, { words, deaths });
}

/** Consumers that wait for what the last thread makes; one that is signalled signals the next. */
export function cond(how: 'signal' | 'broadcast', consumers: number, spins: number, deaths = 1): Program {
  type Pair = { mutex: PthreadMutex; cond: PthreadCond };
  const open = (arena: Arena, first?: Pair): Pair => ({
    mutex: new PthreadMutex(arena, first?.mutex.handle),
    cond: new PthreadCond(arena, first?.cond.handle),
  });
  const consumer: Body<Pair> = (cpu, _me, _arena, { mutex, cond }, cell) => {
    lock(mutex);
    while (cpu.read(cell) === 0) {
      cond.wait(mutex);
      if (mutex.ownerDied) mutex.makeConsistent();
    }
    if (how === 'signal') cond.signal();
    mutex.unlock();
  };
  const producer: Body<Pair> = (cpu, _me, _arena, { mutex, cond }, cell) => {
    lock(mutex);
    const isMade = cpu.read(cell) === 1;
    cpu.write(cell, 1);
    mutex.unlock();
    if (!isMade) cond[how]();
  };
  return onObject(open, [...Array<Body<Pair>>(consumers).fill(consumer), producer], spins, {
    deaths,
    words,
    heir(cpu, died, arena, pair, cell) {
      if (died === consumers) producer(cpu, died, arena, pair, cell);
      // The dead thread may have been about to signal.
      pair.cond[how]();
    },
  });
}

/** The thread that passes the barrier first destroys it, and writes over its words: no other touches them any more. */
export function barrier(threads: number, spins: number, isDestroyed: boolean, deaths = 1): Program {
  const { words: own } = BarrierWords;
  const body: Body<PthreadBarrier> = (cpu, me, _arena, shared, cell) => {
    // A thread remembers which objects it has destroyed; a replay, which starts from nothing, must not.
    const barrier = isDestroyed ? open(new Arena(new Place(cpu, me, { spins })), shared) : shared;
    cpu.write(cell + me, 1);
    barrier.wait();
    for (let other = 0; other < threads; other++) {
      if (!isDestroyed) break;
      if (cpu.read(cell + other) !== 1) throw new Error('passed before all had come');
    }
    if (!isDestroyed || cpu.xchg(cell + threads, 1) === 1) return;
    barrier.destroy();
    for (let word = ObjectHeader.words; word < own; word++) cpu.write(barrier.address + word, -1);
  };
  const open = (arena: Arena, first?: PthreadBarrier) => new PthreadBarrier(arena, first?.handle, { count: threads });
  return onObject(open, Array<Body<PthreadBarrier>>(threads).fill(body), spins, {
    deaths,
    words,
    heir(cpu, _died, _arena, barrier) {
      if (cpu.load(barrier.address + BarrierWords.round) === 0) barrier.wait();
    },
  });
}

const FAILED = new Error('the routine failed');

/** Each thread calls a routine that fails the first time it runs. */
export function once(threads: number, spins: number, deaths = 1): Program {
  const body: Body<PthreadOnce> = (cpu, _me, _arena, once, cell) => {
    const routine = () => {
      const runs = cpu.read(cell);
      cpu.write(cell, runs + 1);
      if (runs === 0) throw FAILED;
    };
    try {
      once.call(routine);
    } catch (error) {
      if (error !== FAILED) throw error;
      once.call(routine);
    }
    if (cpu.read(cell) < 2) throw new Error('the routine has not run to its end');
  };
  const open = (arena: Arena, first?: PthreadOnce) => new PthreadOnce(arena, first?.handle);
  return onObject(open, Array<Body<PthreadOnce>>(threads).fill(body), spins, { words, deaths });
}

export function sem(waiters: number, spins: number): Program {
  const open = (arena: Arena, first?: PthreadSem & Counted) => {
    const view = new PthreadSem(arena, first?.handle);
    return Object.assign(view, { take: () => view.wait(), give: () => view.post() });
  };
  return givenOut(open, waiters, spins, { offset: SemWords.value, unit: 1 }, words);
}
