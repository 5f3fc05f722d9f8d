import type { Mutant } from '../mutant.ts';

const COVERAGE = 'test/debug/coverage.test.ts';
const PRESSURE = 'test/debug/pressure.test.ts';

const mutant = (file: string, name: string, from: string, to: string, tests = [COVERAGE]): Mutant => ({
  name,
  file,
  from,
  to,
  tests,
});

const SEMAPHORE = 'lib/locking/semaphore/semaphore.ts';
const QSBR = 'lib/rcu/rcu-qsbr.ts';
const METER = 'lib/debug/profile/pressure.ts';

/** Locks that are taken unseen, and what is said of threads that wait or have not heard. */
export const mutants: readonly Mutant[] = [
  mutant(SEMAPHORE, 'permits that are given go unseen', '    thread.observer?.gave(this, UNOWNED);\n', ''),
  mutant(
    SEMAPHORE,
    'down takes its fast path while somebody observes the thread',
    '      thread.free === 0 &&\n      seen >= PERMIT &&',
    '      seen >= PERMIT &&',
  ),
  mutant(
    SEMAPHORE,
    'a guard of permits takes its fast path while somebody observes the thread',
    'options === undefined && free === 0 && trySit',
    'options === undefined && free !== 1 && trySit',
  ),
  mutant(QSBR, 'a reader of RcuQsbr goes out unseen', 'if (wasInside && this.stretch.depth <= 0)', 'if (!wasInside)'),
  mutant(
    'lib/rcu/stretch.ts',
    'readers of RcuQsbr take their fast path while somebody observes the thread',
    'checks !== undefined || thread.observer !== undefined;',
    'checks !== undefined;',
  ),
  mutant(
    'lib/locking/osq-lock.ts',
    'an OsqLock is given back unseen',
    'this.thread.observer?.gave(this, ',
    '((_a: unknown, _b: unknown) => {})(this, ',
  ),
  mutant(
    'lib/debug/profile/recorder.ts',
    'an asynchronous call that finds its lock free is a contention of the profile',
    "if (wait.async && !wait.slept && outcome === 'acquired') return;",
    "if (wait.async && !wait.slept && outcome === 'none') return;",
    ['test/debug/profile-holds.test.ts', COVERAGE, 'test/debug/profile.test.ts'],
  ),
  mutant(
    'lib/debug/trace/tracer.ts',
    'an asynchronous call that finds its lock free is a contention of the trace',
    "      if (outcome === 'acquired') return;",
    "      if (outcome === 'none') return;",
  ),
  mutant(
    'lib/debug/trace/tracer.ts',
    'permits are held by a task that has no number',
    'task === UNOWNED ? undefined : this.#holds.begin',
    'this.#holds.begin',
  ),
  mutant(METER, 'a wait that is under way does not count', 'if (since !== 0 && cpu.load', 'if (since < 0 && cpu.load', [
    PRESSURE,
  ]),
  mutant(METER, 'waits that are over do not count', 'total += tallyRead', 'total += 0 * tallyRead', [PRESSURE]),
  mutant(METER, 'the averages do not decay', 'as number) * kept +', 'as number) +', [PRESSURE]),
  mutant(METER, 'a share is that of one thread', '(elapsed * Math.max(1, threads))', 'elapsed', [PRESSURE]),
  mutant(
    'lib/debug/profile/recorder.ts',
    'a thread that profiles has not heard of it',
    '    cpu.store(thread.slot + Recording.heard, session);\n',
    '',
    [PRESSURE],
  ),
  mutant(
    'lib/debug/profile/recorder.ts',
    'a wait that is over is under way',
    'this.#thread.slot + Recording.since, 0)',
    'this.#thread.slot + Recording.since, sinceAt(wait.start))',
    [PRESSURE],
  ),
  mutant(
    'lib/debug/trace/rings.ts',
    'a thread that is traced has not heard of it',
    '    cpu.store(thread.slot + Emitting.heard, session);\n',
    '',
    [PRESSURE],
  ),
  mutant(
    'lib/debug/profile/recorder.ts',
    'where a call slept is told after it',
    '    cpu.store(this.#thread.slot + Recording.stack, 0);\n  }',
    '  }',
    [PRESSURE],
  ),
  mutant(
    'lib/debug/profile/recorder.ts',
    'a thread that does not sleep says where it does',
    'cpu.load(slot + Recording.since) === 0 || ',
    '',
    [PRESSURE],
  ),
  mutant(
    'lib/debug/profile/filter.ts',
    'a filter leaves the pairs of other threads',
    'isOfThread(pair.waiter, pair.holder)',
    'isOfThread(pair.waiter)',
    ['test/debug/views.test.ts'],
  ),
  mutant(
    'lib/debug/profile/rows.ts',
    'a class is that of the thread that came first',
    'if (lacksClass) writeName',
    'if (lacksClass && row < 0) writeName',
    ['test/debug/views.test.ts'],
  ),
  mutant(
    'lib/debug/profile/given-classes.ts',
    'an object has the class of one that was at its address before',
    'given !== undefined && given.serial === ',
    'given !== undefined && 0 * given.serial !== 1 + 0 * ',
    ['test/debug/views.test.ts'],
  ),
  mutant(
    'lib/debug/reports/hdr-log.ts',
    'a run of buckets that are empty is one too long',
    'next = index + 1;',
    'next = index;',
    ['test/debug/views.test.ts'],
  ),
];
