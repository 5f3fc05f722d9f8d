/** The locks on the rt-mutex algorithm as programs to explore: waiters with priorities, and contexts in a cycle. */

import type { Arena } from '../../../../lib/arena/arena.ts';
import { RtMutex } from '../../../../lib/locking/rt-mutex/rt-mutex.ts';
import { WwClass, type WwPolicy } from '../../../../lib/locking/ww-mutex/class.ts';
import { WwMutex } from '../../../../lib/locking/ww-mutex/ww-mutex.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { latchPriorities, Priorities, RtWait, unlatchPriorities } from '../../../../lib/sched/priority.ts';
import { Slot, slotAddress } from '../../../../lib/sched/slot.ts';
import { Task } from '../../../../lib/sched/task.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { type Body, onObject } from './on-object.ts';

const isSet = (value: number) => value !== 0;

/** Opens views of a mutex for threads with these priorities. */
function opener(priorities: readonly number[]) {
  return (arena: Arena, first?: RtMutex) => {
    arena.thread.setPriority(priorities[arena.thread.number] ?? 0);
    return new RtMutex(arena, first?.handle);
  };
}

/** Each thread locks, finds itself as urgent as those that wait for it, counts, and unlocks. */
export function rtMutex(priorities: readonly number[], spins: number, deaths = 1): Program {
  const body: Body<RtMutex> = (cpu, _me, { thread }, mutex, cell) => {
    mutex.lock();
    if (mutex.ownerDied) mutex.makeConsistent();
    cpu.write(cell, cpu.read(cell) + 1);
    latchPriorities(cpu, thread.id);
    for (let other = 0; other < priorities.length; other++) {
      const task = slotAddress(cpu, other) + Slot.mainTask;
      if (cpu.load(task + RtWait.mutex) !== mutex.address) continue;
      if (cpu.load(thread.self + Task.priority) > cpu.load(task + Task.priority)) throw new Error('nothing inherited');
    }
    unlatchPriorities(cpu);
    mutex.unlock();
  };
  return onObject(opener(priorities), Array<Body<RtMutex>>(priorities.length).fill(body), spins, {
    deaths,
    check: (memory, _cell, views) => nothingIsLent(memory, views),
  });
}

/** In the end every thread has its own priority, and waits for nothing. */
function nothingIsLent({ read, died }: FinalMemory, views: readonly RtMutex[]): void {
  for (const { thread } of views.map(({ arena }) => arena)) {
    if (died.includes(thread.number)) continue;
    const main = thread.slot + Slot.mainTask;
    if (read(main + Task.priority) !== read(thread.slot + Priorities.own)) {
      throw new Error(`thread ${thread.number} has priority ${read(main + Task.priority)} still`);
    }
    if (read(thread.slot + Priorities.topWaiters) !== 0)
      throw new Error(`thread ${thread.number} has top waiters still`);
  }
}

/** The first thread holds the lock from the start until both others wait: the more urgent one comes first. */
export function rtOrder(spins: number): Program {
  const taskOf = (cpu: Cpu, thread: number) => slotAddress(cpu, thread) + Slot.mainTask;
  const holder: Body<RtMutex> = (cpu, _me, _arena, mutex) => {
    for (const waiter of [1, 2]) cpu.condLoad(taskOf(cpu, waiter) + RtWait.mutex, isSet, 0, Number.POSITIVE_INFINITY);
    mutex.unlock();
  };
  const waiter: Body<RtMutex> = (cpu, me, _arena, mutex, cell) => {
    mutex.lock();
    if (cpu.read(cell) === 0) cpu.write(cell, me);
    mutex.unlock();
  };
  const open = opener([0, 5, -5]);
  return onObject(
    (arena, first?: RtMutex) => {
      const mutex = open(arena, first);
      if (first === undefined) mutex.lock();
      return mutex;
    },
    [holder, waiter, waiter],
    spins,
    {
      check({ read }, cell) {
        if (read(cell) !== 2) throw new Error('the less urgent waiter came first');
      },
    },
  );
}

/** Threads with these priorities, 0 where there is none. Each takes the mutexes with the numbers that `orders` gives it, in that order, and counts. */
export function wwMutexes(
  policy: WwPolicy,
  orders: readonly (readonly number[])[],
  spins: number,
  priorities: readonly number[] = [],
): Program {
  type Locks = { wwClass: WwClass; mutexes: WwMutex[] };
  const count = Math.max(...orders.flat()) + 1;
  const open = (arena: Arena, first?: Locks): Locks => {
    const priority = priorities[arena.thread.number] ?? 0;
    if (priority !== 0) arena.thread.setPriority(priority);
    const wwClass = new WwClass(arena, first?.wwClass.handle, { policy });
    const handles = first?.mutexes.map(({ handle }) => handle) ?? Array<undefined>(count).fill(undefined);
    return { wwClass, mutexes: handles.map((handle) => new WwMutex(wwClass, handle)) };
  };
  const bodies = orders.map(
    (order): Body<Locks> =>
      (cpu, _me, _arena, { wwClass, mutexes }, cell) => {
        const context = wwClass.begin();
        context.acquireAll(order.map((number) => mutexes[number]!));
        // There is no third that it could back off from, and the other releases once.
        if (orders.length === 2 && context.backOffs > 1) throw new Error('backs off from a context that releases');
        for (const number of order) cpu.write(cell + number, cpu.read(cell + number) + 1);
        for (const mutex of context.held) if (mutex.ownerDied) mutex.makeConsistent();
        context.release();
      },
  );
  return onObject(open, bodies, spins, {
    check({ read, died }, cell) {
      const expected = orders.flat().length;
      const sum = Array.from({ length: count }, (_, number) => read(cell + number)).reduce((a, b) => a + b);
      if (died.length === 0 && sum !== expected) throw new Error(`${sum} of ${expected} counts`);
    },
  });
}

/** Threads that only set priorities of their own: nothing but the latch of all priorities is contended. */
export function ownPriorities(priorities: readonly number[]): Program {
  const bodies = priorities.map(
    (priority): Body<undefined> =>
      (_cpu, _me, arena) => {
        arena.thread.setPriority(priority);
        arena.thread.setPriority(0);
      },
  );
  return onObject(() => undefined, bodies, 1);
}
