import type { Mutant } from '../mutant.ts';

const TABLE = 'lib/futex/table.ts';
const WAIT = 'lib/futex/wait.ts';
const WAKE = 'lib/futex/wake.ts';
const PI = 'lib/futex/pi.ts';
const STATES = 'lib/futex/pi-state.ts';
const ROBUST = 'lib/futex/robust-list.ts';
const OPEN = 'lib/futex/open.ts';
const STEPS = 'test/futex/steps.test.ts';
const PI_TEST = 'test/futex/pi.test.ts';
const FUTEX_TEST = 'test/futex/futex.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a synchronous waiter goes behind its own asynchronous one',
    file: TABLE,
    from: 'joinList(cpu, bucket, word, node, ownAsync(cpu, bucket, word, node));',
    to: 'joinList(cpu, bucket, word, node);',
    tests: [FUTEX_TEST, STEPS],
  },
  {
    name: 'a bucket that somebody has latched passes for unused',
    file: TABLE,
    from: 'if (cpu.loadAcquire(bucket + Bucket.used) === 0) cpu.xchg(bucket + Bucket.used, 1);',
    to: '',
    tests: [STEPS, PI_TEST],
  },
  {
    name: 'a bucket is marked as used once its latch is taken',
    file: TABLE,
    from: `  use(cpu, bucket);
  latch(cpu, bucket + WaitList.latch, id);`,
    to: `  latch(cpu, bucket + WaitList.latch, id);
  use(cpu, bucket);`,
    tests: [STEPS, 'test/native-sim/explore/futex.test.ts'],
  },
  {
    name: 'a slow path does not mark the bucket as used',
    file: TABLE,
    from: '  use(waiter.thread.cpu, bucket);\n',
    to: '',
    tests: [STEPS, 'test/native-sim/explore/futex.test.ts'],
  },
  {
    name: 'who is moved is not counted in its new bucket',
    file: TABLE,
    from: '  countWaiting(cpu, to, 1);\n  moveToList',
    to: '  moveToList',
    tests: [STEPS],
  },
  {
    name: 'who is moved stays counted in its old bucket',
    file: TABLE,
    from: '  countWaiting(cpu, from, -1);\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'a waker trusts the head of the list',
    file: TABLE,
    from: 'return cpu.load(bucket + Bucket.waiting) !== 0;',
    to: 'return firstWaiter(cpu, bucket) !== 0;',
    tests: [STEPS],
  },
  {
    name: 'a late waiter looks at its word first',
    file: WAIT,
    from: 'if (isFirstLook && cpu.load(word) !== value)',
    to: 'if (cpu.load(word) !== value)',
    tests: [STEPS],
  },
  {
    name: 'a moved waiter is judged by the word that it left',
    file: WAIT,
    from: "    else if (cpu.load(task + Task.blockedOn) !== word) result = 'woken';\n    else if (cpu.load(word) !== value) result = 'changed';\n",
    to: "    else if (cpu.load(word) !== value) result = 'changed';\n    else if (cpu.load(task + Task.blockedOn) !== word) result = 'woken';\n",
    tests: [STEPS],
  },
  {
    name: 'a waiter whose word changed without a wake sleeps on',
    file: WAIT,
    from: "    else if (cpu.load(word) !== value) result = 'changed';\n    if (result !== undefined)",
    to: '    if (result !== undefined)',
    tests: ['test/futex/death.test.ts', STEPS],
  },
  {
    name: 'one of several words, moved: sleeps on',
    file: WAIT,
    from: '    else if (hasSlept && queued.some(isMoved)) break;\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'waitv looks at its words before it looks at the clock',
    file: WAIT,
    from: "    if (waiter.aborted) result = 'aborted';\n    else if (hasSlept && reason === 'timed-out')",
    to: "    if (words.some(({ word, value }) => cpu.load(word) !== value)) result = 'changed';\n    else if (waiter.aborted) result = 'aborted';\n    else if (hasSlept && reason === 'timed-out')",
    tests: [STEPS],
  },
  {
    name: 'a node that was moved is taken out of the bucket it was in',
    file: TABLE,
    from: '    if (cpu.load(node + Task.list) === bucket) return bucket;\n    unlatchBucket(thread, bucket);',
    to: '    return bucket;',
    tests: [STEPS, 'test/native-sim/explore/futex.test.ts'],
  },
  {
    name: 'requeue moves the dead',
    file: WAKE,
    from: 'if (isDying(cpu, cpu.load(node + Task.thread))) dequeue(cpu, source, node);\n      else if',
    to: 'if',
    tests: [STEPS],
  },
  {
    name: 'requeue wakes and moves before the target is known to have waiters',
    file: WAKE,
    from: '  countWaiting(cpu, target, 1);\n  const isChanged',
    to: '  const isChanged',
    tests: [STEPS, FUTEX_TEST],
  },
  {
    name: 'wake takes out whoever comes first, whatever its bitset',
    file: WAKE,
    from: '    if (!(cpu.load(node + Task.want) & bitset)) continue;\n',
    to: '',
    tests: [FUTEX_TEST],
  },
  {
    name: 'CMP_REQUEUE_PI gives the word to the dead',
    file: PI,
    from: '    if (isDying(cpu, cpu.load(node + Task.thread))) {',
    to: '    if (node < 0) {',
    tests: [STEPS],
  },
  {
    name: 'a free word whose rt-mutex is not picked up yet is busy for TRYLOCK_PI',
    file: PI,
    from: "if (attempt === 'busy' && state !== 0 && (thread",
    to: "if (attempt === 'busy' && state < 0 && (thread",
    tests: [PI_TEST, 'test/native-sim/explore/futex.test.ts'],
  },
  {
    name: 'UNLOCK_PI wakes plain waiters of the word',
    file: PI,
    from: '    nextFor(cpu, bucket, word, 0) === 0 &&\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'a repair leaves the count of waiters as it was',
    file: STATES,
    from: '  cpu.store(bucket + Bucket.waiting, waiting);\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'robust lists are marked from the first entry on',
    file: ROBUST,
    from: 'of entries.reverse()) markDead',
    to: 'of entries) markDead',
    tests: [STEPS],
  },
  {
    name: 'a pending entry that is in no list is not marked',
    file: ROBUST,
    from: '  if (pending !== 0 && !entries.includes(pending)) entries.push(pending);\n',
    to: '',
    tests: ['test/futex/death.test.ts', STEPS],
  },
  {
    name: 'robust lists are marked though a bucket has not been seen',
    file: OPEN,
    from: 'if (isSettled) repairRobustLists(repairer);',
    to: 'repairRobustLists(repairer);',
    tests: [STEPS],
    equivalent:
      'it marks too early, all that the lists lead to; the last pass marks again what was given to the dead meanwhile',
  },
  {
    name: 'the reaper takes apart the bucket that its own thread is at',
    file: OPEN,
    from: 'if (isMine || !repairer.latch',
    to: 'if (!isMine && !repairer.latch',
    tests: [STEPS],
  },
  {
    name: 'a node that names no word stays',
    file: OPEN,
    from: 'const isMidMove = word === 0 || bucketOf',
    to: 'const isMidMove = word !== 0 && bucketOf',
    tests: [STEPS],
  },
  {
    name: 'WAIT_REQUEUE_PI: a waiter that a dead thread was lining up waits for the lock for good',
    file: PI,
    from: '    if (cpu.load(task + RtWait.mutex) === 0) cpu.store(task + Task.blockedOn, 0);\n',
    to: '',
    tests: ['test/native-sim/explore/futex.test.ts'],
  },
];
