/**
 * Latch: the raw lock inside the other objects (the kernel's `raw_spinlock_t wait_lock`), held for a few dozen
 * instructions and never across a sleep. It is not for users.
 *
 * Word:   0                     free
 *         owner << 2 | flags    held; owner is the thread's CPU number plus one
 *
 *   flag       who sets it                       what it means
 *   WAITERS    a thread, before it sleeps        a thread may be asleep on the word
 *   LOOPS      an event loop, before it waits    an event loop may wait for the word, in `waitAsync`
 *
 *   lock      0 -> mine                       (acquire: pairs with the release in unlatch)
 *   contend   owner -> owner|WAITERS, sleep; then 0 -> mine|WAITERS, because others may sleep still
 *   an event loop, which may not sleep:
 *             owner -> owner|LOOPS, wait for a later turn; then 0 -> mine
 *   unlock    mine[|WAITERS] -> 0, waking one; mine|LOOPS[|WAITERS] -> 0, waking all
 *
 * With LOOPS all are woken, because the event loop that is woken may not come for long: its thread computes, or sleeps for
 * this very latch. No event loop waits on the word without LOOPS in it, so a lone wake-up never goes to one.
 *
 * Why not a queued lock: a thread can be preempted while it holds the latch, so a contender must be able to sleep; and
 * it can be killed there, so the word must say who held it. Contenders are anonymous (they sleep on the word itself),
 * which leaves nothing to repair but the word: the reaper runs the owner's structure back into shape and unlatches.
 * Order among contenders is whatever the operating system gives. After Drepper, "Futexes are tricky", mutex 3.
 */
import type { Cpu } from '../machine/cpu.ts';

const WAITERS = 1;
const LOOPS = 2;
/** Where the owner is in the word. */
const OWNER_SHIFT = 2;
/** Loads before a contender sleeps: about 1 us, several times the longest section that a latch guards. */
const SPINS = 64;

/** How long a thread stands aside for those that wait for a latch, ns: longer than one that was woken needs to run. */
const ASIDE_NS = 1e6;

/** How often an event loop that waits looks by itself, ns: a thread may have died between the two steps of `unlatch`. */
const LOOK_INTERVAL = 100e6;

const isFree = (value: number) => value === 0;

/** Takes the latch at `address` for the thread `owner` (its CPU number plus one). */
export function latch(cpu: Cpu, address: number, owner: number): void {
  const mine = owner << OWNER_SHIFT;
  // 0 -> mine. This acquire and those below pair with the release in unlatch.
  if (cpu.cmpxchgAcquire(address, 0, mine) !== 0) contend(cpu, address, mine);
}

/** Takes the latch if it is free. */
export function tryLatch(cpu: Cpu, address: number, owner: number): boolean {
  return cpu.cmpxchgAcquire(address, 0, owner << OWNER_SHIFT) === 0;
}

/** `tryLatch` that spins for as long as a holder that runs needs. */
export function tryLatchBriefly(cpu: Cpu, address: number, owner: number): boolean {
  return tryLatch(cpu, address, owner) || (hasComeFree(cpu, address) && tryLatch(cpu, address, owner));
}

/** For an event loop: resolves when the latch may be free, or after a while in any case. */
export async function latchFree(cpu: Cpu, address: number): Promise<void> {
  for (let value = cpu.load(address); value !== 0; value = cpu.load(address)) {
    if (!(value & LOOPS) && cpu.cmpxchgRelaxed(address, value, value | LOOPS) !== value) continue;
    await cpu.waitAsync(address, value | LOOPS, cpu.now() + LOOK_INTERVAL);
    return;
  }
}

/** For `fsck`: what a look finds with the latch held, or that it comes to a word that leads out of the memory. */
export function lookUnderLatch(
  cpu: Cpu,
  address: number,
  owner: number,
  look: () => readonly string[],
): readonly string[] {
  latch(cpu, address, owner);
  const found = lookAt('', look);
  unlatch(cpu, address);
  return found;
}

/** What a look at `what` finds, or that it comes to a word that leads out of the memory. */
export function lookAt(what: string, look: () => readonly string[]): readonly string[] {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [`${what}leads out of the memory`];
  }
}

export function unlatch(cpu: Cpu, address: number): void {
  // mine|flags -> 0. Release: pairs with the acquires in latch, tryLatch and contend.
  const flags = cpu.xchgRelease(address, 0) & (WAITERS | LOOPS);
  if (flags !== 0) cpu.wake(address, flags & LOOPS ? Number.POSITIVE_INFINITY : 1);
}

/** Whether somebody waits for the latch, which the caller holds and nobody waited for when it took it. */
export function isAwaited(cpu: Cpu, address: number): boolean {
  return (cpu.load(address) & (WAITERS | LOOPS)) !== 0;
}

/**
 * For a thread that has just released a latch for which others wait, and will want it again at once: a waiter that was woken
 * takes longer than that to run, and would find it held time and again. Sleeps.
 */
export function standAside(cpu: Cpu, address: number): void {
  cpu.wait(address, 0, cpu.now() + ASIDE_NS);
}

/** The thread that holds the latch: a CPU number plus one, or 0. */
export function latchOwner(cpu: Cpu, address: number): number {
  return cpu.loadAcquire(address) >> OWNER_SHIFT;
}

/**
 * For the reaper: makes `owner` the holder in place of the dead thread `dead`. False when `dead` does not hold it.
 * Sleepers stay asleep on the word; both flags are set, so that the new holder's unlatch wakes them even when the dead
 * thread had been about to.
 */
export function inheritLatch(cpu: Cpu, address: number, dead: number, owner: number): boolean {
  for (;;) {
    const value = cpu.load(address);
    if (value >> OWNER_SHIFT !== dead) return false;
    // dead|flags -> owner|WAITERS|LOOPS. Acquire: what the dead thread wrote under the latch is seen from here on, as far as
    // it got: it was dead before `owner` looked.
    if (cpu.cmpxchgAcquire(address, value, (owner << OWNER_SHIFT) | WAITERS | LOOPS) === value) return true;
  }
}

function contend(cpu: Cpu, address: number, mine: number): void {
  if (hasComeFree(cpu, address) && cpu.cmpxchgAcquire(address, 0, mine) === 0) return;
  for (;;) {
    const value = cpu.load(address);
    if (value === 0) {
      // 0 -> mine|WAITERS: others may sleep still, and the one unlatch woke is this thread.
      if (cpu.cmpxchgAcquire(address, 0, mine | WAITERS) === 0) return;
    } else if (value & WAITERS || cpu.cmpxchgRelaxed(address, value, value | WAITERS) === value) {
      // Sleeps only while the word is as it was: an unlatch in between has made it 0.
      cpu.wait(address, value | WAITERS, Number.POSITIVE_INFINITY);
    }
  }
}

function hasComeFree(cpu: Cpu, address: number): boolean {
  return cpu.condLoad(address, isFree, 0, SPINS) === 0;
}
