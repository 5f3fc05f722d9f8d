/** Futex operations on several words at once, and robust lists, as programs to explore. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import { openFutexes } from '../../../../lib/futex/open.ts';
import {
  FUTEX_OWNER_DIED,
  FUTEX_TID_MASK,
  FUTEX_WAITERS,
  RobustList,
  RobustListHead,
} from '../../../../lib/futex/robust-list.ts';
import type { Futexes } from '../../../../lib/futex/table.ts';
import { wait } from '../../../../lib/futex/wait.ts';
import { MATCH_ANY, requeue, wake, wakeOp } from '../../../../lib/futex/wake.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { block } from '../../../../lib/sched/drive.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { FUTEX_WORDS, sleepUntil } from './futex.ts';
import { type Body, onObject } from './on-object.ts';

const words = FUTEX_WORDS;
const everybody = Number.POSITIVE_INFINITY;

/** FUTEX_WAKE_OP, as a condition's signal uses it: it changes the second word, and wakes those that wait for either. */
export function wakeBoth(spins: number): Program {
  const waiter =
    (offset: number): Body<Futexes> =>
    (cpu, _me, _arena, futexes, cell) =>
      sleepUntil(cpu, futexes, cell + offset, 1);
  const waker: Body<Futexes> = (cpu, _me, _arena, futexes, cell) => {
    cpu.storeRelease(cell, 1);
    wakeOp(futexes, cell, 1, cell + 1, 1, { op: 'set', arg: 1, cmp: 'eq', cmpArg: 0 });
  };
  return onObject(openFutexes, [waiter(0), waiter(1), waker], spins, {
    words,
    heir(cpu, died, arena, futexes, cell) {
      if (died === 2 && cpu.load(cell + 1) === 0) waker(cpu, died, arena, futexes, cell);
    },
  });
}

/** Two that let each other's waiters wait for their own word, at the same time: each then wakes all at both. */
export function oppositeRequeues(spins: number, deaths = 1): Program {
  const waiter: Body<Futexes> = (cpu, me, _arena, futexes, cell) => sleepUntil(cpu, futexes, cell + me, 1);
  const mover: Body<Futexes> = (cpu, me, _arena, futexes, cell) => {
    const [from, to] = me === 2 ? [cell, cell + 1] : [cell + 1, cell];
    requeue(futexes, from, 0, to, everybody, undefined);
    cpu.storeRelease(from, 1);
    for (const word of [from, to]) wake(futexes, word, everybody, MATCH_ANY);
  };
  return onObject(openFutexes, [waiter, waiter, mover, mover], spins, {
    deaths,
    words,
    heir(cpu, died, arena, futexes, cell) {
      if (died > 1) mover(cpu, died, arena, futexes, cell);
    },
  });
}

interface Robust {
  futexes: Futexes;
  /** The futex word, in the arena, and what it protects. */
  word: number;
  /** The thread's head, and behind it its one entry. */
  head: number;
}

const PRIVATE_WORDS = RobustListHead.words + 1;

/** A robust mutex of the program's own, on raw words: who dies inside leaves it to the next, who is told. */
export function robustWords(threads: number, spins: number, deaths = 1): Program {
  const open = (arena: Arena, first?: Robust): Robust => {
    const { cpu, heap, thread } = arena;
    // A place for each thread, and for the reaper.
    const word = first?.word ?? heap.alloc(2 + (threads + 1) * PRIVATE_WORDS, thread.nascent);
    if (first === undefined) for (let i = 0; i < 2 + (threads + 1) * PRIVATE_WORDS; i++) cpu.write(word + i, 0);
    cpu.store(thread.nascent, 0);
    const head = word + 2 + thread.number * PRIVATE_WORDS;
    cpu.store(head + RobustListHead.next, head);
    cpu.store(head + RobustListHead.offset, word - entryOf(head));
    cpu.store(thread.slot + RobustList.head, head);
    return { futexes: openFutexes(arena), word, head };
  };
  const body: Body<Robust> = (cpu, _me, _arena, robust) => {
    lockRobust(cpu, robust);
    cpu.write(robust.word + 1, cpu.read(robust.word + 1) + 1);
    unlockRobust(cpu, robust);
  };
  return onObject(open, Array<Body<Robust>>(threads).fill(body), spins, {
    deaths,
    words,
    settleSpins: 1,
    check({ read, died }, _cell, [{ word }]) {
      const count = read(word + 1);
      if (count > threads || count < threads - died.length) throw new Error(`${count} of ${threads} counts`);
      const left = read(word) & ~FUTEX_OWNER_DIED & ~FUTEX_WAITERS;
      if (left !== 0) throw new Error(`the word names ${left} still`);
    },
  });
}

const entryOf = (head: number) => head + RobustListHead.words;

function lockRobust(cpu: Cpu, { futexes, word, head }: Robust): void {
  const { self } = futexes.thread;
  const entry = entryOf(head);
  cpu.store(head + RobustListHead.pending, entry);
  // Somebody else may sleep still, so who has slept says so.
  for (let mine = self; ; mine = self | FUTEX_WAITERS) {
    const seen = cpu.load(word);
    if ((seen & FUTEX_TID_MASK) === 0) {
      if (cpu.cmpxchgAcquire(word, seen, (seen & FUTEX_WAITERS) | mine) === seen) break;
      continue;
    }
    const marked = seen | FUTEX_WAITERS;
    if (seen !== marked && cpu.cmpxchgRelaxed(word, seen, marked) !== seen) continue;
    block(futexes.thread, undefined, (waiter) => wait(futexes, word, marked, MATCH_ANY, waiter));
  }
  cpu.store(entry, head);
  cpu.store(head + RobustListHead.next, entry);
  cpu.store(head + RobustListHead.pending, 0);
}

function unlockRobust(cpu: Cpu, { futexes, word, head }: Robust): void {
  cpu.store(head + RobustListHead.pending, entryOf(head));
  cpu.store(head + RobustListHead.next, head);
  if (cpu.xchgRelease(word, 0) & FUTEX_WAITERS) wake(futexes, word, 1, MATCH_ANY);
  cpu.store(head + RobustListHead.pending, 0);
}
