/**
 * The pthread mutex over the futex: one word, in the layout of the robust futex protocol.
 *
 * Word:   bit 31   WAITERS      somebody may sleep: unlock has to wake
 *         bit 30   OWNER_DIED   an owner died inside; cleared by makeConsistent
 *         0 - 29   the owning task, 0, or
 *                  UNRECOVERABLE  an owner that learned of OWNER_DIED unlocked without makeConsistent, or it was destroyed
 *                  STALLED        the owner of a mutex that is not robust died; nobody gets it any more
 *
 *      lock, uncontended     0              -> me                     acquire
 *      lock                  flags          -> me|flags               acquire
 *      wait                  x              -> x|WAITERS, FUTEX_WAIT
 *      lock, having waited   flags          -> me|flags|WAITERS       acquire: others may sleep still
 *      unlock, uncontended   me             -> 0                      release
 *      unlock                me|WAITERS     -> 0, wake the first      release
 *      unlock                me|OWNER_DIED  -> UNRECOVERABLE, wake all
 *      owner dies            x|flags        -> OWNER_DIED|flags, or STALLED|flags
 *
 * Next owner: the task that comes first; of those that sleep, the first to have come is woken. The lock is not handed
 * over, so the woken one may find it taken again, and goes to the end of the queue.
 *
 * A thread that dies with the wake-up it owes, or was given, strands nobody: the reaper unparks all, and those whose
 * expected value has gone look again.
 *
 * Source: Drepper, "Futexes are tricky", mutex 3; glibc's and musl's robust mutexes for the bits.
 */
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS } from '../../futex/robust-list.ts';
import type { Futexes } from '../../futex/table.ts';
import { wait } from '../../futex/wait.ts';
import { MATCH_ANY, wake, wakeIn } from '../../futex/wake.ts';
import { isTask } from '../../locking/owner-word.ts';
import { RtWords } from '../../locking/rt-mutex/words.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { struct } from '../../memory/struct.ts';
import type { Outcome, SlowPath, Waiter } from '../../sched/slow-path.ts';
import { Task } from '../../sched/task.ts';

export const PthreadMutexWords = struct({
  /** The word above; of a priority-inheriting mutex an rt-mutex, whose word is in the same place. */
  rt: RtWords,
  /** How often the owner of a recursive mutex has locked it again. The owner's. */
  depth: 1,
  /** Of a priority-protecting mutex. The owner's to change. */
  ceiling: 1,
});

/** Where the word is. */
export const WORD = RtWords.owner;

/** No tasks' addresses: those are multiples of 32 behind the arena's header. */
export const UNRECOVERABLE = 1;
export const STALLED = 2;

/** The task that owns the mutex, UNRECOVERABLE, STALLED, or 0. */
export function ownerOf(word: number): number {
  return word & FUTEX_TID_MASK;
}

/** For `Kind.close`. */
export function close(cpu: Cpu, mutex: number): boolean {
  for (;;) {
    const word = cpu.load(mutex + WORD);
    const owner = ownerOf(word);
    if (owner !== 0) return !isTask(owner);
    if (cpu.cmpxchg(mutex + WORD, word, UNRECOVERABLE) === word) return true;
  }
}

/** One attempt for `task`. */
export function tryAcquire({ thread }: Futexes, mutex: number, task: number, mark: number): boolean {
  const { cpu } = thread;
  const address = mutex + WORD;
  let word = cpu.load(address);
  while (ownerOf(word) === 0) {
    // 0|flags -> task|flags|mark. Acquire: pairs with the release in unlockSlow, and in `PthreadMutex.unlock`.
    const seen = cpu.cmpxchgAcquire(address, word, task | word | mark);
    if (seen === word) return true;
    word = seen;
  }
  return false;
}

const ownerChanged = (word: number, owner: number) => ownerOf(word) !== owner;

/** How a lock call goes about it. */
export interface Attempt {
  /** FUTEX_WAITERS for one who comes from waiting elsewhere, so that others may wait behind it; else 0. */
  readonly mark: number;
  /** Whether a wait for a lock that this thread holds itself is refused even if it would time out. */
  readonly isChecked: boolean;
  /** Where a cycle of rt-mutexes is noted; see `locking/rt-mutex/core.ts`. */
  readonly cycle: number[];
}

/** Everything beyond the one compare-and-exchange of the fast path. */
export function* lockSlow(futexes: Futexes, mutex: number, waiter: Waiter, attempt: Attempt): SlowPath<Outcome> {
  const { thread } = futexes;
  const { cpu } = thread;
  const address = mutex + WORD;
  let { mark } = attempt;
  thread.counters.contended++;
  let spins = waiter.async || waiter.onlyTries ? 0 : thread.spins;
  for (;;) {
    if (tryAcquire(futexes, mutex, waiter.task, mark)) {
      if (!(cpu.load(address) & FUTEX_OWNER_DIED)) return 'acquired';
      thread.counters.ownerDeaths++;
      return 'owner-died';
    }
    const word = cpu.load(address);
    const owner = ownerOf(word);
    if (owner === 0) continue;
    if (owner === UNRECOVERABLE) {
      // Illegal to drop the mark: a broadcast has moved others here, and the unlock that should wake them never comes.
      if (mark !== 0) yield* wakeIn(waiter, futexes, [address], Number.POSITIVE_INFINITY, MATCH_ANY);
      return 'unrecoverable';
    }
    const isOwn = !waiter.async && isTask(owner) && cpu.load(owner + Task.thread) === thread.id;
    if (isOwn && (attempt.isChecked || waiter.deadline === Number.POSITIVE_INFINITY)) return 'deadlock';
    if (spins > 0 && !(word & FUTEX_WAITERS)) {
      const seen = cpu.condLoad(address, ownerChanged, owner, spins);
      spins = 0;
      if (ownerOf(seen) !== owner) continue;
    }
    const expected = word | FUTEX_WAITERS;
    if (word !== expected && cpu.cmpxchgRelaxed(address, word, expected) !== word) continue;
    const result = yield* wait(futexes, address, expected, MATCH_ANY, waiter);
    if (result === 'timed-out' || result === 'aborted') return result;
    mark = FUTEX_WAITERS;
  }
}

/** Unlocks for the owner, when the fast path did not. */
export function unlockSlow(futexes: Futexes, mutex: number): void {
  const { cpu } = futexes.thread;
  const address = mutex + WORD;
  let word = cpu.load(address);
  for (;;) {
    const next = word & FUTEX_OWNER_DIED ? UNRECOVERABLE : 0;
    // me|flags -> 0, or me|OWNER_DIED -> UNRECOVERABLE. Release: pairs with the acquire of the next owner's attempt.
    const seen = cpu.cmpxchgRelease(address, word, next);
    if (seen === word) break;
    word = seen;
  }
  if (word & FUTEX_WAITERS) {
    wake(futexes, address, word & FUTEX_OWNER_DIED ? Number.POSITIVE_INFINITY : 1, MATCH_ANY);
  }
}

/** After deaths: a dead owner's mutex passes on, marked. Its waiters look again when the reaper unparks them. */
export function repair({ cpu, isDead }: Repairer, mutex: number, isRobust: boolean): boolean {
  const address = mutex + WORD;
  for (;;) {
    // Acquire: pairs with the barrier in `TaskStore`.
    const word = cpu.loadAcquire(address);
    const owner = ownerOf(word);
    if (!isTask(owner) || !isDead(cpu.load(owner + Task.thread))) return true;
    const next = (word & FUTEX_WAITERS) | (isRobust ? FUTEX_OWNER_DIED : STALLED);
    if (cpu.cmpxchg(address, word, next) === word) return true;
  }
}
