/**
 * The word of a lock that names its owner: the task's address, and flags in its low bits. `Mutex` and the rt-mutex add
 * flags of their own; the library's seqlock has a mutex inside.
 */
import type { Cpu } from '../machine/cpu.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { TASK_ALIGN, Task } from '../sched/task.ts';

/** Where it is in the object. */
export const OWNER = ObjectHeader.words;

/** Somebody waits: the owner may not just release the lock. */
export const WAITERS = 1;
/** An owner died inside, and nobody has made things consistent since. */
export const OWNER_DIED = 8;
export const FLAGS = 15;
/**
 * In the owner's place, when a lock is of no use any more: an owner that learned of OWNER_DIED unlocked without makeConsistent, or the
 * lock was destroyed. No task's address; a thread that takes it for one finds `noTask` of the arena's header there, which is 0.
 */
export const UNRECOVERABLE = 16;

/** The task that owns the lock, UNRECOVERABLE, or 0. */
export function ownerOf(word: number): number {
  return word & ~FLAGS;
}

/** How a lock's word, which names its owner, is read. */
export interface OwnerCodec {
  /** The bits of the owner: a task's address, or a number below TASK_ALIGN in its place. */
  readonly ownerMask: number;
  /** The bit that says that an owner died inside. */
  readonly ownerDied: number;
  /** In the owner's place when nobody gets the lock any more. */
  readonly unrecoverable: number;
}

/** For the word above. */
export const OWNER_CODEC: OwnerCodec = { ownerMask: ~FLAGS, ownerDied: OWNER_DIED, unrecoverable: UNRECOVERABLE };

/** Whether what stands in the owner's place is a task. */
export function isTask(owner: number): boolean {
  return owner >= TASK_ALIGN;
}

/** Whether a task owns the lock. */
export function isOwned(word: number): boolean {
  return isTask(ownerOf(word));
}

/** The thread that holds the lock: a CPU number plus one, or 0. */
export function holderOf(cpu: Cpu, lock: number): number {
  // Acquire: pairs with the barrier in `TaskStore`.
  const word = cpu.loadAcquire(lock + OWNER);
  return isOwned(word) ? cpu.load(ownerOf(word) + Task.thread) : 0;
}

/** The owner vouches for what the lock protects. */
export function makeConsistent(cpu: Cpu, lock: number): void {
  cpu.fetchAndRelaxed(lock + OWNER, ~OWNER_DIED);
}

/** `task` takes an UNRECOVERABLE lock. False for any other lock. */
export function revive(cpu: Cpu, lock: number, task: number): boolean {
  const address = lock + OWNER;
  for (let word = cpu.load(address); ownerOf(word) === UNRECOVERABLE; ) {
    // The unlock that made the lock unrecoverable has woken all waiters. One that looks again before this exchange gets
    // ENOTRECOVERABLE; one that looks after it sets WAITERS, and the new owner's unlock wakes it.
    // UNRECOVERABLE|flags -> task|flags. Acquire: pairs with the release of the unlock that made it so.
    const seen = cpu.cmpxchgAcquire(address, word, task | (word & FLAGS & ~OWNER_DIED));
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

/** For `Kind.close`. */
export function closeOwned(cpu: Cpu, lock: number): boolean {
  for (;;) {
    const word = cpu.load(lock + OWNER);
    if (ownerOf(word) === UNRECOVERABLE) return true;
    if (ownerOf(word) !== 0) return false;
    // From here on no fast path takes the lock, and whoever has come meanwhile is refused.
    if (cpu.cmpxchg(lock + OWNER, word, UNRECOVERABLE) === word) return true;
  }
}
