import type { Mutant } from '../mutant.ts';

const MUTEX = 'lib/pthread/mutex/mutex.ts';
const CORE = 'lib/pthread/mutex/core.ts';
const GUARD = 'lib/pthread/mutex/guard.ts';
const COND = 'lib/pthread/cond.ts';
const RWLOCK = 'lib/pthread/rwlock-core.ts';
const RWLOCK_TESTS = 'test/pthread/rwlock.test.ts';
const STEPS = 'test/pthread/steps.test.ts';
const PROTOCOL = 'test/pthread/protocol.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'setPrioceiling unlocks what a dead owner left',
    file: MUTEX,
    from: 'if (this.ownerDied && cpu.read(this.#depth) === 0) {',
    to: 'if (this.ownerDied && cpu.read(this.#depth) < 0) {',
    tests: [PROTOCOL],
  },
  {
    name: 'a new ceiling counts for the next owner only',
    file: MUTEX,
    from: '    this.#ceilings.raise(this.address, ceiling);\n',
    to: '',
    tests: [PROTOCOL],
  },
  {
    name: 'a reader comes in at once past a writer that sleeps',
    file: RWLOCK,
    from: 'const KEEPS_OUT = WRITTEN | WRITE;',
    to: 'const KEEPS_OUT = WRITTEN;',
    tests: [RWLOCK_TESTS],
  },
  {
    name: 'a reader comes in at once beside the writer',
    file: RWLOCK,
    from: 'const KEEPS_OUT = WRITTEN | WRITE;',
    to: 'const KEEPS_OUT = WRITE;',
    tests: [RWLOCK_TESTS],
  },
  {
    name: 'a reader comes in at once and leaves no record',
    file: RWLOCK,
    from: '    cpu.storeReleaseLight(record + HOLD_COUNT, cpu.read(record + HOLD_COUNT) + ONE);\n',
    to: '',
    tests: [RWLOCK_TESTS],
  },
  {
    name: 'the last reader leaves at once those that sleep',
    file: RWLOCK,
    from: '(state & SLEEPERS) === 0 || state >> READER_SHIFT > 1;',
    to: '(state & SLEEPERS) === 0 || state >> READER_SHIFT > 0;',
    tests: [RWLOCK_TESTS],
  },
  {
    name: 'a lock that is gone is read at once',
    file: RWLOCK,
    from: '(state & KEEPS_OUT) === 0 && isThere(cpu, lock);',
    to: '(state & KEEPS_OUT) === 0;',
    tests: [RWLOCK_TESTS],
  },
  {
    name: 'a dead writer is taken out of the name only',
    file: RWLOCK,
    from: '(writer !== 0 && !writerDied ? WRITTEN : 0)',
    to: '(writer !== 0 ? WRITTEN : 0)',
    tests: [RWLOCK_TESTS],
  },
  {
    name: 'a ceiling is not told before the thread waits',
    file: 'lib/sched/drive.ts',
    from: '  tellCeiling(thread);\n',
    to: '',
    tests: [PROTOCOL],
  },
  {
    name: 'a ceiling that goes is not told while the thread stands in line',
    file: 'lib/sched/priority.ts',
    from: '  if (thread.cpu.loadUnordered(thread.slot + Slot.mainTask + Task.list) !== 0) tellCeiling(thread);\n',
    to: '',
    tests: [PROTOCOL],
  },
  {
    name: 'a ceiling that goes with a wait for a condition is not told',
    file: 'lib/pthread/cond.ts',
    from: '    tellCeiling(this.thread);\n',
    to: '',
    tests: [PROTOCOL],
  },
  {
    name: 'a ceiling is not told before the thread tries an rt-mutex',
    file: 'lib/locking/rt-mutex/core.ts',
    from: '  tellCeiling(thread);\n',
    to: '',
    tests: [PROTOCOL],
  },
  {
    name: 'a ceiling stays while its mutex is given back',
    file: MUTEX,
    from: '    else if (this.#isProtecting) this.#ceilings.drop(this.address);\n',
    to: '',
    tests: [PROTOCOL],
  },
  {
    name: 'the ceiling of another mutex goes with that which is given back',
    file: 'lib/pthread/mutex/ceiling.ts',
    from: '    this.#ceilings[place] = this.#ceilings[last] as number;\n',
    to: '',
    tests: [PROTOCOL],
  },
  {
    name: 'a broadcast strands those that were moved to an unrecoverable mutex',
    file: CORE,
    from: '      if (mark !== 0) yield* wakeIn(waiter, futexes, [address], Number.POSITIVE_INFINITY, MATCH_ANY);\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'a guard outlives the wait that lost its mutex: asynchronous',
    file: GUARD,
    from: "this.#state = isLocked ? 'held' : 'void';",
    to: "this.#state = 'held';",
    tests: [STEPS],
  },
  {
    name: 'a guard outlives the wait that lost its mutex: synchronous',
    file: COND,
    from: '    mutex.losses.note(mutex.address);\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'broadcast does not compare the mutex that the waiters came with',
    file: COND,
    from: 'target, Number.POSITIVE_INFINITY, association)',
    to: 'target, Number.POSITIVE_INFINITY, undefined)',
    tests: [STEPS],
  },
  {
    name: 'a reader that got no record is told after it has slept',
    file: RWLOCK,
    from: "  const record = claimHold(cpu, task, lock);\n  if (record === 0) return 'exhausted';\n  const state = cpu.load(lock + RwlockWords.state);\n  if (state & WRITTEN) return 'busy';\n",
    to: "  const state = cpu.load(lock + RwlockWords.state);\n  if (state & WRITTEN) return 'busy';\n  const record = claimHold(cpu, task, lock);\n  if (record === 0) return 'exhausted';\n",
    tests: [STEPS],
  },
  {
    name: 'a writer that gave up keeps readers out',
    file: RWLOCK,
    from: '      if (bits & WRITE) yield* giveUp(waiter, futexes, lock);\n',
    to: '',
    tests: ['test/pthread/rwlock.test.ts'],
  },
  {
    name: 'PthreadBarrier: history: each arrival looks at all records',
    file: 'lib/pthread/barrier.ts',
    from: 'if (cpu.read(barrier + BarrierWords.arrived) < count) return',
    to: 'if (cpu.read(barrier + BarrierWords.arrived) < 0) return',
    tests: ['test/sched/history.test.ts'],
  },
  {
    name: 'PthreadRwlock: history: a writer that gives up wakes the other writers',
    file: 'lib/pthread/rwlock-core.ts',
    from: '  if (yield* isSleptFor(waiter, futexes, lock + RwlockWords.gate, WRITE)) return;\n',
    to: '',
    tests: ['test/sched/history.test.ts'],
  },
];
