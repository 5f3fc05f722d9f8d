/**
 * The words of a semaphore, and the steps that change several of them.
 *
 * Word `count`: the free permits << 1, and
 *
 *   flag       who sets it        who clears it                        what it means
 *   CONTENDED  the latch holder   the latch holder, if nobody waits    only the latch holder may change the word. Legal to be
 *                                 that can run, or the next waiter is  set at any time; illegal to be clear while the next waiter
 *                                 on its way (DESIGNATED)              is asleep: an `up` would wake nobody
 *
 *      down, uncontended   n        -> n - 1              acquire
 *      up, uncontended     n        -> n + 1              release
 *      slow path           n        -> n|CONTENDED        acquire, under the latch
 *      slow path ends      n|CONTENDED -> m, or m|CONTENDED if anybody waits   release
 *
 * With all permits UNBOUNDED, taking and giving changes nothing.
 *
 * Word `seat`: one permit that is not in `count`, because a guard has it or had it last, so that such a guard costs one
 * compare-and-exchange, and a dead thread's is found by its name.
 *
 *   EMPTY      no permit is here
 *   VACANT     one is, and is free
 *   a task     one is, and that task's guard has it
 *   BY_LATCH   beside VACANT or a task: only the latch holder may change the word. Legal to be set at any time; illegal to be
 *              clear while somebody counts on CONTENDED: a permit that came free here would wake nobody
 *
 *      acquire, uncontended   VACANT        -> me              acquire
 *      release, uncontended   me            -> VACANT          release
 *      slow path              VACANT        -> EMPTY, n -> n + 1     in one step, by the journal
 *                             x             -> x|BY_LATCH
 *      acquire, slow          EMPTY         -> me|BY_LATCH, n -> n - 1
 *      release, slow          me|BY_LATCH   -> EMPTY, n -> n + 1
 *      slow path ends         x|BY_LATCH    -> x, unless `count` stays CONTENDED
 *
 * A grant is `grant` of the waiting task = the semaphore, and the task's leaving the list. A thread may be killed
 * between the words that one step changes: the new count, the record of a guard, the grant. So each step is written to
 * a journal first, which the reaper carries out again when it finds the latch with a dead thread. What a record holds,
 * and a grant that nobody has picked up, the reaper gives back.
 */

import type { Cpu } from '../../machine/cpu.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import { struct } from '../../memory/struct.ts';
import { Grant } from '../../sched/grant.ts';
import { HELD, Hold } from '../../sched/holds.ts';
import { leaveList, WaitList } from '../../sched/wait-list.ts';

export const SemaphoreWords = struct({
  header: ObjectHeader,
  count: 1,
  waiters: WaitList,
  /** The journal, guarded by the latch: whether the rest is valid, */
  armed: 1,
  /** the free permits from now on, */
  permits: 1,
  /** a word that changes with them, or 0, and its value, */
  address: 1,
  value: 1,
  /** and the task that is granted its permits, or 0. */
  granted: 1,
  /** The permits that a semaphore was made with. Set once. */
  made: 1,
  /** A permit that a guard has, or had last. */
  seat: 1,
  /** The last grants to tasks of event loops; see `loops.ts`. Guarded by the latch. */
  round: 1,
});

export const CONTENDED = 1;
/** Values of `seat` that are no task, and its flag. */
export const EMPTY = 0;
export const VACANT = 2;
export const BY_LATCH = 1;
/** One permit in `count`. */
export const PERMIT = 2;
export const UNBOUNDED = 2 ** 30 - 1;
/** The most free permits that a semaphore can have. */
export const MOST_PERMITS = UNBOUNDED - 1;

/**
 * For `Kind.close`: no permits, and nobody waits, but only the latch holder may change the word. A thread that gets the latch from
 * here on leaves it so (`grantAndUnlatch`).
 */
export function close(cpu: Cpu, semaphore: number): boolean {
  if (!closeSeat(cpu, semaphore)) return false;
  for (;;) {
    const word = cpu.load(semaphore + SemaphoreWords.count);
    if (word & CONTENDED) return word === CONTENDED;
    if (cpu.cmpxchg(semaphore + SemaphoreWords.count, word, CONTENDED) === word) return true;
  }
}

/** From here on no guard takes the seat without the latch. False when one has it. */
function closeSeat(cpu: Cpu, semaphore: number): boolean {
  for (;;) {
    const word = cpu.load(semaphore + SemaphoreWords.seat);
    if (seatedIn(word) !== 0) return false;
    if (word !== VACANT || cpu.cmpxchg(semaphore + SemaphoreWords.seat, VACANT, VACANT | BY_LATCH) === VACANT)
      return true;
  }
}

/** The task whose guard has the seat's permit, or 0. */
export function seatedTask(cpu: Cpu, semaphore: number): number {
  // Acquire: pairs with the barrier in `TaskStore`.
  return seatedIn(cpu.loadAcquire(semaphore + SemaphoreWords.seat));
}

function seatedIn(word: number): number {
  return word & ~(VACANT | BY_LATCH);
}

/** The free permits, as they are seen without the latch. */
export function freePermits(cpu: Cpu, semaphore: number): number {
  const isVacant = (cpu.load(semaphore + SemaphoreWords.seat) & VACANT) !== 0;
  return (cpu.load(semaphore + SemaphoreWords.count) >> 1) + (isVacant ? 1 : 0);
}

export function take(free: number, permits: number): number {
  return free === UNBOUNDED ? UNBOUNDED : free - permits;
}

/** The free permits with so many more; undefined when there would be more than MOST_PERMITS, which is no number of them. */
export function give(free: number, permits: number): number | undefined {
  if (free === UNBOUNDED || permits === UNBOUNDED) return UNBOUNDED;
  return free + permits > MOST_PERMITS ? undefined : free + permits;
}

/** `give` of permits that were taken before: what others have given meanwhile may leave no room for all of them. */
export function giveBack(free: number, permits: number): number {
  return give(free, permits) ?? MOST_PERMITS;
}

export function latchOf(semaphore: number): number {
  return semaphore + SemaphoreWords.waiters + WaitList.latch;
}

/** The latch is held: nobody else changes either word from here on. Returns the free permits, all of them in `count`. */
export function freeze(cpu: Cpu, semaphore: number): number {
  // n -> n|CONTENDED. Pairs with the release in `up` (core.ts): a task that is granted permits sees what came before their
  // return.
  const free = cpu.fetchOrAcquire(semaphore + SemaphoreWords.count, CONTENDED) >> 1;
  const seat = semaphore + SemaphoreWords.seat;
  // Only the latch holder fills an empty one.
  if (cpu.load(seat) === EMPTY) return free;
  // x -> x|BY_LATCH. Pairs with the release in `rise` (core.ts).
  if (seatedIn(cpu.fetchOrAcquire(seat, BY_LATCH)) !== 0) return free;
  const more = giveBack(free, 1);
  commitWord(cpu, semaphore, more, seat, EMPTY);
  return more;
}

/** Under the latch, one step: the free permits and the word at `address` change together. */
export function commitWord(cpu: Cpu, semaphore: number, free: number, address: number, value: number): void {
  commit(cpu, semaphore, free, address, value, 0);
}

/** Under the latch, one step: the free permits change, `task` is granted `permits`, and its record, unless that is 0, counts them. */
export function commitGrant(
  cpu: Cpu,
  semaphore: number,
  free: number,
  task: number,
  record: number,
  permits: number,
): void {
  if (record === 0) commit(cpu, semaphore, free, 0, 0, task);
  else commit(cpu, semaphore, free, record + Hold.count, cpu.load(record + Hold.count) + permits * HELD, task);
}

/** Writes the step to the journal, and takes it. `address`, `task`: 0 for none. */
function commit(cpu: Cpu, semaphore: number, free: number, address: number, value: number, task: number): void {
  cpu.write(semaphore + SemaphoreWords.permits, free);
  cpu.write(semaphore + SemaphoreWords.address, address);
  cpu.write(semaphore + SemaphoreWords.value, value);
  cpu.write(semaphore + SemaphoreWords.granted, task);
  cpu.store(semaphore + SemaphoreWords.armed, 1);
  apply(cpu, semaphore);
  if (task !== 0) {
    // Pairs with the acquire in `isGranted` (loops.ts). This store decides; the waiter goes on once it is out of the list too.
    cpu.storeRelease(task + Grant.from, semaphore);
    leaveList(cpu, semaphore + SemaphoreWords.waiters, task);
  }
  cpu.store(semaphore + SemaphoreWords.armed, 0);
}

export function apply(cpu: Cpu, semaphore: number): void {
  const address = cpu.read(semaphore + SemaphoreWords.address);
  if (address !== 0) cpu.store(address, cpu.read(semaphore + SemaphoreWords.value));
  cpu.store(semaphore + SemaphoreWords.count, cpu.read(semaphore + SemaphoreWords.permits) * PERMIT + CONTENDED);
}
