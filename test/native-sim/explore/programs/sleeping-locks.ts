/** Sleeping locks and queues as programs to explore: threads that hold, wait for and wake, and may die. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import { Completion } from '../../../../lib/locking/completion.ts';
import { Semaphore } from '../../../../lib/locking/semaphore/semaphore.ts';
import { PERMIT, SemaphoreWords, VACANT } from '../../../../lib/locking/semaphore/words.ts';
import { WaitQueue } from '../../../../lib/locking/wait-queue.ts';
import { Grant } from '../../../../lib/sched/grant.ts';
import { Slot, slotAddress } from '../../../../lib/sched/slot.ts';
import { Task } from '../../../../lib/sched/task.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { type Body, onObject } from './on-object.ts';

/** Each thread takes the one permit, with a guard or without, and counts. */
export function permits(guards: readonly boolean[], spins: number, deaths = 1): Program {
  const bodies = guards.map(
    (guard): Body<Semaphore> =>
      (cpu, _me, _arena, semaphore, cell) => {
        const held = guard ? semaphore.acquire() : undefined;
        if (held === undefined) semaphore.down();
        cpu.write(cell, cpu.read(cell) + 1);
        if (held === undefined) semaphore.up();
        else held.release();
      },
  );
  return onObject((arena, first) => new Semaphore(arena, first?.handle), bodies, spins, { remembers: true, deaths });
}

/**
 * A permit that a guard has left in the seat. Threads with a guard take it and give it back, once or twice; those without take
 * it out of there, or only try to (-1). Nobody loses it, or has it twice, unless one dies that took it without a guard.
 */
export function seat(guards: readonly (-1 | 0 | 1 | 2)[], spins: number, deaths = 1): Program {
  const bodies = guards.map(
    (times): Body<Semaphore> =>
      (cpu, _me, _arena, semaphore, cell) => {
        const count = () => cpu.write(cell, cpu.read(cell) + 1);
        for (let i = 0; i < times; i++) {
          const held = semaphore.acquire();
          count();
          held.release();
        }
        if (times > 0) return;
        if (times === 0) semaphore.down();
        else if (!semaphore.tryDown()) return;
        count();
        semaphore.up();
      },
  );
  const open = (arena: Arena, first?: Semaphore) => {
    const semaphore = new Semaphore(arena, first?.handle);
    if (first === undefined) semaphore.acquire().release();
    return semaphore;
  };
  return onObject(open, bodies, spins, {
    deaths,
    remembers: true,
    check({ read, died }, _cell, [{ address }]) {
      if (died.some((thread) => (guards[thread] as number) <= 0)) return;
      const [count, kept] = [read(address + SemaphoreWords.count), read(address + SemaphoreWords.seat)];
      if (count / PERMIT + (kept & VACANT ? 1 : 0) !== 1 || kept & ~VACANT) {
        throw new Error(`one permit in the end: count ${count}, seat ${kept}`);
      }
    },
  });
}

/** What can be waited for, once for each time that it was given. */
export interface Counted {
  readonly address: number;
  take(): void;
  give(): void;
}

/**
 * The last thread gives as often as the others take. What one of those was granted is there for the next when it dies,
 * unless it had taken that already, and died before it came back. `left`: what is in the word at an offset of the object.
 */
export function givenOut<View extends Counted>(
  open: (arena: Arena, first?: View) => View,
  takers: number,
  spins: number,
  left: { offset: number; unit: number },
  words?: number,
  deaths = 1,
): Program {
  const taker: Body<View> = (_cpu, _me, _arena, counted) => counted.take();
  const reader: Body<View> = (cpu, _me, _arena, counted, cell) => {
    counted.take();
    if (cpu.load(cell) !== 1) throw new Error('taken before it was given');
  };
  const giver: Body<View> = (cpu, _me, _arena, counted, cell) => {
    cpu.store(cell, 1);
    for (let i = 0; i < takers; i++) counted.give();
  };
  return onObject(open, [...Array<Body<View>>(takers - 1).fill(taker), reader, giver], spins, {
    deaths,
    ...(words && { words }),
    beforeReaping(cpu, died, _arena, _counted, cell) {
      const task = slotAddress(cpu, died) + Slot.mainTask;
      const isPending = cpu.load(task + Task.blockedOn) !== 0 || cpu.load(task + Grant.from) !== 0;
      if (!isPending) cpu.store(cell + 1, cpu.load(cell + 1) + 1);
    },
    heir(cpu, died, _arena, counted, cell) {
      if (died !== takers) return;
      cpu.store(cell, 1);
      // The reaper has woken those that sleep for what is there already.
      const given = Math.floor(cpu.load(counted.address + left.offset) / left.unit);
      for (let i = given; i < takers; i++) counted.give();
    },
    check({ read, died }, cell, [{ address }]) {
      const count = read(address + left.offset) / left.unit;
      const mayHaveTaken = read(cell + 1);
      if (!died.every((thread) => thread < takers - 1)) return;
      if (count < died.length - mayHaveTaken || count > died.length) {
        throw new Error(`${count} are left after ${died.length} deaths`);
      }
    },
  });
}

export function completion(waiters: number, spins: number, deaths = 1): Program {
  const open = (arena: Arena, first?: Completion & Counted) => {
    const view = new Completion(arena, first?.handle);
    return Object.assign(view, { take: () => view.wait(), give: () => view.complete() });
  };
  return givenOut(open, waiters, spins, { offset: SemaphoreWords.count, unit: PERMIT }, undefined, deaths);
}

/** Waiters that are woken one at a time, each by the one before, and one that makes their condition hold. */
export function waitQueue(waiters: number, spins: number, deaths = 1): Program {
  const waiter: Body<WaitQueue> = (cpu, _me, _arena, queue, cell) => {
    queue.wait(() => cpu.loadAcquire(cell + 1) === 1, { exclusive: true });
    if (cpu.read(cell) !== 1) throw new Error('the wait was over before the condition held');
    queue.wake();
  };
  const waker: Body<WaitQueue> = (cpu, _me, _arena, queue, cell) => {
    cpu.write(cell, 1);
    cpu.storeRelease(cell + 1, 1);
    queue.wake();
  };
  const bodies = [...Array<Body<WaitQueue>>(waiters).fill(waiter), waker];
  return onObject((arena, first) => new WaitQueue(arena, first?.handle), bodies, spins, {
    deaths,
    heir(cpu, died, arena, queue, cell) {
      if (died === waiters && cpu.load(cell + 1) === 0) waker(cpu, died, arena, queue, cell);
    },
  });
}
