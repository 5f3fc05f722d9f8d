/** A mutex that is unlocked while one thread sleeps for it and another comes by. */
import { Mutex } from '../../../../lib/locking/mutex.ts';
import { MutexWords } from '../../../../lib/locking/mutex-core.ts';
import { ownerOf } from '../../../../lib/locking/owner-word.ts';
import { Slot, slotAddress } from '../../../../lib/sched/slot.ts';
import { Task } from '../../../../lib/sched/task.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { type Body, onObject } from './on-object.ts';

const isSet = (value: number) => value !== 0;
const isUnowned = (word: number) => ownerOf(word) === 0;

/** Thread 0 holds the mutex until thread 1 is in its list; thread 2 takes it as soon as it is free, without a latch. */
export function passingBy(spins: number): Program {
  const count: Body<Mutex> = (cpu, _me, _arena, mutex, cell) => {
    cpu.write(cell, cpu.read(cell) + 1);
    mutex.unlock();
  };
  return onObject(
    (arena, first?: Mutex) => {
      const mutex = new Mutex(arena, first?.handle);
      if (first === undefined) mutex.lock();
      return mutex;
    },
    [
      (cpu, me, arena, mutex, cell) => {
        const waiter = slotAddress(cpu, 1) + Slot.mainTask;
        cpu.condLoad(waiter + Task.list, isSet, 0, Number.POSITIVE_INFINITY);
        count(cpu, me, arena, mutex, cell);
      },
      (cpu, me, arena, mutex, cell) => {
        mutex.lock();
        count(cpu, me, arena, mutex, cell);
      },
      (cpu, me, arena, mutex, cell) => {
        cpu.condLoad(mutex.address + MutexWords.owner, isUnowned, 0, Number.POSITIVE_INFINITY);
        mutex.lock();
        count(cpu, me, arena, mutex, cell);
      },
    ],
    spins,
  );
}
