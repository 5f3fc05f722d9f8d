/** The races that were found by reading, each as it was before it was mended, where no other room has that mutant. */
import type { Mutant } from '../mutant.ts';

const STEPS = 'test/futex/steps.test.ts';
const EXIT = 'test/futex/exit.test.ts';
const PTHREAD = 'test/pthread/steps.test.ts';
const RT_RACES = 'test/locking/rt-races.test.ts';
const SLEEPING_RACES = 'test/locking/sleeping-races.test.ts';
const UNLOCK = 'test/locking/unlock.test.ts';
const REAPING = 'test/arena/reaper.test.ts';
const SEQLOCK = 'test/locking/seqlock.test.ts';

export const mutants: readonly Mutant[] = [
  // A thread that leaves in order.
  {
    name: 'SeqCount: a writer that leaves counts as one that writes',
    file: 'lib/locking/seqlock/seq-count.ts',
    from: 'writer > 0 && !isDying(cpu, writer) && ',
    to: 'writer > 0 && ',
    tests: [SEQLOCK],
  },
  {
    name: 'a thread that leaves does not say so before its pass',
    file: 'lib/arena/reaper.ts',
    from: '  if (isLeaving) beginLeaving(cpu, thread.slot);\n',
    to: '',
    tests: [EXIT],
  },
  {
    name: 'a thread that has left wakes nobody who waits for that',
    file: 'lib/arena/reaper.ts',
    from: '  endLeaving(cpu, slot);\n  wakeAll(cpu, threads);\n',
    to: '  endLeaving(cpu, slot);\n',
    tests: [EXIT],
  },
  // The reaper, and what it leaves.
  {
    name: 'a mutex may be destroyed while somebody is in its queue of spinners',
    file: 'lib/locking/mutex-core.ts',
    from: 'if (holderOf(cpu, mutex) !== 0 || cpu.load(mutex + MutexWords.osq) !== 0) return true;',
    to: 'if (holderOf(cpu, mutex) !== 0) return true;',
    tests: [REAPING],
  },
  {
    name: 'a block that ends where a chunk of tasks begins counts as the chunk',
    file: 'lib/sched/slot.ts',
    from: ' && cpu.read(chunk + Chunk.block) === block) return true;',
    to: ') return true;',
    tests: [REAPING],
  },
  {
    name: 'detach does not see who reads an RwLock',
    file: 'lib/locking/rw-lock.ts',
    from: '  isHeldBy: (cpu, lock, id) => (cpu.load(readerWord(lock, id)) & readerBit(id)) !== 0,\n',
    to: '',
    tests: [REAPING],
  },
  {
    name: 'detach does not see who holds an OsqLock',
    file: 'lib/locking/osq-lock.ts',
    from: '  isHeldBy: (cpu, lock, id) => isInOsq(cpu, slotAddress(cpu, id - 1), lock + Osq.tail),\n',
    to: '',
    tests: [REAPING],
  },
  {
    name: 'the reaper waits for a bucket whose holder has died as for one that lives',
    file: 'lib/futex/open.ts',
    from: '!repairer.latch(bucket + WaitList.latch, () => rebuild(repairer, bucket))',
    to: 'cpu.condLoad(bucket + WaitList.latch, (v) => v === 0, 0, Number.POSITIVE_INFINITY) + cpu.xchg(bucket + WaitList.latch, owner << 1) !== 0',
    tests: [STEPS],
  },
  {
    name: 'a pass in slices that could not settle is not made again',
    file: 'lib/arena/place.ts',
    from: "    if (this.#note(slice.value) === 'again') this.#comeAgain();\n    else if",
    to: '    this.#note(slice.value);\n    if',
    tests: ['test/arena/deaths.test.ts'],
  },
  // Priorities, deadlocks.
  {
    name: 'a repair puts waiters where their priority was before',
    file: 'lib/locking/rt-mutex/repair.ts',
    from: '    rank(cpu, task);\n',
    to: '',
    tests: [RT_RACES],
  },
  {
    name: 'a thread that was woken, and has not looked yet, is stuck',
    file: 'lib/sched/waits-for.ts',
    from: '|| link.isAnyOf || !link.isAsleep)',
    to: '|| link.isAnyOf)',
    tests: [RT_RACES],
  },
  {
    name: 'a cycle by way of an asynchronous owner is left to the contexts in it',
    file: 'lib/locking/rt-mutex/cycle.ts',
    from: 'cpu.load(owner + Task.mode) === ASYNC || (word & CTX) === 0;',
    to: '(word & CTX) === 0;',
    tests: [RT_RACES],
  },
  {
    name: 'a writer that drains waits for nobody',
    file: 'lib/sched/waits-for.ts',
    from: 'if (holder !== 0 && holder !== waiter) return',
    to: 'if (holder !== 0) return',
    tests: [RT_RACES],
  },
  {
    name: 'a synchronous waiter takes the rank of its thread’s asynchronous one',
    file: 'lib/sched/wait-list.ts',
    from: 'mine !== 0 && cpu.read(mine + Task.rank) <= priority)',
    to: 'mine !== 0)',
    tests: [STEPS, SLEEPING_RACES],
  },
  {
    name: 'the only waiter leaves its list while it moves',
    file: 'lib/sched/wait-list.ts',
    from: '    if (!isAlone(cpu, list, task)) listRemove(cpu, list + WaitList.first, task, Task);\n    joinList(',
    to: '    listRemove(cpu, list + WaitList.first, task, Task);\n    joinList(',
    tests: [SLEEPING_RACES, STEPS],
  },
  {
    name: 'Semaphore: nobody looks when another waiter is the first',
    file: 'lib/locking/semaphore/core.ts',
    from: '  unparkAll(cpu, grantAndUnlatch(cpu, semaphore, freeze(cpu, semaphore)));\n}\n\n/** Sets',
    to: '  unlatch(cpu, semaphore + SemaphoreWords.waiters + WaitList.latch);\n}\n\n/** Sets',
    tests: [SLEEPING_RACES],
  },
  // What an unlock does behind its release.
  {
    name: 'RtMutex: unlock looks whom to wake after the release',
    file: 'lib/locking/rt-mutex/core.ts',
    from: '  detachTop(cpu, lock);\n  inherit(cpu, slot, wakes);\n  if (isLost)',
    to: '  cpu.storeRelease(address, 0);\n  detachTop(cpu, lock);\n  inherit(cpu, slot, wakes);\n  if (isLost)',
    tests: [UNLOCK],
  },
  {
    name: 'Mutex: unlock takes the latch after the release',
    file: 'lib/locking/mutex-core.ts',
    from: '      latch(cpu, list + WaitList.latch, id);\n      const woken = releaseToWaiters(thread, mutex, free);',
    to: '      cpu.storeRelease(address, free);\n      latch(cpu, list + WaitList.latch, id);\n      const woken = releaseToWaiters(thread, mutex, free);',
    tests: [UNLOCK],
  },
  {
    name: 'PthreadRwlock: a release looks whom to wake behind its unlatch',
    file: 'lib/pthread/rwlock-core.ts',
    from: '  const woken = takeNext(futexes, lock, preference);\n  unlatch(cpu, lock + RwlockWords.latch);\n',
    to: '  unlatch(cpu, lock + RwlockWords.latch);\n  const woken = takeNext(futexes, lock, preference);\n',
    tests: [UNLOCK],
  },
  // Pthread.
  {
    name: 'PthreadCond: a mutex that waiters came with once is kept',
    file: 'lib/pthread/cond.ts',
    from: 'if (cpu.load(this.#mutex) === association) return true;',
    to: 'if (cpu.load(this.#mutex) !== 0) return true;',
    tests: [PTHREAD],
  },
  {
    name: 'PthreadCond: a deadlock that is found at the mutex ends the wait as an abort does',
    file: 'lib/pthread/cond.ts',
    from: "result === 'changed' || (result === 'aborted' && !waiter.async) ?",
    to: "result === 'changed' ?",
    tests: [PTHREAD],
  },
  {
    name: 'waitAsync takes the guard of synchronous code',
    file: 'lib/pthread/mutex/guard.ts',
    from: '    if (!this.#isAsync) {\n',
    to: '    if (this.#task === 0) {\n',
    tests: [PTHREAD, 'test/pthread/cond.test.ts'],
  },
  {
    name: 'PthreadMutex: a call that the ceiling refuses keeps a task',
    file: 'lib/pthread/mutex/mutex.ts',
    from: '    if (this.#isProtecting) this.#checkCeiling();\n    return limits',
    to: '    const early = this.thread.takeTask(this.arena.heap);\n    if (this.#isProtecting) this.#checkCeiling();\n    this.thread.returnTask(early);\n    return limits',
    tests: ['test/pthread/protocol.test.ts'],
  },
  // Readers and writers.
  {
    name: 'holdsOf looks at a record’s lock relaxed',
    file: 'lib/sched/holds.ts',
    from: 'cpu.loadAcquire(record + Hold.lock) === lock;',
    to: 'cpu.load(record + Hold.lock) === lock;',
    tests: ['test/native-sim/explore/readers-writers.test.ts'],
  },
];
