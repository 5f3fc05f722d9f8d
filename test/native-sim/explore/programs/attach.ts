/** Threads that attach to an arena, open an object by its name, use it and leave, as programs to explore. */

import { Arena, format } from '../../../../lib/arena/arena.ts';
import { claimSlot, markEnded, Place } from '../../../../lib/arena/place.ts';
import { reap } from '../../../../lib/arena/reaper.ts';
import { Mutex } from '../../../../lib/locking/mutex.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { isDead, Slot, slotAddress } from '../../../../lib/sched/slot.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { snapshot } from './holdfast.ts';

const WORDS = 4096;

/**
 * Each of the threads takes a place of `places` and uses the mutex by its name; with fewer places than threads some may find
 * none. Thread numbers of the system are theirs plus one.
 */
export function attach(threads: number, places: number): Program {
  const reaperSlot = places;
  const body = (cpu: Cpu, me: number) => {
    const number = claimSlot(cpu, 0, places, me + 1, 0);
    if (number < 0) {
      if (places >= threads) throw new Error('there was a place');
      return;
    }
    // Where a dead thread's place is not free yet, its memory is not this one's: each word of it is its own.
    const claims = WORDS + 1 + number;
    cpu.write(claims, cpu.read(claims) + 1);
    const place = new Place(cpu, number, { spins: 1 });
    const mutex = new Mutex(new Arena(place), 'shared');
    mutex.lock();
    if (mutex.ownerDied) mutex.makeConsistent();
    cpu.write(WORDS, cpu.read(WORDS) + 1);
    mutex.unlock();
    // `Place.leave` goes on without a pause until its patience is at an end: the explored clock would have to move for that.
    const isReaped = (id: number) => id === number + 1 || isDead(cpu, id);
    while (reap(place, isReaped, { settleSpins: 1 }) === 'again') cpu.relax();
  };
  return {
    words: WORDS + 1 + places,
    setup: (cpu) => format(cpu, WORDS, places + 1, 7),
    threads: Array.from({ length: threads }, () => body),
    reaper(cpu, died) {
      markEnded(cpu, died);
      const place = new Place(cpu, reaperSlot, { spins: 1 });
      while (reap(place, (id) => isDead(cpu, id), { settleSpins: 1 }) === 'again') cpu.relax();
    },
    check(memory: FinalMemory) {
      const cpu = snapshot(memory, WORDS);
      for (let number = 0; number < places; number++) {
        const life = cpu.load(slotAddress(cpu, number) + Slot.life);
        if (life !== 0) throw new Error(`place ${number} is not free: ${life}`);
      }
      const arena = new Arena(new Place(cpu, reaperSlot, { spins: 1 }));
      const problems = arena.fsck();
      if (problems.length > 0) throw new Error(problems.join('; '));
      if (memory.died.length === 0 && places >= threads && memory.read(WORDS) !== threads) {
        throw new Error(`${memory.read(WORDS)} of ${threads} counts`);
      }
      if (!new Mutex(arena, 'shared').tryLock()) throw new Error('the mutex is not free in the end');
    },
  };
}
