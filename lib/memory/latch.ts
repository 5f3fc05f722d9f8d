/**
 * Latch: the raw lock inside the other objects (the kernel's `raw_spinlock_t wait_lock`), held for a few dozen
 * instructions and never across a sleep. It is not for users.
 *
 * Word:   0                      free
 *         owner << 1             held; owner is the thread's CPU number plus one
 *         owner << 1 | WAITERS   held, and somebody may be asleep on the word
 *
 *   lock      0 -> mine                      (acquire: pairs with the release in unlatch)
 *   contend   owner -> owner|WAITERS, sleep; then 0 -> mine|WAITERS, because others may sleep still
 *   unlock    mine[|WAITERS] -> 0, waking one
 *
 * Why not a queued lock: a thread can be preempted while it holds the latch, so a contender must be able to sleep; and
 * it can be killed there, so the word must say who held it. Contenders are anonymous (they sleep on the word itself),
 * which leaves nothing to repair but the word: the reaper runs the owner's structure back into shape and unlatches.
 * Order among contenders is whatever the operating system gives. After Drepper, "Futexes are tricky", mutex 3.
 */
import type { Cpu } from '../machine/cpu.ts';

const WAITERS = 1;
/** Loads before a contender sleeps: about 1 us, several times the longest section that a latch guards. */
const SPINS = 64;

const isFree = (value: number) => value === 0;

/** Takes the latch at `address` for the thread `owner` (its CPU number plus one). */
export function latch(cpu: Cpu, address: number, owner: number): void {
  if (cpu.cmpxchgAcquire(address, 0, owner << 1) !== 0) contend(cpu, address, owner << 1);
}

/** Takes the latch if it is free. */
export function tryLatch(cpu: Cpu, address: number, owner: number): boolean {
  return cpu.cmpxchgAcquire(address, 0, owner << 1) === 0;
}

export function unlatch(cpu: Cpu, address: number): void {
  if (cpu.xchgRelease(address, 0) & WAITERS) cpu.wake(address, 1);
}

/** Who holds the latch: a CPU number plus one, or 0. */
export function latchOwner(cpu: Cpu, address: number): number {
  return cpu.loadAcquire(address) >> 1;
}

/**
 * For the reaper: makes `owner` the holder in place of the dead thread `dead`. False when `dead` does not hold it.
 * Sleepers stay asleep on the word; WAITERS is set, so that the new holder's unlatch wakes one even when the dead
 * thread had been about to.
 */
export function inheritLatch(cpu: Cpu, address: number, dead: number, owner: number): boolean {
  for (;;) {
    const value = cpu.load(address);
    if (value >> 1 !== dead) return false;
    if (cpu.cmpxchgAcquire(address, value, (owner << 1) | WAITERS) === value) return true;
  }
}

function contend(cpu: Cpu, address: number, mine: number): void {
  const seen = cpu.condLoad(address, isFree, 0, SPINS);
  if (seen === 0 && cpu.cmpxchgAcquire(address, 0, mine) === 0) return;
  for (;;) {
    const value = cpu.load(address);
    if (value === 0) {
      if (cpu.cmpxchgAcquire(address, 0, mine | WAITERS) === 0) return;
    } else if (value & WAITERS || cpu.cmpxchgRelaxed(address, value, value | WAITERS) === value) {
      cpu.wait(address, value | WAITERS, Number.POSITIVE_INFINITY);
    }
  }
}
