/** The tests that do on purpose what lockdep reports: files below `test`, what is found there, and why. See `scripts/test-lockdep.ts`. */
interface Expected {
  readonly findings: readonly string[];
  readonly why: string;
}

const expected = (why: string, findings: string, ...files: readonly string[]): [string, Expected][] =>
  files.map((file) => [file, { findings: findings.split(' '), why }]);

const MISUSE = 'locks that a thread takes twice, or gives back without having them, are refused';
const IN_LINE =
  'the test holds the lock, and awaits something else, while its own asynchronous calls are in line for it';

export const EXPECTED: Readonly<Record<string, Expected>> = Object.fromEntries([
  ...expected(
    `${MISUSE}; ${IN_LINE}`,
    'recursive balance',
    'locking/mutex.test.ts',
    'locking/rt-mutex.test.ts',
    'locking/ww-mutex.test.ts',
    'locking/seqlock.test.ts',
    'locking/rw-lock.test.ts',
    'locking/rw-semaphore.test.ts',
    'locking/reader-writer.test.ts',
    'locking/spinning.test.ts',
    'locking/fairness.test.ts',
    'locking/guards.test.ts',
    'pthread/mutex.test.ts',
    'pthread/rwlock.test.ts',
    'pthread/cond.test.ts',
    'pthread/protocol.test.ts',
  ),
  ...expected(IN_LINE, 'recursive', 'arena/threads.test.ts', 'locking/percpu-writers.test.ts'),
  ...expected(`${IN_LINE}; guards are dropped`, 'recursive guard', 'locking/async-priority.test.ts'),
  ...expected(`${IN_LINE}; sections that throw leave locks held`, 'recursive exit', 'sched/cancellation.test.ts'),
  ...expected('deadlocks, which are to be described', 'circular recursive', 'sched/waits-for.test.ts'),
  ...expected('a reader waits for the lock of a writer, and gives up', 'circular', 'rcu/boost.test.ts'),
  ...expected(
    'holds one of each kind, in whatever order, to print it; guards are dropped',
    'context guard',
    'arena/logging.test.ts',
  ),
  ...expected('locks are left held, to see what their handles say', 'exit guard', 'arena/options.test.ts'),
]);

/**
 * Tests of what a thread does that nobody observes, or of what its calls cost then, or of which objects and blocks an arena has in all; of a second copy of the library, and of arenas that are collected
 * while a lock is held, whose stack lockdep keeps.
 */
export const UNOBSERVED: readonly string[] = [
  'test/arena/environments.test.ts',
  'test/sched/lock-observer.test.ts',
  'test/sched/garbage.test.ts',
  'test/sched/crowds.test.ts',
  'test/memory/heap.test.ts',
  'test/memory/names.test.ts',
];
