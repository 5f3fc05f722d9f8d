import type { Mutant } from '../mutant.ts';

const MUTEX = 'lib/locking/mutex-core.ts';
const RW_WAKE = 'lib/locking/rw-semaphore/wake.ts';
const RW_WAIT = 'lib/locking/rw-semaphore/wait.ts';
const RW_REPAIR = 'lib/locking/rw-semaphore/repair.ts';
const PERCPU = 'lib/locking/percpu-rw-semaphore/core.ts';
const PERCPU_WAIT = 'lib/locking/percpu-rw-semaphore/wait.ts';
const SEMAPHORE = 'lib/locking/semaphore/core.ts';
const SEMAPHORE_WORDS = 'lib/locking/semaphore/words.ts';
const SEMAPHORE_REPAIR = 'lib/locking/semaphore/repair.ts';
const QUEUE = 'lib/locking/wait-queue-core.ts';
const LIST = 'lib/sched/wait-list.ts';
const SCHEDULE = 'lib/sched/schedule.ts';
const HOLDS = 'lib/sched/holds.ts';
const WAKE = 'lib/futex/wake.ts';
const FUTEX_WAIT = 'lib/futex/wait.ts';
const RWLOCK = 'lib/pthread/rwlock-core.ts';
const COND = 'lib/pthread/cond.ts';

const WAKES = 'test/locking/semaphore-wakes.test.ts';
const STUCK = 'test/locking/stuck-waiters.test.ts';
const RACES = 'test/locking/sleeping-races.test.ts';
const FAIRNESS = 'test/locking/fairness.test.ts';
const STEPS = 'test/locking/sleeping-steps.test.ts';
const MUTEX_TEST = 'test/locking/mutex.test.ts';
const RW_TEST = 'test/locking/rw-semaphore.test.ts';
const BOTH_TEST = 'test/locking/reader-writer.test.ts';
const SEMAPHORE_TEST = 'test/locking/semaphore.test.ts';
const COMPLETION_TEST = 'test/locking/completion.test.ts';
const QUEUE_TEST = 'test/locking/wait-queue.test.ts';
const ASIDES = 'test/sched/asides.test.ts';
const LOOP = 'test/sched/event-loop.test.ts';
const EXPLORED = 'test/native-sim/explore/sleeping-locks.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a per-CPU lock is handed over with a look at all that wait',
    file: PERCPU,
    from: '      isOneLeft = true;\n      break;\n',
    to: '      isOneLeft = true;\n      continue;\n',
    tests: ['test/locking/reader-writer.test.ts'],
  },
  {
    name: 'a per-CPU lock counts its readers for each that gives up',
    file: 'lib/locking/percpu-rw-semaphore/percpu-rw-semaphore.ts',
    from: 'if (!(word & DRAINING)) return this.state;',
    to: 'if (word !== 0) return this.state;',
    tests: ['test/locking/reader-writer.test.ts'],
  },
  // Waiters that cannot run.
  {
    name: 'every waiter can run',
    file: LIST,
    from: '  return cpu.load(slot + Slot.mainTask + Task.state) === SLEEPING;',
    to: '  return slot < 0;',
    tests: [STUCK],
  },
  {
    name: 'a thread goes to sleep and leaves with its asynchronous tasks what they were given',
    file: SCHEDULE,
    from: '  if (thread.waiters.size > 0) standAside(thread);\n',
    to: '',
    tests: [STUCK],
  },
  {
    name: 'of the waiters that cannot run only the first is woken, whichever thread comes back',
    file: LIST,
    from: '    if (!tasks.has(thread)) tasks.set(thread, task);',
    to: '    if (tasks.size === 0) tasks.set(thread, task);',
    tests: [STUCK],
  },
  {
    name: 'Mutex: handed over to the first waiter, whether it can run or not',
    file: MUTEX,
    from: '  const successor = firstAble(cpu, list);',
    to: '  const successor = firstWaiter(cpu, list);',
    tests: [STUCK],
  },
  {
    name: 'Mutex: handed over, and its thread goes to sleep with it',
    file: MUTEX,
    from: 'const isGiven = (word & PICKUP) !== 0 && isStuck(cpu, ownerOf(word));',
    to: 'const isGiven = word < 0;',
    tests: [STUCK],
  },
  {
    name: 'Mutex: a waiter that stands aside leaves WAITERS clear',
    file: MUTEX,
    from: '  const word = cpu.fetchOrRelaxed(mutex + MutexWords.owner, WAITERS);\n  const isGiven',
    to: '  const word = cpu.load(mutex + MutexWords.owner);\n  const isGiven',
    tests: [STUCK],
  },
  {
    name: 'RwSemaphore: readers that cannot run are let in',
    file: RW_WAKE,
    from: ' && !isStuck(cpu, task))\n    .slice',
    to: ')\n    .slice',
    tests: [STUCK],
  },
  {
    name: 'RwSemaphore: kept for a writer that cannot run',
    file: RW_WAKE,
    from: '    cpu.fetchAndRelaxed(address, ~HANDOFF);\n    return firstToCome(cpu, list);',
    to: '    return firstToCome(cpu, list);',
    tests: [STUCK],
  },
  {
    name: 'RwSemaphore: a reader that was passed does not look itself',
    file: RW_WAIT,
    from: '    if (async && !isGranted(cpu, semaphore, task)) {\n      yield* latched(waiter, latchOf(semaphore));\n      unlatchAndWake(thread, semaphore);\n    }\n',
    to: '',
    tests: [STUCK],
  },
  {
    name: 'RwSemaphore: readers that were let in keep that while their thread sleeps',
    file: RW_WAIT,
    from: '  takeBack(thread, semaphore);\n  cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));',
    to: '  cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));',
    tests: [STUCK],
  },
  {
    name: 'PercpuRwSemaphore: the writer that drains stays it while its thread sleeps',
    file: PERCPU_WAIT,
    from: 'const isOwn = (block & DRAINING) !== 0 && isStuck(cpu, writer) && cpu.load(writer + Task.thread) === id;',
    to: 'const isOwn = block < 0 && writer === id;',
    tests: [STUCK],
  },
  {
    name: 'PercpuRwSemaphore: waiters that were passed do not look themselves',
    file: PERCPU_WAIT,
    from: '  if (writerOf(cpu.load(blockOf(lock))) !== 0) return;\n',
    to: '  if (id > 0) return;\n',
    tests: [STUCK],
  },
  {
    name: 'PercpuRwSemaphore: the lock is taken from a writer that came while somebody looked',
    file: PERCPU,
    from: '  if (cpu.cmpxchg(blockOf(lock), from, to) !== from) {',
    to: '  if (cpu.xchg(blockOf(lock), to) === -1) {',
    tests: [STUCK],
  },
  {
    name: 'PercpuRwSemaphore: a reader that came too late stays in the count',
    file: PERCPU,
    from: '    for (const task of readers) retire(cpu, blockOf(lock), cpu.load(task + Grant.record), 0);\n    return [];',
    to: '    return [];',
    tests: [STUCK],
  },
  {
    name: 'PercpuRwSemaphore: a newcomer waits for those that cannot run',
    file: PERCPU,
    from: '  if (writerOf(word) !== 0) return false;\n  return cpu.cmpxchg',
    to: '  if ((word & ~OWNER_DIED) !== 0) return false;\n  return cpu.cmpxchg',
    tests: [STUCK],
  },
  {
    name: 'PercpuRwSemaphore: the one that was woken to look gives up, and nobody looks',
    file: PERCPU_WAIT,
    from: '  const woken = isWaiting ? serve(cpu, lock) : [];',
    to: '  const woken: number[] = [];',
    tests: [STUCK],
  },
  {
    name: 'Semaphore: permits wait for one that cannot run',
    file: SEMAPHORE,
    from: '  let task = firstAble(cpu, list);\n  while',
    to: '  let task = cpu.load(list + WaitList.first);\n  while',
    tests: [STUCK],
  },
  {
    name: 'Semaphore: a waiter that was passed does not look itself',
    file: SEMAPHORE,
    from: '    if (!isGranted(cpu, semaphore, task)) yield* insist(waiter, semaphore);\n',
    to: '    if (cpu.load(task + Task.result) === DESIGNATED) yield* insist(waiter, semaphore);\n',
    tests: [STUCK],
  },
  {
    name: 'Semaphore: nobody wakes those that were passed',
    file: SEMAPHORE,
    from: '  if (task === 0 && !isOpen) woken.push(...firstToCome(cpu, list));\n',
    to: '',
    tests: [STUCK],
  },
  {
    name: 'Semaphore: up(n) wakes its sleepers one after the other',
    file: SEMAPHORE,
    from: '      isOpen = true;\n',
    to: '      isOpen = true;\n      break;\n',
    tests: [WAKES],
  },
  {
    name: 'Semaphore: what is meant for one that is on its way is granted to the next',
    file: SEMAPHORE,
    from: '    spare = take(spare, want);\n',
    to: '    if (how === INSISTS) spare = take(spare, want);\n',
    tests: [WAKES],
  },
  {
    name: 'WaitQueue: a wake-up counts that goes to a waiter that cannot run',
    file: QUEUE,
    from: '      if (!isStuck(cpu, task)) exclusive++;',
    to: '      exclusive++;',
    tests: [STUCK],
  },
  {
    name: 'futex: a wake-up counts that goes to a waiter that cannot run',
    file: WAKE,
    from: '    if (!isStuck(cpu, node)) able++;',
    to: '    able++;',
    tests: [STUCK],
  },
  {
    name: 'PercpuRwSemaphore: a writer that gives up thinks that it is the writer still',
    file: PERCPU_WAIT,
    from: '  return isWriter;\n',
    to: '  return isWriter || lock > 0;\n',
    tests: [ASIDES],
  },
  {
    name: 'futex: a waiter that has not lined up yet counts as woken',
    file: FUTEX_WAIT,
    from: '  yield* latchedBucket(waiter, bucket);\n  enqueue(cpu, bucket, word, task);\n  // Not before: a task that is in no list counts as woken.\n  if (waiter.async && purpose === PLAIN) waiter.aside = asideOf(waiter, futexes, [task], passOn);\n',
    to: '  if (waiter.async && purpose === PLAIN) waiter.aside = asideOf(waiter, futexes, [task], passOn);\n  yield* latchedBucket(waiter, bucket);\n  enqueue(cpu, bucket, word, task);\n',
    tests: [ASIDES],
  },
  {
    name: 'waitv: of several words that were woken only one is passed on',
    file: FUTEX_WAIT,
    from: '      passed.add(node);\n',
    to: '      for (const each of nodes) passed.add(each);\n',
    tests: [ASIDES],
  },
  {
    name: 'waitv: a word that was woken is passed on each time',
    file: FUTEX_WAIT,
    from: 'if (passed.has(node) || !isTakenOut(node)) continue;',
    to: 'if (!isTakenOut(node)) continue;',
    tests: [ASIDES],
  },
  {
    name: 'a wake-up of several words, under way, keeps the rest while its thread sleeps',
    file: WAKE,
    from: '  if (waiter.async) waiter.aside = { of: waiter.task, pass };\n',
    to: '',
    tests: [ASIDES],
  },
  {
    name: 'futex: a waiter that was not woken passes on a wake-up',
    file: FUTEX_WAIT,
    from: 'if (passed.has(node) || !isTakenOut(node)) continue;',
    to: 'if (passed.has(node)) continue;',
    tests: [STUCK],
  },
  {
    name: 'PthreadRwlock: a writer that cannot run keeps readers out of a free lock',
    file: RWLOCK,
    from: 'takeWaiters(futexes, lock + RwlockWords.gate, count, bits, woken) !== 0;',
    to: 'takeWaiters(futexes, lock + RwlockWords.gate, count, bits, woken) !== 0 || woken.length > 0;',
    tests: [STUCK],
  },
  {
    name: 'PthreadRwlock: a lock that its thread holds elsewhere lets a reader pass a writer',
    file: RWLOCK,
    from: '    (task) => cpu.load(task + Task.within) === lock + RwlockWords.gate || heldBy(cpu, task, lock) > 0,',
    to: '    (task) => cpu.load(task + Task.within) === lock + RwlockWords.gate || cpu.load(task + Task.mode) === ASYNC,',
    tests: ['test/pthread/steps.test.ts'],
  },
  {
    name: 'PthreadCond: a broadcast leaves those at the mutex to one that cannot run',
    file: COND,
    from: '      for (const word of [this.#sequence, mutex.requeueWord]) {',
    to: '      for (const word of [this.#sequence]) {',
    tests: [STUCK],
  },
  // Mutex.
  {
    name: 'Mutex: a failed attempt leaves no mark',
    file: MUTEX,
    from: '    const next = takes ? task | (word & FLAGS & ~(HANDOFF | PICKUP)) : word | marks;',
    to: '    const next = takes ? task | (word & FLAGS & ~(HANDOFF | PICKUP)) : word;',
    tests: [MUTEX_TEST],
  },
  {
    name: 'Mutex: a waiter that leaves with the lock leaves WAITERS clear',
    file: MUTEX,
    from: '  else cpu.fetchOrRelaxed(address, WAITERS);\n',
    to: '',
    tests: [MUTEX_TEST, EXPLORED],
  },
  {
    name: 'Mutex: a waiter that was woken in vain asks for no hand-over',
    file: MUTEX,
    from: '    if (firstAble(cpu, list) === task) marks = WAITERS | HANDOFF;\n',
    to: '',
    tests: [FAIRNESS],
  },
  {
    name: 'Mutex: a synchronous call waits for what its own task was handed',
    file: MUTEX,
    from: ' || (!async && takeOver(waiter, mutex))) break;',
    to: ') break;',
    tests: [STEPS],
  },
  {
    name: 'Mutex: what was handed over and not picked up has an owner that died',
    file: MUTEX,
    from: 'next = word & PICKUP ? word & OWNER_DIED : OWNER_DIED;',
    to: 'next = OWNER_DIED;',
    tests: [STEPS],
  },
  {
    name: 'Mutex: a dead waiter stays in the list',
    file: MUTEX,
    from: '    if (isDead(cpu.load(task + Task.thread))) leaveList(cpu, list, task);\n',
    to: '',
    tests: [STEPS],
  },
  // RwSemaphore.
  {
    name: 'RwSemaphore: a writer that leaves the list leaves WAITERS clear',
    file: RW_WAIT,
    from: '  cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));\n  if (isOwner) return [];',
    to: '  if (isOwner) return [];',
    tests: [RW_TEST, BOTH_TEST, RACES, EXPLORED],
  },
  {
    name: 'RwSemaphore: a waiter that gives up lets nobody in',
    file: RW_WAIT,
    from: '  return wakeWaiters(cpu, semaphore);\n}\n\n/** A reader stops',
    to: '  return [];\n}\n\n/** A reader stops',
    tests: [BOTH_TEST],
  },
  {
    name: 'RwSemaphore: another first waiter finds WAITERS clear',
    file: RW_WAKE,
    from: '  if (firstWaiter(cpu, listOf(semaphore)) !== 0) cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));\n',
    to: '',
    tests: [RACES],
  },
  {
    name: 'RwSemaphore: the first reader of a counted word is not named',
    file: RW_WAKE,
    from: '  cpu.store(semaphore + RwSemaphoreWords.first, taskOf(word));\n',
    to: '',
    tests: [BOTH_TEST],
  },
  {
    name: 'RwSemaphore: a first waiter that has waited long is passed',
    file: RW_WAKE,
    from: '  if (first === 0 || word & HANDOFF || !hasWaitedLong(cpu, semaphore, first)) return word;',
    to: '  if (first !== -1) return word;',
    tests: [FAIRNESS],
  },
  {
    name: 'RwSemaphore: that a holder of the latch died is forgotten when the readers cannot be counted',
    file: RW_REPAIR,
    from: '    cpu.fetchAnd(address, ~MODE);\n    return false;',
    to: '    cpu.fetchAnd(address, ~MODE);\n    cpu.store(tornAt, 0);\n    return false;',
    tests: [RACES],
  },
  {
    name: 'RwSemaphore with fifo: a repair frees the lock before it says that others wait',
    file: RW_REPAIR,
    from: '  cpu.fetchOr(address, marks);\n  evict(repairer, semaphore);\n  const isCounted = recount(repairer, semaphore);\n',
    to: '  evict(repairer, semaphore);\n  const isCounted = recount(repairer, semaphore);\n  cpu.fetchOr(address, marks);\n',
    tests: [FAIRNESS],
  },
  {
    name: 'RwSemaphore with fifo: a repair takes the handoff from those that wait',
    file: RW_REPAIR,
    from: '  cpu.fetchAnd(address, marks | ~(WAITERS | HANDOFF));',
    to: '  cpu.fetchAnd(address, ~HANDOFF);',
    tests: [FAIRNESS],
  },
  {
    name: 'RwSemaphore: a handoff to a dead waiter stays',
    file: RW_REPAIR,
    from: '  cpu.fetchAnd(address, marks | ~(WAITERS | HANDOFF));\n',
    to: '',
    tests: [FAIRNESS],
  },
  {
    name: 'RwSemaphore with fifo: what a thread takes back is free before it says that others wait',
    file: RW_WAIT,
    from: '  if (tasks.length > 0) cpu.fetchOr(wordOf(semaphore), waitMarks(cpu, semaphore));\n',
    to: '',
    tests: [FAIRNESS],
  },
  {
    name: 'RwSemaphore: a dead first reader is counted',
    file: RW_REPAIR,
    from: '  const named = first !== 0 && !firstDied ? READER | FIRST : 0;',
    to: '  const named = first !== 0 ? READER | FIRST : 0;',
    tests: [BOTH_TEST, RACES],
  },
  // PercpuRwSemaphore.
  {
    name: 'PercpuRwSemaphore: a reader that leaves does not wake the writer',
    file: PERCPU,
    from: '  if (word & DRAINING) unpark(cpu, writerOf(word));\n',
    to: '',
    tests: [BOTH_TEST, EXPLORED],
  },
  {
    name: 'PercpuRwSemaphore: a writer comes in while somebody reads',
    file: PERCPU,
    from: ' || !isDrained(cpu, lock)) return false;',
    to: ') return false;',
    tests: [BOTH_TEST],
  },
  {
    name: "PercpuRwSemaphore: a writer looks at a thread's synchronous records first",
    file: HOLDS,
    from: '    if (cpu.loadAcquire(slot + Slot.chunks) !== 0) {\n',
    to: '    if (cpu.loadAcquire(slot + Slot.chunks) === -1) {\n',
    tests: [RACES],
  },
  {
    name: 'PercpuRwSemaphore: a writer that drains and dies was inside',
    file: 'lib/locking/percpu-rw-semaphore/repair.ts',
    from: 'const died = writerDied && !(block & DRAINING) ? OWNER_DIED : block & OWNER_DIED;',
    to: 'const died = writerDied ? OWNER_DIED : block & OWNER_DIED;',
    tests: [STEPS],
  },
  // Semaphore and Completion.
  {
    name: 'Semaphore: more permits than there may be',
    file: SEMAPHORE_WORDS,
    from: '  return free + permits > MOST_PERMITS ? undefined : free + permits;',
    to: '  return free + permits > UNBOUNDED ? undefined : free + permits;',
    tests: [RACES],
  },
  {
    name: 'Semaphore: its own asynchronous task keeps what its thread waits for',
    file: SEMAPHORE,
    from: '  if (!async) free = takeBack(thread, semaphore, free);\n',
    to: '',
    tests: [SEMAPHORE_TEST, RACES],
    equivalent:
      'But for the order in line: when the thread goes to sleep, its tasks give back what they were granted (standAside), and are passed.',
  },
  {
    name: 'Semaphore: a waiter that gives up leaves those behind it asleep',
    file: SEMAPHORE,
    from: '  // Those behind may need less than it did.\n  grantUnlatchAndWake(thread, semaphore, free);',
    to: '  cpu.storeRelease(semaphore + SemaphoreWords.count, free * PERMIT + CONTENDED);\n  unlatch(cpu, list + WaitList.latch);',
    tests: [SEMAPHORE_TEST],
  },
  {
    name: 'Semaphore: a grant that nobody picked up dies with its task',
    file: SEMAPHORE_REPAIR,
    from: '    if (cpu.load(task + Grant.record) === 0) free = giveBack(free, cpu.load(task + Task.want));\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'Semaphore: a step that a dead thread had begun is not carried out',
    file: SEMAPHORE_REPAIR,
    from: '        apply(cpu, semaphore);\n        if (task',
    to: '        if (task',
    tests: [SEMAPHORE_TEST, COMPLETION_TEST, EXPLORED],
  },
  {
    name: 'Semaphore: a patient waiter is patient for ever',
    file: SEMAPHORE,
    from: '  thread.cpu.store(task + Task.result, NO_STEAL);\n',
    to: '  thread.cpu.store(task + Task.result, STEALABLE);\n',
    tests: [SEMAPHORE_TEST, EXPLORED],
  },
  {
    name: 'RwSemaphore: a strict lock is kept for its first waiter after 4 ms only',
    file: RW_WAKE,
    from: 'return isFifo(cpu, semaphore) || ',
    to: 'return ',
    tests: [FAIRNESS],
  },
  {
    name: 'RwSemaphore: a strict lock lets readers in past a writer in line',
    file: RW_WAKE,
    from: 'return (writer < 0 ? all : all.slice(0, writer))',
    to: 'return (writer < -1 ? [] : all)',
    tests: [FAIRNESS],
  },
  {
    name: 'RwSemaphore: a free strict lock goes to a newcomer before its waiter has slept',
    file: 'lib/locking/rw-semaphore/words.ts',
    from: '(isFifo(cpu, semaphore) ? WAITERS | HANDOFF : WAITERS)',
    to: '(isFifo(cpu, semaphore) ? WAITERS : WAITERS)',
    tests: [FAIRNESS],
  },
  // WaitQueue.
  {
    name: 'WaitQueue: a waiter that was woken and gives up keeps the wake-up',
    file: QUEUE,
    from: '  owed.wakeUp ||= !isWaiting;\n',
    to: '  owed.wakeUp &&= !isWaiting;\n',
    tests: [QUEUE_TEST, RACES],
  },
  {
    name: 'WaitQueue: a waiter that was woken, is in line again and cannot run keeps the wake-up',
    file: QUEUE,
    from: 'const isWoken = owed.wakeUp || cpu',
    to: 'const isWoken = cpu',
    tests: [ASIDES],
  },
  {
    name: 'WaitQueue: a waiter that cannot run passes the same wake-up on twice',
    file: QUEUE,
    from: '  owed.wakeUp = false;\n  if (isWoken)',
    to: '  if (isWoken)',
    tests: [ASIDES],
  },
  {
    name: 'WaitQueue: a wake-up does not look for the condition before the waiters',
    file: QUEUE,
    from: '  cpu.mb();\n  if (cpu.load(queue + WaitQueueWords.waiting) === 0) return 0;',
    to: '  if (cpu.load(queue + WaitQueueWords.waiting) === 0) return 0;',
    tests: ['test/native-sim/explore/wait-queue.test.ts'],
  },
  {
    name: 'WaitQueue: waiters are not counted again after a death',
    file: QUEUE,
    from: '  cpu.store(queue + WaitQueueWords.waiting, waiters(cpu, list).length);\n',
    to: '',
    tests: [QUEUE_TEST, RACES],
  },
  {
    name: 'a call that waits for the heap lets the process end',
    file: 'lib/sched/drive.ts',
    from: '  // That thread may be dead: somebody has to look.\n  holdEventLoop(cpu);\n',
    to: '',
    tests: [LOOP],
  },
  {
    name: 'a call that waits for the heap is deaf to an abort',
    file: 'lib/sched/drive.ts',
    from: '      if (signal?.aborted) throw abortReason(signal);\n      const task',
    to: '      const task',
    tests: [LOOP],
  },
  {
    name: 'an asynchronous wait is known to its thread after its first step only',
    file: 'lib/sched/drive.ts',
    from: "  waiters.add(waiter);\n  let step = advance('woken');\n  if (step.done) return step.value;\n",
    to: "  let step = advance('woken');\n  if (step.done) return step.value;\n  waiters.add(waiter);\n",
    tests: [ASIDES],
  },
  {
    name: 'an error in a step, the first one or one inside abort(), leaves the wait with its thread',
    file: 'lib/sched/drive.ts',
    from: '    let isOver = true;\n',
    to: '    let isOver = false;\n',
    tests: [LOOP],
  },
  {
    name: 'an event loop sleeps for a latch',
    file: 'lib/sched/slow-path.ts',
    from: 'if (!async) latch(cpu, address, id);',
    to: 'if (!async || address > 0) latch(cpu, address, id);',
    tests: ['test/sched/event-loop.test.ts'],
  },
  {
    name: 'an abort that has to wait for a latch is not driven on',
    file: 'lib/sched/drive.ts',
    from: '    if (step.value !== undefined && !step.done) finishPark(cpu, waiter.task);\n',
    to: '',
    tests: ['test/sched/event-loop.test.ts'],
  },
  {
    name: 'a path that waits for a latch is driven on once its task is woken, which it is not',
    file: 'lib/sched/drive.ts',
    from: 'if (step.value === undefined) {',
    to: 'if (step.value !== 0) {',
    tests: ['test/sched/event-loop.test.ts'],
  },
  {
    name: 'Semaphore: an asynchronous attempt sleeps for the latch',
    file: 'lib/locking/semaphore/semaphore.ts',
    from: 'this.#tryNow(permits, task, true)',
    to: 'permits, record)) return',
    tests: ['test/sched/event-loop.test.ts'],
  },
  {
    name: 'RwSemaphore: an asynchronous reader sleeps for the latch to read along',
    file: 'lib/locking/rw-semaphore/core.ts',
    from: 'if (cpu.load(task + Task.mode) !== ASYNC) latch',
    to: 'if (cpu.load(task + Task.mode) >= 0) latch',
    tests: ['test/sched/event-loop.test.ts'],
  },
  {
    name: 'PthreadCond: a wait on the event loop sleeps for the latch to say with which mutex it waits',
    file: 'lib/pthread/cond.ts',
    from: 'yield* latchedBucket(waiter, this.#bucket);',
    to: 'latchBucket(thread, this.#bucket);',
    tests: ['test/sched/event-loop.test.ts'],
  },
  {
    name: 'RwSemaphore: history: each reader that lines up looks at all waiters',
    file: RW_WAKE,
    from: '  if ((word & MODE) === WRITER) return [];\n  const readers',
    to: '  const readers',
    tests: ['test/sched/history.test.ts'],
  },
  {
    name: 'WaitQueue: history: each waiter that shares looks at all others',
    file: 'lib/locking/wait-queue-core.ts',
    from: '  if (want === SHARED && cpu.load(cpu.read(first + Task.prev) + Task.want) === SHARED) return 0;\n',
    to: '',
    tests: ['test/sched/history.test.ts'],
  },
  {
    name: 'an asynchronous call leaves its priority to the next that has the task',
    file: 'lib/sched/drive.ts',
    from: '  if (priority !== undefined) thread.cpu.store(task + Task.priority, 0);\n  if (wait',
    to: '  if (wait',
    tests: ['test/locking/async-priority.test.ts'],
  },
  {
    name: 'an inheriting mutex takes the priority of the thread for that of the call',
    file: 'lib/pthread/mutex/protocol.ts',
    from: 'waiter.async && waiter.priority === undefined',
    to: 'waiter.async',
    tests: ['test/locking/async-priority.test.ts'],
  },
  {
    name: 'a priority that is no whole number is rounded',
    file: 'lib/sched/drive.ts',
    from: '  checkPriority(priority);\n',
    to: '',
    tests: ['test/locking/async-priority.test.ts'],
  },
];
