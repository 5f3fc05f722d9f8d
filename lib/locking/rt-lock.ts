import { HoldfastError } from '../errors.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import type { WaitOptions } from '../sched/drive.ts';
import type { Repairer } from '../sched/reaper.ts';
import { SharedObject } from '../sched/shared-object.ts';
import { ASYNC, Task } from '../sched/task.ts';
import type { MutexOwner } from './mutex.ts';
import {
  CHAIN_LIMIT,
  makeConsistent,
  type Outcome,
  OWNER_DIED,
  ownerOf,
  RtWords,
  UNRECOVERABLE,
} from './rt-mutex-core.ts';
import { repair } from './rt-mutex-repair.ts';

/** The kind of a lock whose words start as RtWords. */
export function rtKind(name: string, words: number): Kind<Repairer> {
  return defineKind<Repairer>({
    name,
    words,
    format: () => {},
    holder(cpu, lock) {
      const owner = ownerOf(cpu.load(lock + RtWords.owner));
      return owner === 0 || owner === UNRECOVERABLE ? 0 : cpu.load(owner + Task.thread);
    },
    isBusy(cpu, lock) {
      const owner = ownerOf(cpu.load(lock + RtWords.owner));
      return (owner !== 0 && owner !== UNRECOVERABLE) || cpu.load(lock + RtWords.waiters) !== 0;
    },
    repair,
  });
}

/** What the locks on the rt-mutex algorithm have in common. */
export abstract class RtLock extends SharedObject {
  /** Whether somebody holds the lock; out of date as soon as it is read. */
  get isLocked(): boolean {
    return this.owner !== undefined;
  }

  /** Whether anybody waits for the lock; out of date as soon as it is read. */
  get isContended(): boolean {
    return this.thread.cpu.load(this.address + RtWords.waiters) !== 0;
  }

  /** Who holds the lock, if anybody; out of date as soon as it is read, unless it is the caller. */
  get owner(): MutexOwner | undefined {
    const { cpu } = this.thread;
    const task = ownerOf(cpu.load(this.address + RtWords.owner));
    if (task === 0 || task === UNRECOVERABLE) return undefined;
    return { thread: cpu.load(task + Task.thread) - 1, async: cpu.load(task + Task.mode) === ASYNC };
  }

  /** Whether an owner died inside, and nobody has called `makeConsistent` since. */
  get ownerDied(): boolean {
    return (this.thread.cpu.load(this.address + RtWords.owner) & OWNER_DIED) !== 0;
  }

  /**
   * The owner says that what the lock protects is in order again. Throws EPERM unless this thread holds it, EINVAL
   * unless an owner had died.
   */
  makeConsistent(): void {
    if (this.owner?.thread !== this.thread.number) throw this.notOwner('makeConsistent');
    if (!this.ownerDied) {
      throw new HoldfastError('EINVAL', `no owner of the ${this.label} has died: there is nothing to make consistent`);
    }
    makeConsistent(this.thread.cpu, this.address);
  }

  protected get isUnrecoverable(): boolean {
    return ownerOf(this.thread.cpu.load(this.address + RtWords.owner)) === UNRECOVERABLE;
  }

  protected get state(): string {
    if (this.isUnrecoverable) return 'not recoverable';
    const { owner } = this;
    return owner === undefined ? 'free' : `held by thread ${owner.thread}${owner.async ? ', async' : ''}`;
  }

  protected refusal(outcome: Outcome, options?: WaitOptions, cycle: readonly number[] = []): HoldfastError {
    if (outcome === 'timed-out') {
      return this.notInTime(options, this.state);
    }
    if (outcome === 'deadlock') return this.wouldDeadlock(cycle, CHAIN_LIMIT);
    return new HoldfastError(
      'ENOTRECOVERABLE',
      `an owner of the ${this.label} died, and the next unlocked it without makeConsistent()`,
    );
  }

  protected notOwner(call: string): HoldfastError {
    return new HoldfastError('EPERM', `${call} of the ${this.label} by thread ${this.thread.number}: ${this.state}`);
  }
}
