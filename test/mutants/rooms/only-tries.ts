import type { Mutant } from '../mutant.ts';

const tests = ['test/locking/only-tries.test.ts'];

export const mutants: readonly Mutant[] = [
  {
    name: 'Mutex: a call that only tries spins',
    file: 'lib/locking/mutex-core.ts',
    from: 'return !async && spins && spin(',
    to: 'return !async && spin(',
    tests,
  },
  {
    name: 'RwSemaphore: a reader that only tries spins',
    file: 'lib/locking/rw-semaphore/wait.ts',
    from: 'if (refusal !== undefined || !spins || ',
    to: 'if (refusal !== undefined || async || ',
    tests,
  },
  {
    name: 'RwSemaphore: a writer that only tries spins',
    file: 'lib/locking/rw-semaphore/wait.ts',
    from: 'return spins && ',
    to: 'return ',
    tests,
  },
  {
    name: 'RtMutex: a call that only tries spins',
    file: 'lib/locking/rt-mutex/core.ts',
    from: '!waiter.async && !waiter.onlyTries && ',
    to: '!waiter.async && ',
    tests,
  },
  {
    name: 'PthreadMutex: a call that only tries spins',
    file: 'lib/pthread/mutex/core.ts',
    from: 'waiter.async || waiter.onlyTries ? 0',
    to: 'waiter.async ? 0',
    tests,
  },
];
