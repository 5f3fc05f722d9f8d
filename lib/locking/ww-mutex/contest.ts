/**
 * Acquire contexts: who gets the better of whom when several locks are taken in no fixed order. Kernel
 * kernel/locking/ww_mutex.h, Documentation/locking/ww-mutex-design.rst; Rosenkrantz, Stearns and Lewis 1978.
 *
 * A context takes the next stamp of its class when it begins, and keeps it when it backs off; the lower stamp is the
 * older. Its task carries the stamp while the context lasts, but for the moment in which it lets go of all that it holds, and a lock taken
 * with it says so by CTX. Of two contexts, one of which waits for what the other holds, it is always the younger that backs off:
 *
 *                       the waiter is older                      the waiter is younger
 *   wait-die            waits                                    backs off ("dies"), if it holds anything
 *   wound-wait          wounds the holder: it backs off          waits
 *                       at its next wait, or is woken to
 *
 * A pair is judged when it comes about: `checkKill` when a waiter comes to wait, `checkWaiters` when a context takes a lock that
 * others wait for. So no cycle of waits can last, and the oldest context never backs off: all end.
 *
 *   attempt --- free, or passed down -------------------------------------------> has the lock: checkWaiters
 *     | held                                                                        ^
 *     v                                                                             |
 *   checkKill --- younger, and holds others (wait-die) --> EDEADLK: unlockAll, then lockSlow of this lock first
 *     | older, or holds nothing                              ^
 *     v                                                      | wounded meanwhile, and holds others
 *   asleep in the order of stamps ---------------------------+--- it is the first, and the lock is free ---> (above)
 *
 * Everything here is called under priorityLatch.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import { struct } from '../../memory/struct.ts';
import { ThreadLocal } from '../../sched/thread-local.ts';
import type { WakeQueue } from '../../sched/wake-queue.ts';
import { ownerOf } from '../owner-word.ts';
import { type Contest, Contestant, CTX } from '../rt-mutex/words.ts';

export const WwClassWords = struct({
  header: ObjectHeader,
  /** The last stamp given. */
  stamp: 1,
  /** 1: wait-die; 0: wound-wait. Set when the class is made. */
  waitDie: 1,
});

/** The tasks of a thread's asynchronous contexts under way. */
export const asyncContexts = new ThreadLocal(() => new Set<number>());

/** A stamp that no context of the class has; 0 is none. */
export function nextStamp(cpu: Cpu, wwClass: number): number {
  const stamp = (cpu.fetchAddRelaxed(wwClass + WwClassWords.stamp, 1) + 1) | 0;
  return stamp === 0 ? nextStamp(cpu, wwClass) : stamp;
}

function isOlder(stamp: number, other: number): boolean {
  return ((stamp - other) | 0) < 0;
}

/** A wait without a context: in the order of stamps, and out of the contest. */
export function bystander(cpu: Cpu, wwClass: number): Contest {
  return { flag: 0, holds: false, ticket: nextStamp(cpu, wwClass), checkKill: () => false, checkWaiters: () => {} };
}

/** A wait of the context whose task is `task`. `holds`: whether it holds any lock. */
export function contender(cpu: Cpu, task: number, isWaitDie: boolean, holds: boolean): Contest {
  const stamp = cpu.load(task + Contestant.stamp);
  return {
    flag: CTX,
    holds,
    ticket: stamp,
    checkKill(word, wakes) {
      const owner = (word & CTX) === 0 ? 0 : ownerOf(word);
      const other = owner === 0 ? 0 : cpu.load(owner + Contestant.stamp);
      if (isWaitDie) {
        // This is the look that `wound` has woken it for. The mark, which said that it may be about to back off, goes.
        cpu.store(task + Contestant.wounded, 0);
        return holds && other !== 0 && isOlder(other, stamp);
      }
      if (other !== 0 && isOlder(stamp, other)) wound(cpu, owner, wakes);
      return holds && cpu.load(task + Contestant.wounded) !== 0;
    },
    checkWaiters(waiters, wakes) {
      for (const waiter of waiters) {
        const other = cpu.load(waiter + Contestant.stamp);
        if (other === 0) continue;
        if (isWaitDie && isOlder(stamp, other)) wound(cpu, waiter, wakes);
        else if (!isWaitDie && isOlder(other, stamp)) cpu.store(task + Contestant.wounded, 1);
      }
    },
  };
}

/** `task` backs off at its next wait, or at the one it is in. The mark first: illegal to wake a task that would not find it. */
function wound(cpu: Cpu, task: number, wakes: WakeQueue): void {
  if (cpu.load(task + Contestant.wounded) !== 0) return;
  cpu.store(task + Contestant.wounded, 1);
  wakes.wake.push(task);
}
