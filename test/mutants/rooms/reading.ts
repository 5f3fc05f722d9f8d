import type { Mutant } from '../mutant.ts';

const RW_WAIT = 'lib/locking/rw-semaphore/wait.ts';
const PERCPU_WAIT = 'lib/locking/percpu-rw-semaphore/wait.ts';
const TESTS = ['test/native-sim/explore/readers-kept-out.test.ts'];

/** Writers that spin: what they do to readers meanwhile. And readers that read already. */
export const mutants: readonly Mutant[] = [
  {
    name: 'RwSemaphore: a writer that has the lock goes on keeping readers out',
    file: RW_WAIT,
    from: '  open(cpu, semaphore);\n  osqUnlock',
    to: '  osqUnlock',
    tests: TESTS,
  },
  {
    name: 'RwSemaphore: a writer that spun in line goes on keeping readers out',
    file: RW_WAIT,
    from: '  open(cpu, semaphore);\n  // Leave the list',
    to: '  // Leave the list',
    tests: ['test/locking/fairness.test.ts'],
  },
  {
    name: 'RwSemaphore: a writer that spun in line keeps readers out while it sleeps',
    file: RW_WAIT,
    from: '      open(cpu, semaphore);\n      reason',
    to: '      reason',
    tests: ['test/locking/fairness.test.ts'],
  },
  {
    name: 'RwSemaphore: a dead writer keeps readers out',
    file: 'lib/locking/rw-semaphore/repair.ts',
    from: '  cpu.store(semaphore + RwSemaphoreWords.closing, 0);\n',
    to: '',
    tests: TESTS,
  },
  {
    name: 'RwSemaphore: a reader stays out for a writer that waits for its own thread',
    file: RW_WAIT,
    from: ' && !readsHere(thread, semaphore, true)) cpu.condLoad',
    to: ') cpu.condLoad',
    tests: TESTS,
  },
  {
    name: 'PercpuRwSemaphore: a writer that has spun in vain writes beside a reader',
    file: PERCPU_WAIT,
    from: 'isEmptied, 0, thread.spins))) return false;',
    to: 'isEmptied, 0, thread.spins))) return true;',
    tests: TESTS,
  },
  {
    name: 'PercpuRwSemaphore: a writer that has spun in vain lines up behind itself',
    file: PERCPU_WAIT,
    from: 'if (writerOf(cpu.load(blockOf(lock))) !== task && (async',
    to: 'if ((async',
    tests: TESTS,
  },
  {
    name: 'PercpuRwSemaphore: a writer stands back from those that wait for it',
    file: PERCPU_WAIT,
    from: '    if (!releaseUnwatched(cpu, lock)) return false;\n    nap',
    to: '    cpu.fetchAnd(blockOf(lock), OWNER_DIED);\n    nap',
    tests: TESTS,
  },
  {
    name: 'PercpuRwSemaphore: a call that throws in a condition stays the writer',
    file: PERCPU_WAIT,
    from: '!spins || isOwn || mayFail',
    to: '!spins || isOwn',
    tests: ['test/locking/percpu-writers.test.ts'],
  },
  {
    name: 'RwSemaphore: the first reader does not read while the word is frozen',
    file: 'lib/locking/rw-semaphore/words.ts',
    from: '  const isCounted = (word & MODE) === COUNTED || (word & MODE) === FROZEN;',
    to: '  const isCounted = (word & MODE) === COUNTED;',
    tests: ['test/locking/rw-frozen.test.ts'],
  },
];
