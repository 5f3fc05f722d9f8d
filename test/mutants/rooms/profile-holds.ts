import type { Mutant } from '../mutant.ts';

const HOLDS = 'lib/debug/profile/holds.ts';
const UNLOCKS = 'lib/debug/profile/unlocks.ts';
const RECORDER = 'lib/debug/profile/recorder.ts';
const LAYOUT = 'lib/debug/profile/layout.ts';
const READ = 'lib/debug/profile/read-holds.ts';
const TEST = 'test/debug/profile-holds.test.ts';

const mutant = (file: string, name: string, from: string, to: string): Mutant => ({
  name,
  file,
  from,
  to,
  tests: [TEST],
});

const event = (name: string, from: string, to: string): Mutant => ({
  name,
  file: 'lib/debug/profile/wait-events.ts',
  from,
  to,
  tests: ['test/debug/wait-events.test.ts'],
});

export const mutants: readonly Mutant[] = [
  mutant(HOLDS, 'one in 16 is timed for good', '++known.timed <= ENOUGH', '++known.timed > 0'),
  mutant(
    HOLDS,
    'an acquisition that is not timed is not counted',
    '    cpu.storeUnordered(known.count, cpu.loadUnordered(known.count) + 1);',
    '    if (known.skip <= 1) cpu.storeUnordered(known.count, cpu.loadUnordered(known.count) + 1);',
  ),
  mutant(
    HOLDS,
    'each acquisition is a change of threads',
    'if (cpu.loadUnordered(known.last) !== id) {',
    'if (id !== 0) {',
  ),
  mutant(HOLDS, 'a hold that was timed by chance stands for itself', 'weight: known.interval });', 'weight: 1 });'),
  mutant(
    HOLDS,
    'of long holds one in 16 is timed as well',
    'const isLong = ns >= LONG || known.delay > 0;',
    'const isLong = known.delay > 0;',
  ),
  mutant(
    HOLDS,
    'a thread goes on counting when the session is over',
    '    if (cpu.loadUnordered(Header.profileLocks) !== this.session) {',
    '    if (cpu.load(Header.profileLocks) === -1) {',
  ),
  mutant(
    HOLDS,
    'a thread does not learn of the next session with its next lock',
    '      lookForObserver(this.#thread);\n',
    '',
  ),
  mutant(
    HOLDS,
    'counts of the session before are those of this one',
    'for (let word = Counts.rows; word < Counts.words; word++)',
    'for (let word = Counts.words; word < Counts.words; word++)',
  ),
  mutant(
    HOLDS,
    'all unlocks are slow while anybody counts',
    '    if (thread.observer === this && (thread.mine',
    '    if (thread.observer !== this && (thread.mine',
  ),
  mutant(
    HOLDS,
    'unlocks that lockdep waits for are fast',
    'if (thread.observer === this && (thread.mine',
    'if ((thread.mine',
  ),
  mutant(
    HOLDS,
    'asynchronous acquisitions are synchronous ones',
    'count: count + (async ? Count.async : Count.sync),',
    'count: count + Count.sync,',
  ),
  mutant(
    HOLDS,
    'a delay is made with the lock free again, or once',
    '    if (known.delay > 0) cpu.ndelay',
    '    if (known.delay > 0 && known.skip > 1) cpu.ndelay',
  ),
  mutant(
    UNLOCKS,
    'only the one that is woken is charged for',
    'const time = since === 0 ?',
    'const time = since === 0 || waiters > 0 ?',
  ),
  mutant(
    UNLOCKS,
    'time is charged again with the next unlock',
    'cpu.cmpxchg(task + Blocked.uncharged, since, now) !== since',
    'cpu.cmpxchg(task + Blocked.uncharged, since, since) !== since',
  ),
  mutant(
    UNLOCKS,
    'waiters for another lock are charged for',
    'cpu.load(task + Task.within) !== word || cpu.load',
    'cpu.load(task + Task.within) === 0 || cpu.load',
  ),
  mutant(UNLOCKS, 'a hand-over is not counted', 'HeldRow.handoffs, 1);', 'HeldRow.handoffs, 0);'),
  mutant(
    RECORDER,
    'a wait until something happens is one that an unlock ends',
    '    if (!this.#rows.isLock(wait.object)) return;\n',
    '',
  ),
  mutant(
    RECORDER,
    'a task that has its lock waits still',
    '    if (wait.slept) cpu.store(wait.task + Blocked.uncharged, 0);\n',
    '',
  ),
  mutant(
    RECORDER,
    'unlocks are heard of when the profile is over',
    '    this.#thread.hearUnlocks(Recorder, undefined);\n',
    '',
  ),
  mutant(LAYOUT, 'a clock that was read earlier is half an hour later', 'return us < 2 ** 30 ? us : 0;', 'return us;'),
  mutant(
    READ,
    'what a thread counted in another session is read',
    'if (cpu.loadAcquire(counts + Counts.session) !== session) continue;',
    'if (cpu.loadAcquire(counts + Counts.session) === -1) continue;',
  ),
  mutant(
    READ,
    'times are those of the timed holds alone',
    'total: Math.round(mean * acquisitions),',
    'total: tallyRead(cpu, held + Held.total),',
  ),
  mutant(
    'lib/locking/mutex-core.ts',
    'a thread that never waits does not learn of a profile',
    '      watching(thread);\n',
    '',
  ),
  mutant(
    'lib/locking/mutex.ts',
    'an unlock that nobody waits for is not told',
    '    else observer.gave(this, self);',
    '    else void observer;',
  ),
  event('a wait is told while its call has not come back', '  queueMicrotask(() => {\n', '  [0].forEach(() => {\n'),
  event('each wait is a long one', 'longWaits.hasSubscribers && waited >=', 'longWaits.hasSubscribers && waited !=='),
  event('waits until something happens are told', ' || !isLockKind(kindNameOf(subject.kind))', ''),
  event(
    'a wait is told as one that an owner who died has ended',
    "isInherited = ownerDeaths.hasSubscribers && outcome === 'owner-died'",
    'isInherited = ownerDeaths.hasSubscribers && outcome === undefined',
  ),
  event('spans end when they are made', '.end(wait.start + wait.duration / 1e6)', '.end(wait.start)'),
  event('short waits are spans', '    if (wait.duration < longerThan * 1e6) return;\n', ''),
];
