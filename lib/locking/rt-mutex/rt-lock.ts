import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { defineKind, type Kind } from '../../memory/kinds.ts';
import { lookUnderLatch } from '../../memory/latch.ts';
import type { Repairer } from '../../memory/repairer.ts';
import type { Length } from '../../memory/struct.ts';
import { latchPriorities, RtWait, unlatchPriorities, waiterTree } from '../../sched/priority.ts';
import { everyTask, maxThreads } from '../../sched/slot.ts';
import { Task } from '../../sched/task.ts';
import { OwnedLock } from '../owned-lock.ts';
import { closeOwned, holderOf, ownerOf } from '../owner-word.ts';
import { repair } from './repair.ts';
import { RtWords } from './words.ts';

/** The kind of a lock whose words start as RtWords. `isPassed`: whether a task of an event loop that does not come is passed. */
export function rtKind(name: string, words: Length, isPassed = true): Kind<Repairer> {
  return defineKind<Repairer>({
    name,
    words,
    format: () => {},
    holder: holderOf,
    successor,
    ...(isPassed && { isOnOffer: (cpu, lock) => isUnowned(cpu.load(lock + RtWords.owner)) }),
    isBusy: (cpu, lock) => holderOf(cpu, lock) !== 0 || cpu.load(lock + RtWords.waiters) !== 0,
    close: closeOwned,
    repair,
    inspect,
  });
}

const isUnowned = (word: number) => ownerOf(word) === 0;

/** Its tree of waiters: those that say that they wait for it. */
function inspect(cpu: Cpu, lock: number, owner: number): string[] {
  const faults = lookUnderLatch(cpu, Header.priorityLatch, owner, () => {
    const waiting = [...everyTask(cpu, maxThreads(cpu))].filter((task) => cpu.load(task + RtWait.mutex) === lock);
    return waiterTree.faults(cpu, lock + RtWords.waiters, waiting);
  });
  return faults.map((fault) => `has a tree of waiters that ${fault}`);
}

/** A free rt-mutex is kept for its first waiter, and for whoever is more urgent. */
function successor(cpu: Cpu, lock: number, owner: number): number {
  latchPriorities(cpu, owner);
  const top = waiterTree.first(cpu, lock + RtWords.waiters);
  unlatchPriorities(cpu);
  return top === 0 ? 0 : cpu.load(top + Task.thread);
}

/** What the locks on the rt-mutex algorithm have in common. */
export abstract class RtLock extends OwnedLock {
  /** Whether anybody waits for the lock; out of date as soon as it is read. */
  get isContended(): boolean {
    return this.living.load(this.address + RtWords.waiters) !== 0;
  }
}
