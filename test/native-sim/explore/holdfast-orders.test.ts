import { type LockName, lock, parkUnpark } from './programs/holdfast.ts';
import { passingBy } from './programs/mutex.ts';
import { type Act, readersAndWriters } from './programs/readers-writers.ts';
import { type SequenceName, sequence } from './programs/sequences.ts';
import { testsOfWeakOrders, type WeakOrder } from './weakened.ts';

const forever = Number.POSITIVE_INFINITY;

const make =
  (name: LockName, threads = 2, spins = forever) =>
  () =>
    lock(name, threads, spins);

const QUEUE: Act[] = ['write', 'write', 'read'];
const READERS: Act[] = ['write', 'read', 'read'];
/** The first takes the lock from under the head of the queue, which keeps its claim when it sleeps once more. */
const THIEF: Act[] = ['write again', 'write'];

const rwLock = (
  [
    ["the reader's bit before its look, at the writer", READERS, 'fetchOr', 'tryRead', 'acquire'],
    ["the reader's acquire", READERS, 'loadAcquire', 'tryRead'],
    ["the reader's release", READERS, 'cmpxchgRelease', 'readUnlock'],
    ["the reader's look at WAITED before its look at the writer", READERS, 'loadAcquire', 'readUnlock'],
    ["the writer's place before its look at the readers", READERS, 'cmpxchg', 'tryPlace', 'acquire'],
    ["the writer's acquire of readers that have left", QUEUE, 'loadAcquire', 'isDrained'],
    ["the writer's acquire of readers that leave", READERS, 'condLoadAcquire', 'drain'],
    ["the writer's release", QUEUE, 'cmpxchg', 'writeUnlock', 'acquire'],
    ["the writer's release before its look whether the head sleeps", THIEF, 'cmpxchg', 'writeUnlock', 'release'],
    ["the writer's look at ASLEEP before its look at the head", READERS, 'loadAcquire', 'writeUnlock'],
    ['the tail exchange', QUEUE, 'xchg', 'exchangeTail'],
    ['the grant before the look whether the heir sleeps', READERS, 'mb', 'waitInQueue'],
    ["the head's address before ASLEEP", READERS, 'cmpxchgRelease', 'sleepAsHead'],
  ] as const
).map(
  ([name, acts, op, within, to]): WeakOrder => ({
    name: `rw-lock: ${name}`,
    make: () => readersAndWriters('rw-lock', acts, 1),
    file: 'rw-lock-core.ts',
    op,
    within,
    mode: 'random',
    ...(to && { to }),
  }),
);

const read = (name: SequenceName) => () => sequence(name, ['twice', 'read'], forever);

const sequences: WeakOrder[] = (['seq-lock', 'seq-count'] as const).flatMap((name): WeakOrder[] => [
  {
    name: `${name}: the acquire`,
    make: read(name),
    file: `seqlock/${name}.ts`,
    op: 'loadAcquire',
    within: 'readBegin',
  },
  { name: `${name}: the acquire, waiting`, make: read(name), file: 'seqlock/core.ts', op: 'condLoadAcquire' },
  { name: `${name}: the read barrier`, make: read(name), file: 'seqlock/core.ts', op: 'rmb' },
  { name: `${name}: the write barrier`, make: read(name), file: 'seqlock/core.ts', op: 'wmb' },
  { name: `${name}: the release`, make: read(name), file: 'seqlock/core.ts', op: 'storeRelease' },
]);
const latched = { make: read('seq-count-latch'), file: 'seq-count-latch.ts' };
sequences.push(
  { name: 'seq-count-latch: the acquire', ...latched, op: 'loadAcquire', within: 'read' },
  { name: 'seq-count-latch: the read barrier', ...latched, file: 'seqlock/core.ts', op: 'rmb' },
  { name: 'seq-count-latch: the write barrier', ...latched, op: 'wmb' },
  { name: 'seq-count-latch: the release', ...latched, op: 'cmpxchgRelease' },
);

testsOfWeakOrders([
  { name: "ticket: the waiter's acquire", make: make('ticket'), file: 'ticket-lock.ts', op: 'condLoadAcquire' },
  { name: "ticket: unlock's release", make: make('ticket'), file: 'ticket-lock.ts', op: 'storeRelease' },
  { name: "MCS: the waiter's acquire", make: make('mcs'), file: 'mcs-lock.ts', op: 'condLoadAcquire' },
  { name: 'MCS: the grant', make: make('mcs'), file: 'spin-queue.ts', op: 'cmpxchgRelease' },
  { name: 'MCS: the tail exchange, relaxed', make: make('mcs'), file: 'mcs-lock.ts', op: 'xchg' },
  { name: 'MCS: the tail exchange, release only', make: make('mcs'), file: 'mcs-lock.ts', op: 'xchg', to: 'release' },
  { name: "MCS: unlock's compare-and-exchange", make: make('mcs'), file: 'mcs-lock.ts', op: 'cmpxchgRelease' },
  { name: "qspinlock: the lock's acquire", make: make('qspinlock'), file: 'spin-lock.ts', op: 'cmpxchgAcquire' },
  { name: "qspinlock: the waiter's acquire", make: make('qspinlock'), file: 'spin-lock.ts', op: 'condLoadAcquire' },
  { name: "qspinlock: unlock's release", make: make('qspinlock'), file: 'spin-lock.ts', op: 'cmpxchgRelease' },
  {
    name: 'qspinlock: the tail exchange',
    make: make('qspinlock', 4),
    file: 'spin-lock.ts',
    op: 'cmpxchg',
    within: 'exchangeTail',
  },
  { name: 'osq: the tail exchange', make: make('osq'), file: 'osq.ts', op: 'cmpxchg', within: 'osqLock' },
  { name: "osq: the waiter's acquire", make: make('osq'), file: 'osq.ts', op: 'condLoadAcquire', within: 'osqLock' },
  { name: "mutex: the lock's acquire", make: make('mutex', 2, 1), file: 'mutex-core.ts', op: 'cmpxchgAcquire' },
  { name: "mutex: unlock's release, uncontended", make: make('mutex'), file: 'mutex.ts', op: 'cmpxchgRelease' },
  {
    name: "mutex: unlock's release, contended",
    mode: 'random',
    make: () => passingBy(1),
    file: 'mutex-core.ts',
    op: 'storeRelease',
  },
  { name: 'latch: the acquire', make: make('latch'), file: 'latch.ts', op: 'cmpxchgAcquire' },
  { name: 'latch: the release', make: make('latch'), file: 'latch.ts', op: 'xchgRelease' },
  {
    name: 'park: saying that one sleeps',
    make: parkUnpark,
    file: 'task.ts',
    op: 'xchg',
    within: 'prepareToPark',
  },
  { name: 'unpark: looking for a sleeper', make: parkUnpark, file: 'task.ts', op: 'xchg', within: 'unpark' },
  {
    // The kernel's smp_wmb in osq_lock. Here the exchange, and the store of the link, each do for it.
    name: 'osq: the write barrier between the two links of a node',
    make: make('osq'),
    file: 'osq.ts',
    op: ['cmpxchg', 'storeRelease'],
    within: 'osqLock',
    to: 'acquire',
  },
  ...rwLock,
  {
    name: "rw-lock: the writer's release, uncontended",
    make: () => readersAndWriters('rw-lock', ['write', 'read'], 1),
    file: 'rw-lock.ts',
    op: 'cmpxchgRelease',
    within: 'writeUnlock',
  },
  ...sequences,
]);
