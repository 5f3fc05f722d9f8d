import type { Mutant } from '../mutant.ts';

const OFFER = 'lib/sched/offer.ts';
const RW_LOOPS = 'lib/locking/rw-semaphore/loops.ts';
const RW_WAKE = 'lib/locking/rw-semaphore/wake.ts';
const RW_WAIT = 'lib/locking/rw-semaphore/wait.ts';
const RW_REPAIR = 'lib/locking/rw-semaphore/repair.ts';
const RT = 'lib/locking/rt-mutex/core.ts';
const RT_LOCK = 'lib/locking/rt-mutex/rt-lock.ts';
const RT_LOOPS = ['test/locking/busy-loop-rt.test.ts'];
const READERS = ['test/locking/busy-loop-readers.test.ts'];

export const mutants: readonly Mutant[] = [
  // RwSemaphore: readers of event loops.
  {
    name: 'RwSemaphore: nobody is woken to look after readers of an event loop',
    file: RW_WAKE,
    from: 'return [...grantReaders(cpu, semaphore), ...lookers(cpu, semaphore)];',
    to: 'return grantReaders(cpu, semaphore);',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: one that gives up leaves nobody to look after readers of an event loop',
    file: RW_WAIT,
    from: 'return [...wakeWaiters(cpu, semaphore), ...lookers(cpu, semaphore)];',
    to: 'return wakeWaiters(cpu, semaphore);',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a reader of an event loop takes notice of what is being taken back',
    file: RW_LOOPS,
    from: '&& cpu.cmpxchgRelaxed(task + Grant.from, semaphore, 0) === semaphore;',
    to: '&& cpu.xchg(task + Grant.from, 0) !== 1;',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: what a reader of an event loop has taken notice of is taken back',
    file: RW_LOOPS,
    from: 'if (cpu.cmpxchgRelaxed(task + Grant.from, semaphore, -semaphore) !== semaphore) continue;',
    to: 'cpu.xchg(task + Grant.from, -semaphore);',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a reader that is taken back is counted still',
    file: RW_LOOPS,
    from: '    removeReader(cpu, semaphore);\n',
    to: '',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a reader that is taken back has a record still',
    file: RW_LOOPS,
    from: '    cpu.store(cpu.load(task + Grant.record) + Hold.count, 0);\n    removeReader',
    to: '    removeReader',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a reader is in line before it is said that it is taken back',
    file: RW_LOOPS,
    from: '    joinList(cpu, listOf(semaphore), semaphore, task);\n    cpu.store(cpu.load(task + Grant.record) + Hold.count, 0);\n    removeReader(cpu, semaphore);\n    cpu.store(task + Grant.from, 0);\n',
    to: '    cpu.store(task + Grant.from, 0);\n    cpu.store(cpu.load(task + Grant.record) + Hold.count, 0);\n    removeReader(cpu, semaphore);\n    joinList(cpu, listOf(semaphore), semaphore, task);\n',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: what a dead thread was taking back stays so',
    file: RW_REPAIR,
    from: '  settleTakenBack(cpu, semaphore, everyTask(cpu, repairer.threads));\n',
    to: '',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: what a dead thread was about to take back is neither granted nor in line',
    file: RW_LOOPS,
    from: 'isInList ? 0 : semaphore);',
    to: '0);',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: what a dead reader was granted is taken back after its share',
    file: RW_REPAIR,
    from: '    if (cpu.load(task + Grant.from) === semaphore) cpu.store(task + Grant.from, 0);\n',
    to: '',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: readers that are let in begin no round',
    file: RW_WAKE,
    from: '  beginRound(cpu, roundOf(semaphore), readers);\n',
    to: '',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a round is that of the readers before',
    file: OFFER,
    from: '((cpu.load(round) & ~TIMES) + TIMES + 1)',
    to: '(cpu.load(round) & ~TIMES)',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: readers of an event loop that is always busy are passed for ever',
    file: RW_LOOPS,
    from: '    if (loses) loseOffer(cpu, task);\n',
    to: '',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a reader in front is let in again before the thread that took that back',
    file: RW_WAIT,
    from: '      if (tryDownWrite(cpu, semaphore, task, mayPassFirst(cpu, semaphore, task))) break;\n',
    to: '',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a thread reads itself in what another thread takes from its task',
    file: RW_WAIT,
    from: 'const unaware = thread.waiters.values().map(({ task }) => cpu.load(task + Grant.record));',
    to: 'const unaware = pendingTasks(thread, semaphore).map((task) => cpu.load(task + Grant.record));',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: what was given to a reader that passes it on counts as held by its thread',
    file: 'lib/locking/rw-semaphore/rw-semaphore.ts',
    from: '    isOnOffer,\n',
    to: '',
    tests: READERS,
  },
  // RwSemaphore: writers of event loops.
  {
    name: 'RwSemaphore: only the writer of an event loop is woken for a free lock',
    file: RW_WAKE,
    from: 'return isFifo(cpu, semaphore) ? [first] : [',
    to: 'return true ? [first] : [',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a strict lock is taken from a writer of an event loop',
    file: RW_LOOPS,
    from: 'const offer = isFifo(cpu, semaphore) ? 0 : offerIn',
    to: 'const offer = offerIn',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a lock that is kept for a writer of an event loop is taken at once',
    file: RW_LOOPS,
    from: 'const isKept = !isFree(word) || (word & HANDOFF) !== 0;',
    to: 'const isKept = !isFree(word);',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: a reader waits for a writer of an event loop to which nothing is kept',
    file: RW_LOOPS,
    from: 'const isKept = !isFree(word) || (word & HANDOFF) !== 0;',
    to: 'const isKept = true;',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: readers of event loops come in past a writer with those of threads',
    file: RW_WAKE,
    from: 'async || cpu.load(task + Task.mode) === MAIN',
    to: 'async || true',
    tests: READERS,
  },
  {
    name: 'RwSemaphore: readers that passed a writer of an event loop wake nobody',
    file: RW_WAKE,
    from: '  cpu.fetchOr(wordOf(semaphore), WAITERS);\n  return grantReaders(cpu, semaphore, false);',
    to: '  return grantReaders(cpu, semaphore, false);',
    tests: READERS,
  },
  // RtMutex.
  {
    name: 'RtMutex: only the task of an event loop is woken for a free lock',
    file: RT,
    from: 'if (next !== top && next !== 0 && cpu.load(next + Task.mode) === MAIN) wakes.wake.push(next);',
    to: '',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: how long an unlock takes grows with the event loops’ tasks in line',
    file: RT,
    from: 'n < MOST_OF_LOOPS && ',
    to: '',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: a lock that is kept for an event loop is taken by no other thread',
    file: RT,
    from: '    if (contest === undefined && takeFromLoop(waiter, lock, wakes)) break;\n',
    to: '',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: a lock that is kept for an event loop is taken at once',
    file: RT,
    from: '  if (isOffered && !hasWaitedFor(waiter, offerTo(cpu, top))) return false;\n',
    to: '',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: an event loop that is always busy is passed for ever',
    file: RT,
    from: '  loseOffer(cpu, top);\n',
    to: '',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: how often a task was passed counts for its next call',
    file: RT,
    from: '  beginWaiting(cpu, task);\n',
    to: '',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: a waiter looks again for ever, once something was kept for an event loop',
    file: RT,
    from: '  waiter.lookAgain = undefined;\n',
    to: '',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: whose turn it is among acquire contexts an event loop decides',
    file: RT,
    from: 'if (contest === undefined && takeFromLoop',
    to: 'if (takeFromLoop',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: a thread that has a lock held for it by nobody counts as its holder',
    file: RT_LOCK,
    from: '    ...(isPassed && { isOnOffer: (cpu, lock) => isUnowned(cpu.load(lock + RtWords.owner)) }),\n',
    to: '',
    tests: RT_LOOPS,
  },
  {
    name: 'RtMutex: that a lock is kept for an event loop makes a deadlock',
    file: 'lib/locking/rt-mutex/cycle.ts',
    from: '  if (kindById(cpu.read(lock + ObjectHeader.kind))?.isOnOffer !== undefined) return 0;\n',
    to: '',
    tests: [...RT_LOOPS, 'test/locking/rt-races.test.ts'],
  },
  {
    name: 'RtMutex: a thread that passes a task of an event loop inherits nothing',
    file: RT,
    from: '    inherit(cpu, attachTop(cpu, lock), wakes);\n    contest?',
    to: '    contest?',
    tests: RT_LOOPS,
  },
];
