/** The futex operations as programs to explore: threads that lock, sleep on and wake words next to the arena. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import { openFutexes } from '../../../../lib/futex/open.ts';
import { lockPi, requeuePi, unlockPi, waitRequeuePi } from '../../../../lib/futex/pi.ts';
import { countPiStates, reservePiState } from '../../../../lib/futex/pi-state.ts';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK } from '../../../../lib/futex/robust-list.ts';
import { Bucket, bucketOf, type Futexes, latchBucket } from '../../../../lib/futex/table.ts';
import { wait, waitAll } from '../../../../lib/futex/wait.ts';
import { MATCH_ANY, requeue, wake } from '../../../../lib/futex/wake.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { Heap } from '../../../../lib/memory/heap.ts';
import { block } from '../../../../lib/sched/drive.ts';
import { Slot, slotAddress } from '../../../../lib/sched/slot.ts';
import { Thread } from '../../../../lib/sched/thread.ts';
import { reserveNodes } from '../../../../lib/sched/vector.ts';
import { WaitList } from '../../../../lib/sched/wait-list.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { snapshot } from './holdfast.ts';
import { type Body, onObject } from './on-object.ts';

/** The size of an arena with a futex table, which alone takes 2,064 words. */
export const FUTEX_WORDS = 8192;
const words = FUTEX_WORDS;
const everybody = Number.POSITIVE_INFINITY;

/** Sleeps until the word at `address` has come up to `value`. */
export function sleepUntil(cpu: Cpu, futexes: Futexes, address: number, value: number, bitset = MATCH_ANY): void {
  for (let seen = cpu.loadAcquire(address); seen < value; seen = cpu.loadAcquire(address)) {
    const expected = seen;
    block(futexes.thread, undefined, (waiter) => wait(futexes, address, expected, bitset, waiter));
  }
}

/** FUTEX_WAIT and FUTEX_WAKE: waiters that are woken one at a time, each by the one before. */
export function wakeOne(waiters: number, spins: number, deaths = 1): Program {
  const waiter: Body<Futexes> = (cpu, _me, _arena, futexes, cell) => {
    sleepUntil(cpu, futexes, cell + 1, 1);
    if (cpu.read(cell) !== 1) throw new Error('the wait was over before the word had changed');
    wake(futexes, cell + 1, 1, MATCH_ANY);
  };
  const waker: Body<Futexes> = (cpu, _me, _arena, futexes, cell) => {
    cpu.write(cell, 1);
    cpu.storeRelease(cell + 1, 1);
    wake(futexes, cell + 1, 1, MATCH_ANY);
  };
  return onObject(openFutexes, [...Array<Body<Futexes>>(waiters).fill(waiter), waker], spins, {
    deaths,
    words,
    heir(cpu, died, arena, futexes, cell) {
      if (died === waiters && cpu.load(cell + 1) === 0) waker(cpu, died, arena, futexes, cell);
    },
  });
}

/** One that waits for a second word as soon as it has been woken for the first. */
export function wakeTwice(spins: number): Program {
  const waiter: Body<Futexes> = (cpu, _me, _arena, futexes, cell) => {
    sleepUntil(cpu, futexes, cell, 1);
    sleepUntil(cpu, futexes, cell + 1, 1);
  };
  const waker: Body<Futexes> = (cpu, _me, _arena, futexes, cell) => {
    for (const word of [cell, cell + 1]) {
      cpu.storeRelease(word, 1);
      wake(futexes, word, 1, MATCH_ANY);
    }
  };
  return onObject(openFutexes, [waiter, waker], spins, {
    words,
    heir(cpu, died, arena, futexes, cell) {
      if (died === 1 && cpu.load(cell + 1) === 0) waker(cpu, died, arena, futexes, cell);
    },
  });
}

/** A wake while somebody else has the bucket's latch for ever; `isExpected`: while somebody waits in the bucket. */
export function wakeNobody(isExpected: boolean): Program {
  const open = (arena: Arena, first?: Futexes) => {
    const futexes = openFutexes(arena);
    const bucket = bucketOf(futexes.table, words);
    if (first === undefined) latchBucket(futexes.thread, bucket);
    if (isExpected) arena.cpu.store(bucket + Bucket.waiting, 1);
    return futexes;
  };
  return onObject(open, [(_cpu, _me, _arena, futexes, word) => void wake(futexes, word, 1, MATCH_ANY)], 1, { words });
}

/** FUTEX_WAKE_BITSET: of two waiters the second must not be taken for the first, for whose change it does not wait. */
export function wakeByBit(spins: number): Program {
  const waiter: Body<Futexes> = (cpu, me, _arena, futexes, word) => sleepUntil(cpu, futexes, word, me + 1, me + 1);
  const waker: Body<Futexes> = (cpu, _me, _arena, futexes, word) => {
    for (const turn of [1, 2]) {
      cpu.storeRelease(word, turn);
      wake(futexes, word, 1, turn);
    }
  };
  return onObject(openFutexes, [waiter, waiter, waker], spins, {
    words,
    heir(cpu, died, _arena, futexes, word) {
      if (died !== 2 || cpu.load(word) === 2) return;
      cpu.storeRelease(word, 2);
      wake(futexes, word, everybody, MATCH_ANY);
    },
  });
}

/** FUTEX_REQUEUE, as a broadcast uses it: one is woken, which wakes the other where that waits then. */
export function requeueAll(spins: number, deaths = 1): Program {
  const waiter: Body<Futexes> = (cpu, _me, _arena, futexes, from) => {
    sleepUntil(cpu, futexes, from, 1);
    wake(futexes, from + 1, 1, MATCH_ANY);
  };
  const requeuer: Body<Futexes> = (cpu, _me, _arena, futexes, from) => {
    cpu.storeRelease(from, 1);
    requeue(futexes, from, 1, from + 1, everybody, undefined);
  };
  return onObject(openFutexes, [waiter, waiter, requeuer], spins, {
    deaths,
    words,
    heir(cpu, died, arena, futexes, from) {
      if (died === 2 && cpu.load(from) === 0) requeuer(cpu, died, arena, futexes, from);
    },
  });
}

/** FUTEX_CMP_REQUEUE next to a change of the word: whoever is told that it has changed has moved nobody. */
export function requeueUnlessChanged(spins: number): Program {
  const waiter: Body<Futexes> = (cpu, _me, _arena, futexes, from) => sleepUntil(cpu, futexes, from, 1);
  const requeuer: Body<Futexes> = (_cpu, _me, _arena, futexes, from) => {
    const moved = requeue(futexes, from, 0, from + 1, everybody, { word: from, value: 0 });
    if (moved !== 'changed') wake(futexes, from + 1, everybody, MATCH_ANY);
  };
  const waker: Body<Futexes> = (cpu, _me, _arena, futexes, from) => {
    cpu.storeRelease(from, 1);
    wake(futexes, from, everybody, MATCH_ANY);
  };
  return onObject(openFutexes, [waiter, requeuer, waker], spins, {
    words,
    heir(cpu, died, arena, futexes, from) {
      if (died === 1) wake(futexes, from + 1, everybody, MATCH_ANY);
      if (died === 2 && cpu.load(from) === 0) waker(cpu, died, arena, futexes, from);
    },
  });
}

/** futex_waitv(2): one waits for either of two words, which the others change; it leaves no node behind. */
export function waitForEither(wakers: number, spins: number, deaths = 1): Program {
  // The memory for nodes is there before: how it is taken is another program's.
  const open = (arena: Arena): Futexes => {
    const { thread } = arena;
    const waiter = { thread, task: thread.self, deadline: 0, async: false, aborted: false };
    reserveNodes(waiter, arena.heap, 2).next();
    return openFutexes(arena);
  };
  const waiter: Body<Futexes> = (cpu, _me, arena, futexes, cell) => {
    const either = [cell, cell + 1];
    while (either.every((word) => cpu.loadAcquire(word) === 0)) {
      const result = block(futexes.thread, undefined, (task) =>
        waitAll(
          futexes,
          arena.heap,
          either.map((word) => ({ word, value: 0 })),
          task,
        ),
      );
      if (typeof result === 'number' && result >= wakers) throw new Error(`woken by word ${result}`);
    }
  };
  const waker: Body<Futexes> = (cpu, me, _arena, futexes, cell) => {
    const word = cell + me - 1;
    cpu.storeRelease(word, 1);
    wake(futexes, word, 1, MATCH_ANY);
  };
  return onObject(open, [waiter, ...Array<Body<Futexes>>(wakers).fill(waker)], spins, {
    deaths,
    words,
    heir(cpu, died, arena, futexes, cell) {
      if (died > 0 && cpu.load(cell + died - 1) === 0) waker(cpu, died, arena, futexes, cell);
    },
    check({ read }, cell, [{ table }]) {
      const isQueued = [cell, cell + 1].some((word) => read(bucketOf(table, word) + WaitList.first) !== 0);
      if (isQueued) throw new Error('a node is in its bucket still');
    },
  });
}

/** Each thread locks a priority-inheriting word, counts, and unlocks. */
export function piLock(threads: number, spins: number, deaths = 1): Program {
  const body: Body<Futexes> = (cpu, _me, arena, futexes, word) => {
    if (lockPiWord(cpu, arena, futexes, word)) countInside(cpu, futexes, word);
  };
  return onObject(openFutexes, Array<Body<Futexes>>(threads).fill(body), spins, {
    deaths,
    words,
    settleSpins: 1,
    check: nothingLeaks,
  });
}

/**
 * WAIT_REQUEUE_PI and CMP_REQUEUE_PI: waiters for the word behind the lock's, and one that changes it while it holds the
 * lock and lets them wait for that. Each counts when it has the lock.
 */
export function requeuePiAll(waiters: number, spins: number, deaths = 1): Program {
  const waiter: Body<Futexes> = (cpu, _me, arena, futexes, lock) => {
    reservePiState(arena);
    const condition = lock + 2;
    const outcome = block(arena.thread, undefined, (one) => waitRequeuePi(futexes, condition, 0, lock, one));
    const isMine =
      outcome === 'changed' ? lockPiWord(cpu, arena, futexes, lock) : isLocked(cpu, futexes, lock, outcome);
    if (isMine) countInside(cpu, futexes, lock);
  };
  const mover: Body<Futexes> = (cpu, _me, arena, futexes, lock) => {
    if (!lockPiWord(cpu, arena, futexes, lock)) return;
    const condition = lock + 2;
    cpu.store(condition, 1);
    reservePiState(arena);
    const moved = requeuePi(futexes, condition, lock, everybody, 1);
    if (typeof moved !== 'number') throw new Error(`CMP_REQUEUE_PI: ${moved}`);
    countInside(cpu, futexes, lock);
  };
  return onObject(openFutexes, [...Array<Body<Futexes>>(waiters).fill(waiter), mover], spins, {
    deaths,
    words,
    settleSpins: 1,
    check: nothingLeaks,
    heir(cpu, died, arena, futexes, lock) {
      if (died !== waiters) return;
      // Nobody waits for the lock, so the word still names the dead: a robust list would say so.
      cpu.cmpxchg(lock, slotAddress(cpu, died) + Slot.mainTask, 0);
      mover(cpu, died, arena, futexes, lock);
    },
  });
}

function lockPiWord(cpu: Cpu, arena: Arena, futexes: Futexes, word: number): boolean {
  if (cpu.cmpxchgAcquire(word, 0, arena.thread.self) === 0) return true;
  reservePiState(arena);
  return isLocked(
    cpu,
    futexes,
    word,
    block(arena.thread, undefined, (waiter) => lockPi(futexes, word, waiter)),
  );
}

/** False for a word whose owner is dead: without a robust list nobody marks it before anybody waits. */
function isLocked(cpu: Cpu, { thread }: Futexes, word: number, outcome: string): boolean {
  if (outcome === 'no-owner') return false;
  if (outcome !== 'acquired') throw new Error(`LOCK_PI: ${outcome}`);
  if ((cpu.load(word) & FUTEX_TID_MASK) !== thread.self) throw new Error(`the word holds ${cpu.load(word)}`);
  cpu.fetchAndRelaxed(word, ~FUTEX_OWNER_DIED);
  return true;
}

/** Adds to the word behind the lock, which protects it, and unlocks. */
function countInside(cpu: Cpu, futexes: Futexes, lock: number): void {
  const { self } = futexes.thread;
  cpu.write(lock + 1, cpu.read(lock + 1) + 1);
  if (cpu.cmpxchgRelease(lock, self, 0) !== self) unlockPi(futexes, lock, self);
}

/** All blocks of the heap are the table, and states that are in their places. */
function nothingLeaks(memory: FinalMemory, _cell: number, [{ table }]: readonly [Futexes, ...Futexes[]]): void {
  const cpu = snapshot(memory, words);
  const { blocks } = new Heap(cpu, 1).use();
  const states = countPiStates({ thread: new Thread(cpu, 0), table });
  if (blocks !== 1 + states) throw new Error(`${blocks} blocks for the table and ${states} states`);
}
